"""How many tokens one request to a model can cost at most, told before it is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.llm.rendering import messages_for

A_MESSAGE: Final = 32
"""Tokens that a chat template puts around each message: roles and marks of begin and end."""

A_REQUEST: Final = 128
"""Tokens that it puts around the whole: a beginning, a date, a preamble of the model's own."""

THE_SCHEMA: Final = 64
"""Bytes of the sentence that leads up to the schema, where it stands in the prompt."""

_NONCE: Final = "0" * 16
"""As long as the real one."""


@dataclass(frozen=True)
class Bound:
    """Tokens that are read and written at most."""

    input: int
    output: int


def bound_of(request: CompletionRequest, max_tokens: int) -> Bound:
    """Return the bound of one request with an answer of at most `max_tokens`.

    A token of a byte-level vocabulary stands for at least one byte of UTF-8, so there are no more tokens than bytes.
    The schema is counted in the longest form that JSON has for it, whether it stands in the prompt or beside it.
    """
    messages = messages_for(request, _NONCE, schema_in_prompt=False)
    read = sum(A_MESSAGE + _bytes(one["role"]) + _bytes(one["content"]) for one in messages)
    return Bound(A_REQUEST + read + THE_SCHEMA + len(json.dumps(request.schema)), max_tokens)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
