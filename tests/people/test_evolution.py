"""A persona changes within its limits, remembers what was really applied, and loses exactly that when it is undone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from selo_dagster.people.evolution import Applied
from selo_dagster.people.evolution_tables import persona_changes, persona_evolutions
from selo_dagster.people.persona import INITIAL_TRAITS
from selo_dagster.people.tables import persona_traits
from selo_dagster.people.trait_rules import MOST_TRAITS, RANGES, category_of
from selo_dagster.store.engine import Store
from tests.people.evolving import (
    INITIAL,
    add_traits,
    changes_of,
    evolution,
    evolved,
    set_trait,
    taken_back,
    trait,
    values,
)
from tests.support.fakes import NOW, add_person


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana."""
    add_person(store, "ana")
    return store


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """PostgreSQL only: connections that really write at the same time."""
    opened = Store(postgres_url, pool_size=8)
    add_person(opened, "ana")
    yield opened
    opened.close()


class TestAWish:
    def test_it_moves_its_trait_and_says_from_where_to_where_and_why(self, store: Store) -> None:
        (one,) = evolved(store, "e1", ("Empathy", 0.05, "she listened"))
        assert (one.trait, one.category, one.before, one.after) == ("empathy", "emotional", 0.8, 0.85)
        assert (one.requested, one.applied, one.made, one.locked) == (0.05, 0.05, False, False)
        assert one.reason == "she listened"
        assert values(store) == INITIAL | {"empathy": 0.85}
        assert (trait(store, "empathy").version, trait(store, "curiosity").version) == (2, 1)

    def test_the_initial_traits_are_stored_with_the_first_change_and_not_again(self, store: Store) -> None:
        assert values(store) == {}
        evolved(store, "e1")
        assert values(store) == INITIAL
        rows = {row.name: (row.category, row.made_by) for row in (trait(store, name) for name in INITIAL)}
        assert rows == {one.name: (one.category, None) for one in INITIAL_TRAITS}
        set_trait(store, "empathy", value=0.3)
        evolved(store, "e2", ("curiosity", -0.1))
        assert values(store) == INITIAL | {"empathy": 0.3, "curiosity": 0.7}

    def test_a_persona_that_has_traits_already_gets_no_initial_ones(self, store: Store) -> None:
        add_traits(store, {"name": "calm", "category": "emotional", "value": 0.4})
        evolved(store, "e1", ("calm", 0.1))
        assert values(store) == {"calm": 0.5}

    def test_wishes_for_one_trait_are_one_under_whatever_spelling(self, store: Store) -> None:
        (one,) = evolved(store, "e1", ("empathy", 0.1, "a"), ("EMPATHY ", -0.04, "b"), ("empathy", 0.01))
        assert (one.requested, one.applied, one.after, one.reason) == (0.07, 0.07, 0.87, "a; b")
        assert trait(store, "empathy").version == 2

    def test_wishes_without_a_name_come_to_nothing(self, store: Store) -> None:
        assert evolved(store, "e1", ("!?", 0.1), ("", 0.1), ("12", 0.1)) == []
        assert values(store) == INITIAL

    def test_one_evolution_moves_a_trait_by_at_most_a_fifth(self, store: Store) -> None:
        found = evolved(store, "e1", ("curiosity", -0.9), ("creativity", 0.15), ("creativity", 0.15), ("wit", 0.7))
        assert [(one.trait, one.requested, one.applied, one.after) for one in found] == [
            ("creativity", 0.3, 0.2, 0.8),
            ("curiosity", -0.9, -0.2, 0.6),
            ("wit", 0.7, 0.2, 0.7),
        ]

    @pytest.mark.parametrize(
        ("name", "value", "delta", "applied", "after"),
        [
            ("empathy", 0.95, 0.2, 0.05, 1.0),
            ("empathy", 0.15, -0.2, -0.05, 0.1),
            ("politeness", 0.25, -0.2, -0.05, 0.2),
            ("curiosity", 0.05, -0.2, -0.05, 0.0),
            ("curiosity", 1.0, 0.2, 0.0, 1.0),
        ],
    )
    def test_at_the_end_of_its_range_less_is_applied_than_requested(
        self, store: Store, name: str, value: float, delta: float, applied: float, after: float
    ) -> None:
        evolved(store, "e0")
        set_trait(store, name, value=value)
        (one,) = evolved(store, "e1", (name, delta))
        assert (one.before, one.requested, one.applied, one.after) == (value, delta, applied, after)
        assert values(store)[name] == after
        # Taken back is what was applied, not what was requested.
        assert taken_back(store, "e1")
        assert values(store)[name] == value

    def test_what_comes_to_nothing_is_no_new_version_of_its_trait(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.1), ("empathy", -0.1))
        assert trait(store, "empathy").version == 1

    def test_people_have_personas_of_their_own(self, store: Store) -> None:
        add_person(store, "ben")
        evolved(store, "e1", ("empathy", -0.1), ("wit", 0.1))
        evolved(store, "e2", ("empathy", 0.1), user="ben")
        assert values(store) == INITIAL | {"empathy": 0.7, "wit": 0.6}
        assert values(store, "ben") == INITIAL | {"empathy": 0.9}
        assert taken_back(store, "e2", user="ben")
        assert (values(store)["empathy"], values(store, "ben")) == (0.7, INITIAL)


