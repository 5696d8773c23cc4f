"""Each trait that was moved drifts home a little, once a night, after the daily, without a model."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from selo_dagster.clock import FixedClock, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.people.persona import Drift, drifts_of
from selo_dagster.people.trait_rules import drift
from selo_dagster.reflections.claim import Claim, ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.settle import Made, Settlement
from selo_dagster.reflections.shapes.reassessment import MadeReassessment
from selo_dagster.sagas.downstream import Downstream
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from tests.people.evolving import add_traits, evolved, set_trait, values
from tests.support.fakes import NOW, FakeModel, add_person, run_cohort, say

REASSESSMENT = KINDS["persona_reassessment"]
DIRECT = Downstream(registry(), load_settings({"SELO_PERSONA_PATH": "direct", "SELO_GOALS_FROM_REFLECTIONS": "0"}))


@pytest.fixture
def ana(store: Store) -> Store:
    """Ana in Lisbon, who said something on Sunday, and towards whom wit was made and moved far from its home."""
    add_person(store, "ana", zone="Europe/Lisbon")
    say(store, "ana", "2026-11-22T21:00:00Z", "I walked by the sea")
    evolved(store, "e1", ("wit", 0.2))
    evolved(store, "e2", ("wit", 0.2))
    assert values(store)["wit"] == 0.9
    return store


def drifts(store: Store, user: str = "ana") -> dict[str, float]:
    """Return what drifts, and by how much."""
    with store.read() as connection:
        return {one.name: one.delta for one in drifts_of(connection, [user])[user] if one.delta}


def reassessed(store: Store, model: FakeModel | None = None, **more: Any) -> list[Settlement]:
    """Do what is due of it now."""
    look(store, REASSESSMENT, NOW, 3)
    return run_cohort(store, model, kind=REASSESSMENT, on_made=DIRECT, **more)


class TestDrifts:
    def test_a_trait_that_was_moved_drifts_home_by_the_rule(self, ana: Store) -> None:
        assert drifts(ana) == {"wit": drift("wit", 0.9, 0.5)}
        assert drift("wit", 0.9, 0.5) == -0.0204
        set_trait(ana, "wit", stability=0.0)
        assert drifts(ana) == {"wit": -0.024}

    def test_one_that_nobody_has_moved_stays_wherever_it_is(self, store: Store) -> None:
        add_person(store, "ana")
        assert drifts(store) == {}
        add_traits(store, {"name": "wit", "category": "general", "value": 0.9})
        assert drifts(store) == {}
        evolved(store, "e1", ("wit", -0.01))
        assert list(drifts(store)) == ["wit"]

    def test_a_locked_one_stays(self, ana: Store) -> None:
        set_trait(ana, "wit", locked=True)
        assert drifts(ana) == {}

    def test_one_near_its_home_stays(self, ana: Store) -> None:
        set_trait(ana, "wit", value=0.6)
        assert drifts(ana) == {}

    def test_each_person_has_drifts_of_their_own(self, ana: Store) -> None:
        add_person(ana, "ben")
        add_person(ana, "cy")
        evolved(ana, "e3", ("grit", -0.2), user="ben")
        evolved(ana, "e4", ("grit", -0.2), user="ben")
        with ana.read() as connection:
            found = drifts_of(connection, ["ana", "ben", "cy"])
        assert {user: [one for one in each if one.delta] for user, each in found.items()} == {
            "ana": [Drift("wit", -0.0204)],
            "ben": [Drift("grit", 0.0204)],
            "cy": [],
        }


def test_it_is_due_at_three_of_the_persons_own_night_once_the_daily_is_done(ana: Store) -> None:
    before, at = parse_instant("2026-11-23T02:59:00Z"), parse_instant("2026-11-23T03:00:00Z")
    assert enrol(ana, REASSESSMENT, at, 3).waiting == 1
    enrol(ana, DAILY, before, 3)
    run_cohort(ana, clock=FixedClock(before))
    assert (enrol(ana, REASSESSMENT, at, 3).due, enrol(ana, REASSESSMENT, at, 3).due) == (1, 0)


def test_before_three_it_is_not_due_although_the_daily_is_done(ana: Store) -> None:
    before = parse_instant("2026-11-23T02:59:00Z")
    enrol(ana, DAILY, before, 3)
    run_cohort(ana, clock=FixedClock(before))
    found = enrol(ana, REASSESSMENT, before, 3)
    assert (found.due, found.waiting) == (0, 0)


@pytest.fixture
def night(ana: Store) -> Store:
    """The same, after that night's daily."""
    enrol(ana, DAILY, NOW, 3)
    run_cohort(ana)
    return ana


