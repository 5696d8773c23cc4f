"""What was learned is kept once, under the same id for every try, and forgotten by that id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection, delete, update

from selo_dagster.memory.learnings import learnings
from selo_dagster.memory.tables import memories
from selo_dagster.sagas.given import Given
from selo_dagster.sagas.learnings import KeptLearning, forget_learnings, keep_learnings, same_text
from selo_dagster.store.engine import Store
from tests.sagas.minds import rows
from tests.support.fakes import NOW, add_person, remember

QUOTED = {"source": "memory:m1", "quote": "a sister in Porto", "start": 9, "end": 26}
GIVEN = Given("s1", "a_saga", "ana", "keep", 1, "s1/1/keep/forward", NOW)


def one(text: str = "Ana has a sister in Porto.", **changes: Any) -> KeptLearning:
    """Return one learning."""
    fits = {"domain": "relationships", "confidence": 0.9, "importance": 0.5, "evidence": ["memory:m1"]}
    return KeptLearning(text=text, **fits | {"citations": [QUOTED]} | changes)


def keep(store: Store, *found: KeptLearning, given: Given = GIVEN) -> list[str]:
    """Keep some in a transaction of their own."""
    with store.write() as connection:
        return keep_learnings(_in(given, connection), source="conversation:c1", model="fake", learnings=found)


def forget(store: Store, *ids: str, given: Given = GIVEN) -> None:
    """Forget some."""
    with store.write() as connection:
        forget_learnings(_in(given, connection), ids)


def _in(given: Given, connection: Connection) -> Given:
    return replace(given, _connection=connection)


def texts(store: Store) -> list[str]:
    """Return what is there."""
    return sorted(row["content"] for row in rows(store, learnings))


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana and Ben, and a memory of each."""
    for name, memory in (("ana", "m1"), ("ben", "b1")):
        add_person(store, name)
        remember(store, name, memory, "2026-11-22T10:05:00Z", "There is a sister in Porto", 0.9)
    return store


def test_what_is_kept_says_whose_it_is_where_from_and_on_what_it_rests(store: Store) -> None:
    (made,) = keep(store, one())
    assert rows(store, learnings) == [
        {
            "id": made,
            "user_id": "ana",
            "saga_id": "s1",
            "source": "conversation:c1",
            "content": "Ana has a sister in Porto.",
            "domain": "relationships",
            "confidence": 0.9,
            "importance": 0.5,
            "evidence": ["memory:m1"],
            "citations": [QUOTED],
            "model": "fake",
            "tainted": False,
            "state": "kept",
            "created_at": NOW,
        }
    ]


def test_what_rests_on_something_that_is_gone_is_left_out_and_nothing_else(store: Store) -> None:
    """R8: the same for learnings: unknown, another person's, deleted since the model was asked."""
    remember(store, "ana", "m2", "2026-11-22T10:06:00Z", "Ana swims", 0.9)
    with store.write() as connection:
        connection.execute(delete(memories).where(memories.c.id == "m2"))
    for name in ("memory:m2", "memory:b1", "message:nowhere"):
        assert keep(store, one("Ana swims.", evidence=["memory:m1", name])) == []
    assert len(keep(store, one("Ana swims.", evidence=["memory:m2"]), one())) == 1
    assert texts(store) == ["Ana has a sister in Porto."]


def test_every_try_makes_the_same_ids_and_another_step_others(store: Store) -> None:
    two = (one("Ana swims."), one("Ana sings."))
    first = keep(store, *two)
    forget(store, *first)
    assert keep(store, *two) == first
    forget(store, *first)
    assert not set(keep(store, *two, given=replace(GIVEN, token="s1/2/keep/forward"))) & set(first)


@pytest.mark.parametrize(("confidence", "there"), [(0.59, 0), (0.6, 1), (1.0, 1)])
def test_what_is_too_unsure_is_left_out(store: Store, confidence: float, there: int) -> None:
    assert len(keep(store, one(confidence=confidence))) == there


@pytest.mark.parametrize(
    "same",
    [
        "ana has a sister in porto",
        "  Ana  has a\nsister in Porto!",
        "\uff21na has a sister in Porto…",
        "ANA HAS A SISTER IN PORTO.",
    ],
)
def test_the_same_in_other_letters_is_not_kept_again(store: Store, same: str) -> None:
    keep(store, one())
    assert keep(store, one(same), given=replace(GIVEN, token="another")) == []
    assert texts(store) == ["Ana has a sister in Porto."]


def test_two_that_are_the_same_in_one_answer_are_one(store: Store) -> None:
    assert len(keep(store, one(), one("ana has a sister in porto"))) == 1


def test_what_was_superseded_or_is_another_persons_is_no_reason_to_leave_it_out(store: Store) -> None:
    keep(store, one(evidence=["memory:b1"]), given=replace(GIVEN, user_id="ben", token="bens"))
    (former,) = keep(store, one(), given=replace(GIVEN, token="former"))
    with store.write() as connection:
        connection.execute(update(learnings).where(learnings.c.id == former).values(state="superseded"))
    assert len(keep(store, one())) == 1


def test_others_learnings_stay_even_when_their_ids_are_named(store: Store) -> None:
    mine = keep(store, one("Ana swims."))
    theirs = keep(store, one("Ana sings."), given=replace(GIVEN, saga_id="s2", token="theirs"))
    forget(store, *mine, *theirs, "no such id")
    assert texts(store) == ["Ana sings."]
    forget(store, *mine)
    forget(store)
    assert texts(store) == ["Ana sings."]


def test_a_name_with_a_plus_is_another_one() -> None:
    assert same_text("She writes C.") != same_text("She writes C++.")


@pytest.mark.parametrize("wrong", [{"text": " "}, {"confidence": 1.5}, {"evidence": [""]}, {"domain": ""}, {"more": 1}])
def test_a_learning_is_checked_and_its_error_holds_no_word_of_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        one(**{"text": "a secret", **wrong})
    assert "a secret" not in str(refused.value)