class TestALock:
    def test_a_locked_trait_stays_and_the_others_move(self, store: Store) -> None:
        evolved(store, "e0")
        set_trait(store, "empathy", locked=True)
        found = evolved(store, "e1", ("empathy", 0.1), ("curiosity", 0.1))
        assert [(one.trait, one.requested, one.applied, one.after, one.locked) for one in found] == [
            ("curiosity", 0.1, 0.1, 0.9, False),
            ("empathy", 0.1, 0.0, 0.8, True),
        ]
        assert values(store) == INITIAL | {"curiosity": 0.9}
        assert taken_back(store, "e1")
        assert values(store) == INITIAL

    def test_it_stops_evolutions_but_not_that_one_from_before_it_is_taken_back(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.1))
        evolved(store, "e2", ("empathy", 0.05))
        set_trait(store, "empathy", locked=True)
        assert taken_back(store, "e1")
        assert values(store) == INITIAL | {"empathy": 0.85}
        assert trait(store, "empathy").locked

    def test_integrity_is_locked_from_the_beginning_whether_it_is_there_or_not(self, store: Store) -> None:
        (one,) = evolved(store, "e1", ("Integrity", -0.2))
        assert (one.applied, one.made, one.locked) == (0.0, False, True)
        assert "integrity" not in values(store)
        add_traits(store, {"name": "integrity", "category": "general", "value": 0.9})
        (one,) = evolved(store, "e2", ("integrity", -0.2))
        assert (one.before, one.applied, one.after, one.locked) == (0.9, 0.0, 0.9, True)
        assert values(store)["integrity"] == 0.9


class TestTheEndOfARange:
    @pytest.mark.parametrize("order", list(permutations(("e1", "e2", "e3"))))
    def test_it_makes_no_difference_in_which_order_evolutions_are_taken_back(
        self, store: Store, order: tuple[str, ...]
    ) -> None:
        for number, delta in enumerate((-0.2, 0.2, 0.1), 1):
            evolved(store, f"e{number}", ("helpfulness", delta), now=NOW + timedelta(days=number))
        assert values(store)["helpfulness"] == 1.0
        for one in order:
            assert taken_back(store, one)
        assert values(store) == INITIAL

    def test_nor_does_it_which_ids_those_have_that_were_made_at_one_instant(self, store: Store) -> None:
        for one, delta in (("e3", -0.2), ("e1", 0.2), ("e2", 0.1)):
            evolved(store, one, ("helpfulness", delta))
        for one, left in (("e3", 1.0), ("e1", 1.0), ("e2", 0.9)):
            assert taken_back(store, one)
            assert values(store)["helpfulness"] == left

    @pytest.mark.parametrize(
        ("gone", "left"), [("e1", 1.0), ("e2", 0.8), ("e3", 0.9)], ids=["the_fall", "the_rise", "the_top"]
    )
    def test_what_stands_is_as_if_the_other_had_never_been(self, store: Store, gone: str, left: float) -> None:
        for number, delta in enumerate((-0.2, 0.2, 0.1), 1):
            evolved(store, f"e{number}", ("helpfulness", delta), now=NOW + timedelta(days=number))
        assert taken_back(store, gone)
        assert values(store)["helpfulness"] == left

    def test_what_somebody_else_has_set_meanwhile_is_kept_beside(self, store: Store) -> None:
        evolved(store, "e1", ("helpfulness", -0.2))
        evolved(store, "e2", ("helpfulness", 0.05), now=NOW + timedelta(days=1))
        set_trait(store, "helpfulness", value=0.4)
        assert taken_back(store, "e1", now=NOW + timedelta(days=2))
        assert values(store)["helpfulness"] == 0.6


