"""A night: each kind in its order, and what it asked for before the kinds after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.people.evolution_tables import persona_evolutions
from selo_dagster.people.goals import goals
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store
from tests.people.evolving import evolved, values
from tests.support.command import Selo, selo_with_sagas
from tests.support.dagster import NOW_TEXT
from tests.support.fakes import NOW, add_person, remember, say

assert selo_dagster.definitions.defs is not None


@pytest.fixture
def selo(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Selo]:
    """The command, beside Ana, whose Sunday was sad, and towards whom wit has come far from its home."""
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z", "I am so sad, I cried about my sister all day", prefix="c1")
    remember(store, "ana", "m1", "2026-11-22T10:05:00Z", "Ana cried because her sister is very ill", 0.9)
    for number in (1, 2):
        evolved(store, f"e{number}", ("wit", 0.2), now=NOW - timedelta(days=9))
    with selo_with_sagas(store_url, monkeypatch, capsys, most_runs=40) as command:
        yield command


def test_what_reflections_and_the_reassessment_ask_for_is_carried_out_in_the_same_night(
    selo: Selo, store: Store
) -> None:
    status, night = selo.json("night", "--now", NOW_TEXT)
    assert status == 0
    assert night["sagas"]["persona_evolution"] == {"completed": 2}
    assert set(night["sagas"]["goal_creation"]) == {"completed"}
    assert night["kinds"]["persona_reassessment"]["done"] == 1
    with store.read() as connection:
        made = connection.execute(
            select(persona_evolutions.c.source, persona_evolutions.c.created_at)
            .join(sagas, sagas.c.id == persona_evolutions.c.saga_id)
            .order_by(sagas.c.place)
        ).all()
        assert connection.execute(select(sagas.c.id).where(sagas.c.state != "completed")).all() == []
    assert [row.source.partition(":")[0] for row in made] == ["reflection", "reassessment"]
    # The night's now is everybody's.
    assert {row.created_at for row in made} == {NOW}
    assert values(store)["wit"] == 0.8796
    assert values(store)["empathy"] > 0.8
    _, again = selo.json("night", "--now", NOW_TEXT)
    assert (again["sagas"], again["runs"]) == ({}, 0)


def test_a_saga_that_needs_a_person_makes_the_night_end_with_status_1(selo: Selo, store: Store) -> None:
    assert selo.json("night", "--now", NOW_TEXT)[0] == 0
    with store.write() as connection:
        connection.execute(update(goals).values(progress=0.5, version=2))
        saga_id = connection.execute(
            select(sagas.c.id).where(sagas.c.type == "goal_creation").order_by(sagas.c.place).limit(1)
        ).scalar_one()
    assert selo.json("saga", "compensate", saga_id)[0] == 0
    status, night = selo.json("night", "--now", NOW_TEXT)
    assert status == 1
    assert night["sagas"] == {"goal_creation": {"compensation_incomplete": 1}}


def test_for_people_it_says_what_followed(selo: Selo) -> None:
    status, printed = selo("night", "--now", NOW_TEXT)
    assert status == 0
    assert "what followed from them" in printed
    assert "persona_evolution" in printed
    status, printed = selo("night", "--now", NOW_TEXT)
    assert (status, "what followed" in printed) == (0, False)