def test_it_lets_what_is_far_from_home_drift_and_asks_no_model(night: Store) -> None:
    model = FakeModel()
    (settled,) = reassessed(night, model)
    assert (settled.outcome, settled.on.isoformat(), settled.cost.model_calls) == ("done", "2026-11-22", 0)
    assert model.asked == []
    assert values(night)["wit"] == 0.8796
    assert reassessed(night, run_id="again") == []
    assert values(night)["wit"] == 0.8796


def test_where_nothing_drifts_it_is_unchanged(night: Store) -> None:
    set_trait(night, "wit", value=0.55)
    (settled,) = reassessed(night)
    assert (settled.outcome, settled.reason) == ("unchanged", "nothing_new")
    assert values(night)["wit"] == 0.55


def test_night_after_night_a_trait_comes_home_and_not_past_it(night: Store) -> None:
    seen = [values(night)["wit"]]
    now = NOW
    for _ in range(40):
        now += timedelta(days=1)
        say(night, "ana", now - timedelta(hours=20), "one more day")
        clock = FixedClock(now)
        for kind in (DAILY, REASSESSMENT):
            look(night, kind, now, 3)
            run_cohort(night, kind=kind, clock=clock, on_made=DIRECT, run_id=f"{kind.name}{now:%d%m}")
        seen.append(values(night)["wit"])
    # It stops where a day would move it by less than a hundredth.
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == 0.9
    assert 0.5 < seen[-1] < 0.72
    assert seen[-1] == seen[-5]


def test_one_person_for_whom_nothing_can_be_asked_keeps_nobody_else_from_drifting(night: Store) -> None:
    add_person(night, "ben")
    say(night, "ben", "2026-11-22T21:00:00Z", "Hello")
    for number in (1, 2):
        evolved(night, f"b{number}", ("wit", 0.2), user="ben")
    enrol(night, DAILY, NOW, 3)
    run_cohort(night, run_id="daily of ben")
    look(night, REASSESSMENT, NOW, 3)

    def refusing(connection: Connection, claim: Claim, made: Made, now: datetime) -> None:
        if claim.user_id == "ben":
            raise SeloError("changed_definition", "no")
        DIRECT(connection, claim, made, now)

    found = {one.user_id: (one.outcome, one.reason) for one in run_cohort(night, kind=REASSESSMENT, on_made=refusing)}
    assert found == {"ana": ("done", None), "ben": ("failed", "SeloError")}
    assert (values(night)["wit"], values(night, "ben")["wit"]) == (0.8796, 0.9)


def test_a_person_who_said_nothing_that_day_is_not_reassessed(store: Store) -> None:
    add_person(store, "quiet")
    evolved(store, "e1", ("wit", 0.2), user="quiet")
    assert reassessed(store) == []
    with store.read() as connection:
        assert connection.execute(select(ledger)).all() == []


def test_what_it_makes_is_one_wish_for_each_trait_that_drifts() -> None:
    class _Context:
        report = (Drift("wit", -0.02), Drift("calm", 0.0), Drift("grit", 0.03))

    made = REASSESSMENT.shape.computed(_Context(), lambda: "m1")  # type: ignore[arg-type]
    assert made == MadeReassessment(
        "m1",
        (
            {"name": "wit", "delta": -0.02, "reason": "drifts home"},
            {"name": "grit", "delta": 0.03, "reason": "drifts home"},
        ),
    )