class TestANewTrait:
    @pytest.mark.parametrize(
        ("name", "delta", "category", "value"),
        [("wit", 0.1, "general", 0.6), ("calm", -0.2, "emotional", 0.3), ("humor", 0.0, "communication", 0.5)],
    )
    def test_it_begins_in_the_middle_plus_what_is_wished_for(
        self, store: Store, name: str, delta: float, category: str, value: float
    ) -> None:
        (one,) = evolved(store, "e1", (name, delta))
        assert (one.before, one.applied, one.after, one.made) == (None, delta, value, True)
        row = trait(store, name)
        assert (row.value, row.category, row.made_by, row.version) == (value, category, "e1", 1)

    def test_a_persona_holds_so_many_and_more_wishes_for_new_ones_come_to_nothing(self, store: Store) -> None:
        room = MOST_TRAITS - len(INITIAL_TRAITS)
        found = evolved(store, "e1", *[(f"t{number:02}", 0.1) for number in range(room + 2)])
        assert [one.made for one in found] == [True] * room + [False] * 2
        assert all(one.locked and not one.applied for one in found[room:])
        assert len(values(store)) == MOST_TRAITS
        (one, other) = evolved(store, "e2", ("wit", 0.1), ("empathy", 0.1))
        assert (one.applied, other.made, other.locked) == (0.1, False, True)
        # There is room again once the others are gone.
        assert taken_back(store, "e1")
        (one,) = evolved(store, "e3", ("wit", 0.1))
        assert (one.made, values(store)["wit"]) == (True, 0.6)

    def test_it_goes_with_the_evolution_that_made_it(self, store: Store) -> None:
        evolved(store, "e1", ("wit", 0.1))
        assert taken_back(store, "e1")
        assert values(store) == INITIAL

    def test_moved_by_another_it_stays_without_the_share_of_the_one_that_made_it(self, store: Store) -> None:
        evolved(store, "e1", ("wit", 0.1))
        evolved(store, "e2", ("wit", 0.07))
        assert taken_back(store, "e1")
        assert values(store) == INITIAL | {"wit": 0.57}

    @pytest.mark.parametrize("order", [("e1", "e2"), ("e2", "e1")])
    def test_it_goes_with_the_last_evolution_that_used_it(self, store: Store, order: tuple[str, str]) -> None:
        evolved(store, "e1", ("wit", 0.1))
        evolved(store, "e2", ("wit", 0.07))
        for one in order:
            assert taken_back(store, one)
        assert values(store) == INITIAL

    def test_it_stays_as_long_as_the_one_that_made_it_stands_also_if_that_moved_nothing(self, store: Store) -> None:
        evolved(store, "e1", ("wit", 0.0))
        evolved(store, "e2", ("wit", 0.07))
        assert taken_back(store, "e2")
        assert values(store) == INITIAL | {"wit": 0.5}
        assert taken_back(store, "e1")
        assert values(store) == INITIAL

    def test_one_that_was_there_before_is_never_removed(self, store: Store) -> None:
        add_traits(store, {"name": "wit", "category": "general", "value": 0.3})
        evolved(store, "e1", ("wit", 0.1))
        assert taken_back(store, "e1")
        assert values(store) == {"wit": 0.3}

    def test_one_that_somebody_has_removed_meanwhile_is_not_made_again_by_an_undo(self, store: Store) -> None:
        evolved(store, "e1", ("wit", 0.1), ("empathy", 0.1))
        with store.write() as connection:
            connection.execute(persona_traits.delete().where(persona_traits.c.name == "wit"))
        assert taken_back(store, "e1")
        assert values(store) == INITIAL

    def test_made_again_after_its_end_it_is_the_second_makers(self, store: Store) -> None:
        evolved(store, "e1", ("wit", 0.1))
        taken_back(store, "e1")
        evolved(store, "e2", ("wit", 0.02))
        assert not taken_back(store, "e1")
        assert (trait(store, "wit").made_by, values(store)["wit"]) == ("e2", 0.52)


