"""What people say of evolutions: right, wrong, to be taken back; by the saga's undo, or at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.errors import SeloError
from selo_dagster.people.evolution_tables import persona_evolutions, stale_marks
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.review import approve, lock, revert
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, evolution, evolved, trait, values
from tests.sagas.builders import Room
from tests.sagas.evolutions import by_saga, room_at, undo_all
from tests.sagas.kit_cases import add_reflection
from tests.sagas.minds import rows
from tests.support.fakes import NOW, add_person

LATER = NOW + timedelta(days=2)
WHO: dict[str, Any] = {"actor": "olga", "because": "she asked", "now": LATER}


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana."""
    registry.cache_clear()
    add_person(store, "ana")
    return store


def direct(store: Store, user: str = "ana", **deltas: float) -> str:
    """Let a persona evolve by the direct path; returns the evolution's id."""
    evolved(store, "direct", *(deltas or {"empathy": 0.1}).items(), user=user)
    return "direct"


def saga(store: Store, user: str = "ana", **deltas: float) -> str:
    """Let a persona evolve by the saga; returns the evolution's id."""
    return by_saga(store, user, deltas=deltas or {"empathy": 0.1})


BOTH: list[Callable[..., str]] = [direct, saga]


def reverted(store: Store, evolution_id: str, **more: Any) -> str:
    """Take an evolution back; returns the state of its undo."""
    with store.write() as connection:
        return revert(connection, registry(), evolution_id, **{**WHO, **more})


def approved(store: Store, evolution_id: str, **more: Any) -> str:
    """Approve an evolution; returns its state."""
    with store.write() as connection:
        return approve(connection, evolution_id, **{**WHO, **more})


def refusal(act: Callable[..., str], *arguments: Any, **more: Any) -> str:
    """Return the code of a refusal."""
    with pytest.raises(SeloError) as refused:
        act(*arguments, **more)
    return refused.value.code


@pytest.mark.parametrize("made", BOTH)
def test_an_approval_says_who_why_and_when_and_changes_nothing_else(store: Store, made: Callable[..., str]) -> None:
    one = made(store)
    assert approved(store, one) == "applied"
    row = evolution(store, one)
    assert (row.review, row.reviewed_by, row.because, row.reviewed_at) == ("approved", "olga", "she asked", LATER)
    assert (row.state, values(store)) == ("applied", INITIAL | {"empathy": 0.9})


def test_of_the_direct_path_it_is_taken_back_at_once(store: Store) -> None:
    one = direct(store, empathy=0.1, wit=0.1)
    add_reflection(store, "ana", "later", created_at=NOW + timedelta(days=1))
    assert reverted(store, one) == "reversed"
    row = evolution(store, one)
    assert (row.state, row.reversed_at, row.review) == ("reversed", LATER, "unreviewed")
    assert values(store) == INITIAL
    assert [(mark["derived"], mark["because"]) for mark in rows(store, stale_marks)] == [
        ("reflection:later", "evolution:direct")
    ]


def test_of_the_saga_its_undo_is_asked_for_and_the_next_run_does_it(store: Store) -> None:
    one = saga(store, empathy=0.1, wit=0.1)
    assert reverted(store, one) == "compensating"
    assert (evolution(store, one).state, values(store)["wit"]) == ("applied", 0.6)
    assert undo_all(store, LATER) == {"compensated": 1}
    assert (evolution(store, one).state, values(store)) == ("reversed", INITIAL)
    (act,) = rows(store, saga_interventions)
    assert (act["action"], act["actor"], act["because"], act["at"]) == ("compensate", "olga", "she asked", LATER)


@pytest.mark.parametrize("made", BOTH)
def test_a_rejection_is_a_judgement_and_takes_back(store: Store, made: Callable[..., str]) -> None:
    one = made(store)
    reverted(store, one, reject=True)
    undo_all(store, LATER)
    row = evolution(store, one)
    assert (row.review, row.reviewed_by, row.because, row.state) == ("rejected", "olga", "she asked", "reversed")
    assert values(store) == INITIAL


@pytest.mark.parametrize("made", BOTH)
def test_taken_back_twice_is_taken_back_once(store: Store, made: Callable[..., str]) -> None:
    one = made(store)
    first = reverted(store, one)
    assert reverted(store, one) == first
    undo_all(store, LATER)
    assert reverted(store, one) in {"reversed", "compensated"}
    assert (undo_all(store, LATER), values(store)) == ({}, INITIAL)


