"""The body of a chat completion as a server sends it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from selo_dagster.llm.errors import ModelError

MOST_TOKENS: Final = 10_000_000
"""Tokens of a call: a server that says more has not counted. No model reads or writes as many."""


@dataclass(frozen=True)
class ChatReply:
    """What was answered. Token counts are the server's, 0 where it gives none that can be."""

    text: str
    finish_reason: Literal["stop", "length"]
    input_tokens: int
    output_tokens: int


def read_reply(body: bytes) -> ChatReply:
    """Read a body. Raises ModelError `empty_answer` when it is no chat completion or holds no text."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ModelError("empty_answer") from None
    choice = _dict(_first(_dict(document).get("choices")))
    text = _text(_dict(choice.get("message")).get("content"))
    if not text.strip():
        raise ModelError("empty_answer")
    usage = _dict(_dict(document).get("usage"))
    return ChatReply(
        text,
        "length" if choice.get("finish_reason") == "length" else "stop",
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
    )


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(_text(_dict(part).get("text")) for part in content)
    return content if isinstance(content, str) else ""


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_TOKENS else 0