class TestTheRecord:
    def test_it_keeps_what_was_requested_and_applied_and_how_much_that_was_in_all(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.9, "why"), ("helpfulness", -0.15), ("wit", 0.05))
        row = evolution(store, "e1")
        assert (row.user_id, row.source, row.evidence, row.saga_id) == ("ana", "reflection:e1", ["memory:m1"], None)
        assert (row.state, row.review, row.reversed_at, row.created_at) == ("applied", "unreviewed", None, NOW)
        assert (row.confidence, row.model, row.prompt_version) == (0.8, "fake", "v1")
        assert row.impact == 0.4
        found = [
            (one.trait, one.before, one.requested, one.applied, one.after, one.made) for one in changes_of(store, "e1")
        ]
        assert found == [
            ("empathy", 0.8, 0.9, 0.2, 1.0, False),
            ("helpfulness", 0.9, -0.15, -0.15, 0.75, False),
            ("wit", None, 0.05, 0.05, 0.55, True),
        ]
        assert changes_of(store, "e1")[0].reason == "why"

    def test_an_impact_is_never_more_than_one(self, store: Store) -> None:
        evolved(store, "e1", *[(f"t{number}", 0.2) for number in range(9)])
        assert evolution(store, "e1").impact == 1.0

    def test_an_evolution_that_came_to_nothing_is_remembered_too(self, store: Store) -> None:
        evolved(store, "e1")
        assert (evolution(store, "e1").impact, changes_of(store, "e1")) == (0.0, [])

    def test_taken_back_it_stays_and_says_when(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.05))
        later = NOW + timedelta(days=3)
        assert taken_back(store, "e1", now=later)
        row = evolution(store, "e1")
        assert (row.state, row.reversed_at, row.impact) == ("reversed", later, 0.05)
        assert len(changes_of(store, "e1")) == 1

    def test_taken_back_twice_it_changes_nothing_the_second_time(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.05))
        assert taken_back(store, "e1")
        assert not taken_back(store, "e1", now=NOW + timedelta(days=3))
        assert values(store) == INITIAL
        assert evolution(store, "e1").reversed_at == NOW

    def test_what_never_was_cannot_be_taken_back(self, store: Store) -> None:
        evolved(store, "e1", ("empathy", 0.05))
        assert not taken_back(store, "e2")
        assert values(store) == INITIAL | {"empathy": 0.85}


def test_two_evolutions_at_once_lose_neither_share(postgres_store: Store) -> None:
    barrier = threading.Barrier(4)
    broken: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(10)
            for turn in range(5):
                evolved(postgres_store, f"e{number}-{turn}", ("empathy", -0.02), (f"t{number % 2}", 0.01))
        except BaseException as raised:  # noqa: BLE001 - told by the test's own thread
            broken.append(raised)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert broken == []
    # Twenty of each: 0.8 - 20 * 0.02, and ten for each new trait, one of which made it.
    assert values(postgres_store) == INITIAL | {"empathy": 0.4, "t0": 0.6, "t1": 0.6}
    with postgres_store.read() as connection:
        made = connection.execute(select(func.count()).where(persona_changes.c.made)).scalar_one()
    assert made == 2


# Six evolutions of at most 0.015 a trait: no range is touched, wherever they begin.
SMALL = st.integers(-15_000, 15_000).map(lambda millionths: millionths / 1_000_000)
NAMES = ("empathy", "helpfulness", "politeness", "wit", "calm")
small_evolutions = st.lists(st.dictionaries(st.sampled_from(NAMES), SMALL, max_size=4), min_size=1, max_size=6)
any_evolutions = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.floats(-1, 1)), max_size=4), min_size=1, max_size=8
)
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_people = count()