def test_one_that_was_taken_back_does_not_take_the_restart_of_its_saga_with_it(store: Store) -> None:
    first = saga(store)
    reverted(store, first)
    undo_all(store, LATER)
    room: Room = room_at(store, LATER)
    with store.write() as connection:
        saga_id = connection.execute(select(sagas.c.id)).scalar_one()
        Desk(connection, LATER, lambda _name, _version: PERSONA_EVOLUTION, "olga", "after all").retry(saga_id)
    assert reverted(store, first) == "reversed"
    room.forward(PERSONA_EVOLUTION, "run-again")
    assert reverted(store, first, reject=True) == "reversed"
    assert (undo_all(store, LATER), values(store)) == ({}, INITIAL | {"empathy": 0.9})
    (second,) = {row["id"] for row in rows(store, persona_evolutions)} - {first}
    assert reverted(store, second) == "compensating"


@pytest.mark.parametrize("made", BOTH)
@pytest.mark.parametrize(("actor", "because"), [("", "why"), ("olga", "  "), ("o" * 201, "why"), ("ol\x00ga", "why")])
def test_no_act_goes_without_a_name_and_a_reason(
    store: Store, made: Callable[..., str], actor: str, because: str
) -> None:
    one = made(store)
    assert refusal(reverted, store, one, actor=actor, because=because) == "wrong_use"
    assert refusal(reverted, store, one, actor=actor, because=because, reject=True) == "wrong_use"
    assert refusal(approved, store, one, actor=actor, because=because) == "wrong_use"
    assert (evolution(store, one).review, values(store)["empathy"]) == ("unreviewed", 0.9)


def test_what_is_not_there_is_refused_by_its_name(store: Store) -> None:
    assert refusal(reverted, store, "nothing") == "unknown_evolution"
    assert refusal(approved, store, "nothing") == "unknown_evolution"


def test_one_that_is_too_old_is_refused_and_not_judged_either(store: Store) -> None:
    one = saga(store)
    after = NOW + timedelta(days=PERSONA_EVOLUTION.undo_days + 1)
    assert refusal(reverted, store, one, now=after, reject=True) == "too_late"
    assert (evolution(store, one).review, values(store)["empathy"]) == ("unreviewed", 0.9)


def test_a_lock_holds_a_trait_and_can_be_taken_off(store: Store) -> None:
    def locked(name: str, on: bool) -> None:
        with store.write() as connection:
            lock(connection, "ana", name, locked=on)

    locked("empathy", True)
    # A persona that nobody had changed has traits from now on.
    assert (values(store), trait(store, "empathy").locked) == (INITIAL, True)
    saga(store, empathy=0.1, curiosity=0.1)
    assert values(store) == INITIAL | {"curiosity": 0.9}
    locked("empathy", False)
    saga(store, empathy=0.1)
    assert values(store)["empathy"] == 0.9
    with pytest.raises(SeloError) as refused:
        locked("Empathy", True)
    assert refused.value.code == "unknown_trait"
    assert "adaptability, analytical_thinking" in refused.value.message


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """PostgreSQL only: connections that really write at the same time."""
    opened = Store(postgres_url, pool_size=8)
    add_person(opened, "ana")
    yield opened
    opened.close()


def test_reverting_while_the_undo_is_under_way_ends_well_for_both(postgres_store: Store) -> None:
    ids = [by_saga(postgres_store, "ana", deltas={"empathy": 0.01}) for _ in range(8)]
    for one in ids:
        reverted(postgres_store, one)
    broken: list[BaseException] = []

    def ask() -> None:
        try:
            for one in ids * 5:
                reverted(postgres_store, one, reject=True)
        except BaseException as raised:  # noqa: BLE001 - told by the test's own thread
            broken.append(raised)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    undone = undo_all(postgres_store, LATER)
    for thread in asking:
        thread.join(60)
    assert broken == []
    assert (undone, values(postgres_store)) == ({"compensated": 8}, INITIAL)
    assert {row["review"] for row in rows(postgres_store, persona_evolutions)} == {"rejected"}
