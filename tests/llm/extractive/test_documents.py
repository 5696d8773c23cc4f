"""What holds of learnings, summaries and episodes, whatever they are made from."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.answers import Answer, Episode, Learnings, Summary, schema_of
from selo_dagster.llm.citations import Sources, citation_of
from selo_dagster.llm.protocol import CompletionRequest, Task
from tests.llm.extractive.days import answered, day, message
from tests.llm.extractive.hostile import JOINERS, length, many, requests, strings_of

KEPT: dict[Task, list[tuple[int, int]]] = {
    "learnings": [(1, 60), (3, 50)],
    "summary": [(1, 60), (15, 50), (5, 120)],
    "episode": [(15, 315), (120, 180), (60, 360)],
}
NOT_KEPT: dict[Task, list[tuple[int, int]]] = {
    "learnings": [(4, 60), (1, 49)],
    "summary": [(16, 100), (1, 49)],
    "episode": [(15, 179), (121, 315), (100, 139)],
}
MODELS: dict[Task, type[Answer]] = {"learnings": Learnings, "summary": Summary, "episode": Episode}


def asked(request: CompletionRequest, task: Task, words: tuple[int, int]) -> CompletionRequest:
    """Return the same sources under another task."""
    schema = schema_of(MODELS[task], [one.alias for one in request.evidence])
    return replace(request, task=task, words=words, schema=schema)


def main_texts(answer: Answer) -> list[str]:
    """Return the texts that the bounds are about."""
    if isinstance(answer, Learnings):
        return [one.text for one in answer.learnings]
    if isinstance(answer, Summary):
        return [answer.summary]
    assert isinstance(answer, Episode)
    return [answer.narrative]


def cited(document: object) -> Iterator[list[dict[str, str]]]:
    """Yield every list of evidence in a document."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == "evidence":
                yield value
            else:
                yield from cited(value)
    elif isinstance(document, list):
        for one in document:
            yield from cited(one)


@pytest.mark.parametrize("task", MODELS)
@many
@given(requests(), st.data())
def test_every_answer_fits_cites_what_was_shown_and_is_the_same_twice(
    task: Task, request: CompletionRequest, data: st.DataObject
) -> None:
    request = asked(request, task, data.draw(st.sampled_from(KEPT[task])))
    text = answered(request).text
    assert answered(request).text == text
    answer = MODELS[task].model_validate_json(text)
    document = json.loads(text)
    # Nothing was stripped or filled in by the reading.
    assert answer.model_dump() == document
    low, high = request.words
    assert all(low <= length(one) <= high for one in main_texts(answer))
    shown = Sources({one.alias: one.text for one in request.evidence})
    for evidence in cited(document):
        aliases = [one["source"] for one in evidence]
        assert len(set(aliases)) == len(aliases)
        assert shown.held(citation for one in evidence if (citation := citation_of(one)))[1] == ()
    for one in strings_of(document):
        assert not [sign for sign in one if unicodedata.category(sign)[0] == "C" and sign not in JOINERS]


@pytest.mark.parametrize(("task", "words"), [(task, words) for task, some in NOT_KEPT.items() for words in some])
def test_bounds_that_cannot_always_be_kept_are_refused(task: Task, words: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot always keep"):
        answered(asked(day(message(1, "Hello")), task, words))


@pytest.mark.parametrize("task", MODELS)
@pytest.mark.parametrize("text", ["", "\x00", "🙂", "x" * 100_000, "好" * 9_000, "?", "I " * 3_000])
def test_one_source_of_any_size_is_enough(task: Task, text: str) -> None:
    for role in ("user", "assistant"):
        for words in KEPT[task]:
            request = asked(day(message(1, text, role)), task, words)
            answer = MODELS[task].model_validate_json(answered(request).text)
            assert all(words[0] <= length(one) <= words[1] for one in main_texts(answer))
