"""A persona as it is shown: its values, its health, what came to an end, and a history that ends where it is now."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selo_dagster.people.devolution import take_back
from selo_dagster.people.evolution import Record, Wish, evolve, record
from selo_dagster.people.persona_reading import (
    Point,
    evolutions_shown,
    history_of,
    persona_shown,
    saturated_people,
)
from selo_dagster.people.trait_rules import baseline_of
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, add_traits, evolved, set_trait, taken_back, values
from tests.support.fakes import NOW, add_person

FAR_UP = [{"name": f"t{number}", "category": "general", "value": 0.95} for number in range(4)]


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana and Ben."""
    add_person(store, "ana")
    add_person(store, "ben")
    return store


def shown(store: Store, user: str = "ana") -> dict[str, object]:
    """Return a persona as it is shown."""
    with store.read() as connection:
        return persona_shown(connection, user)


def history(store: Store, user: str = "ana", trait: str | None = None) -> list[Point]:
    """Return how a person's traits came along."""
    with store.read() as connection:
        return history_of(connection, user, trait)


class TestThePersona:
    def test_nobody_has_changed_it_yet(self, store: Store) -> None:
        found = shown(store)
        assert found["traits"][0] == {  # type: ignore[index]
            "name": "analytical_thinking",
            "category": "cognitive",
            "value": 0.7,
            "home": 0.6,
            "locked": False,
            "version": 1,
        }
        assert (len(found["traits"]), found["health"], found["saturated"]) == (9, "healthy", [])  # type: ignore[arg-type]

    def test_each_trait_is_shown_with_its_home_its_lock_and_its_changes(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.1), ("wit", 0.2))
        set_trait(store, "empathy", locked=True)
        by_name = {one["name"]: one for one in shown(store)["traits"]}  # type: ignore[attr-defined]
        assert list(by_name) == sorted([*INITIAL, "wit"])
        assert by_name["empathy"] == {
            "name": "empathy",
            "category": "emotional",
            "value": 0.9,
            "home": 0.7,
            "locked": True,
            "version": 2,
        }
        assert (by_name["wit"]["value"], by_name["wit"]["version"]) == (0.7, 1)
        assert all(one["home"] == baseline_of(name) for name, one in by_name.items())
        assert shown(store, "ben")["traits"] != shown(store)["traits"]

    def test_its_health_and_what_has_come_to_an_end_are_told(self, store: Store) -> None:
        evolved(store, "e1")
        set_trait(store, "helpfulness", value=0.97)
        set_trait(store, "creativity", value=0.02)
        found = shown(store)
        assert (found["health"], found["saturated"]) == ("monitoring", ["creativity", "helpfulness"])
        add_traits(store, *FAR_UP)
        assert shown(store)["health"] == "needs_attention"


def test_people_are_counted_whose_personas_have_come_to_more_ends_than_a_healthy_one(store: Store) -> None:
    def saturated() -> int:
        with store.read() as connection:
            return saturated_people(connection)

    assert saturated() == 0
    add_traits(store, *FAR_UP[:3])
    add_traits(store, *FAR_UP, user="ben")
    assert saturated() == 1
    add_traits(store, {"name": "low", "category": "general", "value": 0.0})
    assert saturated() == 2


class TestEvolutions:
    def test_they_are_shown_newest_first_with_what_they_changed(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.3, "why"), now=NOW - timedelta(days=1))
        evolved(store, "e2", ("wit", 0.1))
        evolved(store, "e3", user="ben", now=NOW + timedelta(days=1))
        with store.read() as connection:
            assert [one["id"] for one in evolutions_shown(connection)] == ["e3", "e2", "e1"]
            newest, oldest = evolutions_shown(connection, user_id="ana")
            assert [one["id"] for one in evolutions_shown(connection, limit=1)] == ["e3"]
        assert (newest["source"], newest["saga"], newest["impact"], newest["changes"][0]["made"]) == (
            "reflection:e2",
            None,
            0.1,
            True,
        )
        (change,) = oldest["changes"]
        assert (change["trait"], change["requested"], change["applied"], change["reason"]) == (
            "empathy",
            0.3,
            0.2,
            "why",
        )

    def test_what_was_taken_back_needs_no_judgement(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.1))
        evolved(store, "e2", ("empathy", 0.1), now=NOW + timedelta(hours=1))
        taken_back(store, "e1", now=NOW + timedelta(hours=2))
        with store.read() as connection:
            assert [one["id"] for one in evolutions_shown(connection, unreviewed=True)] == ["e2"]
            first = evolutions_shown(connection)[1]
        assert (first["id"], first["state"], first["reversed_at"]) == ("e1", "reversed", NOW + timedelta(hours=2))


