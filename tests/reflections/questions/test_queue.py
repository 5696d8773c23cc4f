"""The life of a question: queued once, delivered one at a time, answered, skipped or expired."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from selo_dagster.errors import SeloError
from selo_dagster.llm.citations import Passage
from selo_dagster.memory.tables import memories
from selo_dagster.reflections.questions.answering import answer
from selo_dagster.reflections.questions.draft import Draft, normalised
from selo_dagster.reflections.questions.enqueue import enqueue
from selo_dagster.reflections.questions.likeness import answered_by, same_question
from selo_dagster.reflections.questions.queue import Question, expire, listed, next_question, room, skip
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, add_person, remember

QUOTED = ("memory:m1", Passage("m1", "what she said", 3, 16))
WORDS = [f"word{letter}" for letter in "abcdefghijklmno"]


def draft(text: str, **changes: object) -> Draft:
    """Return a draft."""
    values = {"question": text, "topic": "work", "priority": 3, "delay_days": 0, "citations": (QUOTED,)}
    return Draft(**(values | changes))  # type: ignore[arg-type]


def distinct(number: int) -> Draft:
    """Return a question unlike the others."""
    return draft(f"Would {WORDS[number]}{number} {WORDS[number]}{number}a {WORDS[number]}{number}b be nice?")


def queue(store: Store, *drafts: Draft, on: date = date(2026, 11, 22)) -> list[str]:
    """Queue drafts for Ana."""
    with store.write() as connection:
        return enqueue(
            connection,
            user_id="ana",
            ledger_id=None,
            on=on,
            drafts=drafts,
            model="fake",
            now=NOW,
            new_id=lambda: uuid4().hex,
        )


def delivered(store: Store, days: int = 0) -> Question | None:
    """Deliver the next question."""
    with store.write() as connection:
        return next_question(connection, "ana", NOW + timedelta(days=days))


@pytest.fixture
def ana(store: Store) -> Store:
    """Ana, without a question."""
    add_person(store, "ana")
    return store


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How did the interview go?", "How did the interview go ?", True),
        ("How did your interview at the harbour go?", "Did the interview at the harbour go well?", True),
        ("What do you like about the sea?", "What does your sister study?", False),
        ("你喜欢冬天的海吗?", "你喜欢冬天的海吗?", True),
    ],
)
def test_likeness_is_found_in_code(one: str, other: str, same: bool) -> None:
    assert same_question(one, other) is same


def test_a_memory_answers_a_question_whose_words_it_holds() -> None:
    assert answered_by("Which instrument does Matilde play?", "Matilde plays an instrument: the cello. play")
    assert not answered_by("Which instrument does Matilde play?", "The weather was fine")


def test_a_draft_is_brought_into_form() -> None:
    one = normalised(draft("  How\nare you.", topic="  ", priority=9, delay_days=-3))
    assert one.question.endswith("?")
    assert "\n" not in one.question
    assert (one.topic, one.priority, one.delay_days) == ("general", 5, 0)


def test_what_is_queued_asked_or_answered_is_not_queued_again(ana: Store) -> None:
    assert len(queue(ana, distinct(0), distinct(0))) == 1
    assert queue(ana, distinct(0), on=date(2026, 11, 23)) == []
    found = delivered(ana)
    assert found is not None
    with ana.write() as connection:
        answer(connection, found.id, NOW, text="yes")
    assert queue(ana, distinct(0), on=date(2026, 11, 24)) == []
    remember(ana, "ana", "m9", "2026-11-01T00:00:00Z", "alpha beta gamma epsilon")
    assert queue(ana, draft("alpha beta gamma epsilon?"), on=date(2026, 11, 25)) == []


def test_at_most_three_a_night_and_ten_open(ana: Store) -> None:
    assert len(queue(ana, *[distinct(number) for number in range(5)])) == 3
    for night in range(1, 5):
        queue(ana, *[distinct(3 * night + number) for number in range(3)], on=date(2026, 11, 22 + night))
    with ana.read() as connection:
        assert len(listed(connection, "ana", limit=50)) == 10
        assert room(connection, ["ana"], NOW) == {"ana": 0}


def test_no_two_of_a_night_become_available_on_one_day(ana: Store) -> None:
    queue(ana, distinct(0), distinct(1), distinct(2))
    with ana.read() as connection:
        days = [one["available_at"].date() for one in listed(connection, "ana", limit=50)]
    assert len(set(days)) == 3


def test_the_most_urgent_comes_first_and_again_until_it_is_closed(ana: Store) -> None:
    queue(ana, draft("Is epsilon zeta eta later?", priority=4), draft("Is alpha beta gamma urgent?", priority=1))
    first, again = delivered(ana, 5), delivered(ana, 6)
    assert first is not None
    assert again is not None
    assert (first.question, first.id) == ("Is alpha beta gamma urgent?", again.id)
    with ana.write() as connection:
        assert skip(connection, first.id, NOW) is True
    second = delivered(ana, 6)
    assert second is not None
    assert second.id != first.id


def test_an_answer_becomes_a_memory_that_weighs_less_with_each_on_its_topic(ana: Store) -> None:
    weights = []
    one = ""
    for number in range(3):
        (one,) = queue(ana, distinct(number), on=date(2026, 11, 22 + number))
        with ana.write() as connection:
            kept = answer(connection, one, NOW, text=f"because {number}")
            assert answer(connection, one, NOW, text=f"because {number}") == kept
            row = connection.execute(select(memories).where(memories.c.id == kept)).one()
        weights.append((row.importance, row.confidence))
        assert (row.kind, row.tags) == ("relationship_answer", ["work"])
    assert weights == [(0.8, 0.8), (0.6, 0.7), (0.5, 0.6)]
    with ana.write() as connection, pytest.raises(SeloError, match="answer"):
        answer(connection, one, NOW, text="something else")


def test_what_nobody_asks_or_answers_expires(ana: Store) -> None:
    queue(ana, distinct(0), distinct(1))
    assert delivered(ana) is not None
    with ana.write() as connection:
        assert expire(connection, NOW + timedelta(days=15)) == 1
        assert expire(connection, NOW + timedelta(days=90)) == 1
        assert {one["state"] for one in listed(connection, "ana", all_states=True, limit=9)} == {"expired"}


@pytest.mark.parametrize("closing", ["skip", "answer"])
def test_unknown_and_closed_questions_are_refused(ana: Store, closing: str) -> None:
    (one,) = queue(ana, distinct(0))
    with ana.write() as connection:
        expire(connection, NOW + timedelta(days=90))
    with ana.write() as connection:
        for question in (one, "nobody"):
            with pytest.raises(SeloError):
                if closing == "skip":
                    skip(connection, question, NOW)
                else:
                    answer(connection, question, NOW, text="late")
