"""What a call may use at most is known before it is made."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.budgets.bound import A_MESSAGE, A_REQUEST, bound_of
from selo_dagster.llm.rendering import messages_for
from tests.llm.openai import question

NONCE = "f" * 16


def size(text: str) -> int:
    return len(text.encode())


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5), st.booleans())
def test_it_covers_every_byte_that_is_sent_whether_the_schema_is_in_the_prompt_or_beside_it(
    texts: list[str], corrected: bool
) -> None:
    request = question(*texts, correction="Answer again." if corrected else None)
    bound = bound_of(request, 1_200)
    for schema_in_prompt in (True, False):
        messages = messages_for(request, NONCE, schema_in_prompt=schema_in_prompt)
        beside = 0 if schema_in_prompt else size(json.dumps(request.schema, ensure_ascii=False))
        sent = sum(size(one["content"]) for one in messages) + beside
        assert bound.input >= sent + A_MESSAGE * len(messages) + A_REQUEST
    assert bound.output == 1_200


def test_it_counts_bytes_and_not_characters() -> None:
    latin, cyrillic = (bound_of(question(text * 100), 64) for text in ("o", "о"))
    assert cyrillic.input - latin.input == 100


def test_a_correction_makes_a_request_longer() -> None:
    request = question()
    assert bound_of(replace(request, correction="Again."), 64).input > bound_of(request, 64).input + 2 * A_MESSAGE