class TestHistory:
    def test_every_evolution_and_every_undo_is_a_point(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.1), now=NOW)
        evolved(store, "e2", ("empathy", -0.05), ("wit", 0.1), now=NOW + timedelta(hours=1))
        taken_back(store, "e1", now=NOW + timedelta(hours=2))
        assert history(store, trait="empathy") == [
            Point("empathy", NOW, 0.9, "e1"),
            Point("empathy", NOW + timedelta(hours=1), 0.85, "e2"),
            Point("empathy", NOW + timedelta(hours=2), 0.75, "e1"),
        ]
        assert [one.trait for one in history(store)] == ["empathy", "empathy", "wit", "empathy"]
        assert history(store, "ben") == []
        assert history(store, trait="nothing") == []

    def test_what_came_to_nothing_is_no_point(self, store: Store) -> None:
        evolved(store, "e1", ("integrity", 0.1), ("empathy", 0.0))
        assert history(store) == []

    @pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
    def test_several_at_one_instant_follow_from_each_other_whatever_their_ids(
        self, store: Store, names: tuple[str, ...]
    ) -> None:
        for name, delta in zip(names, (0.1, -0.15, 0.02), strict=True):
            evolved(store, name, ("empathy", delta))
        assert [one.value for one in history(store)] == [0.9, 0.75, 0.77]

    def test_several_at_one_instant_follow_from_each_other_wherever_the_trait_began(self, store: Store) -> None:
        add_traits(store, {"name": "empathy", "category": "emotional", "value": 0.33})
        for name in ("c", "b", "a"):
            evolved(store, name, ("empathy", 0.1))
        assert [one.value for one in history(store)] == [0.43, 0.53, 0.63]

    @pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
    def test_an_undo_in_the_same_transaction_as_the_next_evolution_comes_before_it(
        self, store: Store, first: str, second: str
    ) -> None:
        evolved(store, first, ("empathy", 0.1), ("wit", 0.1), now=NOW - timedelta(hours=1))
        with store.write() as connection:
            take_back(connection, "ana", first, NOW)
            applied = evolve(connection, "ana", second, [Wish("empathy", 0.05, ""), Wish("wit", 0.02, "")])
            record(connection, Record(second, "ana", "s", [], 0.8, "fake", "v1", applied, NOW))
        assert [one.value for one in history(store, trait="empathy")] == [0.9, 0.8, 0.85]
        assert [one.value for one in history(store, trait="wit")] == [0.6, 0.5, 0.52]

    def test_one_that_is_done_and_undone_at_one_instant_leaves_no_trace_in_the_next(self, store: Store) -> None:
        evolved(store, "b", ("wit", 0.1))
        taken_back(store, "b")
        evolved(store, "a", ("wit", 0.2))
        assert [one.value for one in history(store)] == [0.6, 0.5, 0.7]


_people = count()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["empathy", "wit", "politeness"]), st.floats(-0.3, 0.3), st.booleans()),
        min_size=1,
        max_size=7,
    ),
    st.data(),
)
def test_a_history_ends_at_the_present_value_whatever_was_done_and_undone(
    store: Store, wishes: list[tuple[str, float, bool]], data: st.DataObject
) -> None:
    user = f"p{next(_people)}"
    add_person(store, user)
    standing: list[str] = []
    for number, (name, delta, undo) in enumerate(wishes):
        at = NOW + timedelta(hours=number)
        standing.append(f"{user}-{number}")
        evolved(store, standing[-1], (name, delta), user=user, now=at)
        if undo:
            gone = standing.pop(data.draw(st.integers(0, len(standing) - 1)))
            taken_back(store, gone, user=user, now=at + timedelta(minutes=1))
    ends = {one.trait: one.value for one in history(store, user)}
    present = values(store, user)
    # A new trait that went again ends where it began.
    assert ends == {name: present.get(name, 0.5) for name in ends}
    assert {name for name in present if present[name] != INITIAL.get(name)} <= set(ends)