def somebody(store: Store) -> str:
    """Add another person; returns who it is."""
    name = f"p{next(_people)}"
    add_person(store, name)
    return name


@MANY
@given(small_evolutions, st.data())
def test_whichever_are_taken_back_the_applied_shares_of_the_others_stay_exactly(
    store: Store, wished: list[dict[str, float]], data: st.DataObject
) -> None:
    user = somebody(store)
    shares: dict[str, dict[str, float]] = {}
    for number, deltas in enumerate(wished):
        name = f"{user}-{number}"
        applied = evolved(store, name, *deltas.items(), user=user)
        assert {one.trait: one.applied for one in applied} == deltas
        # What was neither moved nor made is no share.
        shares[name] = {one.trait: one.applied for one in applied if one.applied or one.made}
    for gone in data.draw(st.permutations(list(shares)).map(lambda some: some[: len(some) // 2 + 1])):
        assert taken_back(store, gone, user=user)
        del shares[gone]
        sums = dict(INITIAL)
        for share in shares.values():
            for one, delta in share.items():
                sums[one] = sums.get(one, 0.5) + delta
        assert values(store, user) == {one: round(value, 6) for one, value in sums.items()}


@MANY
@given(any_evolutions, st.data())
def test_whatever_is_wished_for_and_taken_back_values_stay_in_their_ranges(
    store: Store, wished: list[list[tuple[str, float]]], data: st.DataObject
) -> None:
    user = somebody(store)
    standing: list[str] = []
    for number, wishes in enumerate(wished):
        name = f"{user}-{number}"
        for one in evolved(store, name, *wishes, user=user):
            assert abs(one.applied) <= 0.2
            assert one.after == round((0.5 if one.before is None else one.before) + one.applied, 6)
        standing.append(name)
        if data.draw(st.booleans()):
            assert taken_back(store, standing.pop(data.draw(st.integers(0, len(standing) - 1))), user=user)
        for trait_, value in values(store, user).items():
            low, high = RANGES.get(category_of(trait_), (0.0, 1.0))
            assert low <= value <= high
            assert value == round(value, 6)


@MANY
@given(any_evolutions, st.data())
def test_taken_back_in_any_order_and_between_others_the_persona_is_where_those_that_stand_have_brought_it(
    store: Store, wished: list[list[tuple[str, float]]], data: st.DataObject
) -> None:
    user = somebody(store)
    standing: list[tuple[str, list[Applied]]] = []

    def take_back_one() -> None:
        name, _ = standing.pop(data.draw(st.integers(0, len(standing) - 1)))
        assert taken_back(store, name, user=user)
        assert values(store, user) == brought_by([applied for _, applied in standing])

    for number, wishes in enumerate(wished):
        name = f"{user}-{number}"
        standing.append((name, evolved(store, name, *wishes, user=user, now=NOW + timedelta(days=number))))
        if data.draw(st.booleans()):
            take_back_one()
    while standing:
        take_back_one()
    assert values(store, user) == INITIAL


@MANY
@given(any_evolutions)
def test_taken_back_from_the_newest_on_everything_is_as_it_was_also_at_the_ends_of_the_ranges(
    store: Store, wished: list[list[tuple[str, float]]]
) -> None:
    user = somebody(store)
    before = []
    for number, wishes in enumerate(wished):
        before.append(values(store, user) or INITIAL)
        evolved(store, f"{user}-{number}", *wishes, user=user)
    for number in reversed(range(len(wished))):
        assert taken_back(store, f"{user}-{number}", user=user)
        assert values(store, user) == before[number]
    with store.read() as connection:
        states = connection.execute(
            select(persona_evolutions.c.state).where(persona_evolutions.c.user_id == user)
        ).scalars()
        assert set(states) == {"reversed"}


def brought_by(standing: list[list[Applied]]) -> dict[str, float]:
    """Return where shares bring a persona from its beginning, each held within its range."""
    found = dict(INITIAL)
    for one in (one for applied in standing for one in applied if one.applied or one.made):
        low, high = RANGES.get(one.category, (0.0, 1.0))
        found[one.trait] = round(min(high, max(low, found.get(one.trait, 0.5) + one.applied)), 6)
    return found
