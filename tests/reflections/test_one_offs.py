"""One-offs: asked for at a time; late is told, lost is never."""

from __future__ import annotations

from datetime import timedelta

import pytest

from selo_dagster.clock import FixedClock
from selo_dagster.reflections.due import ready_count
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.look import look
from selo_dagster.store.engine import Store
from tests.support.command import Selo
from tests.support.fakes import NOW, FakeModel, add_person, remember, run_cohort, say

AT = NOW.isoformat()
ONE_OFF, TRIGGERED = KINDS["one_off"], KINDS["triggered"]


@pytest.fixture
def selo(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    """The command on a database with Ana, who speaks, and Ned, who never did."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    add_person(store, "ana")
    add_person(store, "ned")
    say(store, "ana", "2026-11-22T21:00:00Z", "I walked by the sea")
    remember(store, "ana", "m1", "2026-11-22T21:05:00Z", "Ana loves the winter sea", 0.9)
    remember(store, "ned", "m2", "2026-11-30T21:05:00Z", "later than anything here", 0.9)
    return Selo(capsys)


def test_a_one_off_is_made_at_its_time_from_what_was_given(selo: Selo, store: Store) -> None:
    status, told = selo.json(
        "schedule", "ana", "one_off", "--in", "10m", "--memory", "m1", "--context", '{"topic":"the move"}', "--now", AT
    )
    assert (status, told["due"]) == (0, "2026-11-23T12:10:00Z")
    look(store, ONE_OFF, NOW + timedelta(minutes=9), 3)
    assert run_cohort(store, kind=ONE_OFF) == []
    then = NOW + timedelta(minutes=10)
    look(store, ONE_OFF, then, 3)
    model = FakeModel()
    (one,) = run_cohort(store, model, kind=ONE_OFF, clock=FixedClock(then))
    assert (one.outcome, str(one.on)) == ("done", "2026-11-23")
    shown = {source.source: source.text for source in model.asked[0].evidence}
    assert shown["context"] == "topic: the move"
    assert shown["memory"] == "Ana loves the winter sea"
    look(store, ONE_OFF, then + timedelta(days=1), 3)
    assert run_cohort(store, kind=ONE_OFF, clock=FixedClock(then + timedelta(days=1))) == []


def test_a_night_makes_what_came_due_while_everything_was_down_and_says_how_late(selo: Selo) -> None:
    selo.json("schedule", "ana", "emotional", "--in", "1h", "--memory", "m1", "--now", AT)
    _, night = selo.json("night", "--now", "2026-11-25T12:00:00Z")
    assert night["kinds"]["triggered"]["done"] == 1
    _, told = selo.json("scheduled", "ana")
    (one,) = told["scheduled"]
    assert (one["kind"], one["state"], one["late_s"]) == ("triggered", "placed", 47 * 3600.0)
    _, status = selo.json("status")
    assert status["one_offs"] == {"waiting": 0, "overdue": 0, "placed_late": 1}


def test_somebody_who_never_wrote_is_skipped_as_never_interacted(selo: Selo) -> None:
    selo.json("schedule", "ned", "one_off", "--in", "5m", "--now", AT)
    selo.json("night", "--now", "2026-11-23T13:00:00Z")
    _, told = selo.json("scheduled", "ned")
    assert told["scheduled"][0]["outcome"] == "never_interacted"
    _, told = selo.json("why", "ned", "--on", "2026-11-23", "--now", "2026-11-23T13:00:00Z")
    one = told["kinds"]["one_off"]
    assert (one["outcome"], one["reason"]) == ("skipped", "never_interacted")


def test_a_kind_that_is_made_for_dates_is_done_as_by_hand_at_that_time(selo: Selo) -> None:
    selo.json("schedule", "ana", "daily", "--at", "2026-11-23T15:00:00Z", "--now", AT)
    _, night = selo.json("night", "--now", "2026-11-23T14:00:00Z")
    assert night["kinds"]["daily"]["done"] == 1
    _, again = selo.json("night", "--now", "2026-11-23T15:00:00Z")
    assert again["model_calls"] == 0
    _, told = selo.json("scheduled", "ana")
    assert (told["scheduled"][0]["state"], told["scheduled"][0]["outcome"]) == ("placed", "already_done")


def test_a_one_off_can_be_taken_back_until_it_has_begun(selo: Selo, store: Store) -> None:
    _, told = selo.json("schedule", "ana", "one_off", "--in", "10m", "--now", AT)
    assert selo.json("unschedule", told["id"])[1] == {"id": told["id"], "cancelled": True, "changed": True}
    assert selo.json("unschedule", told["id"])[1]["changed"] is False
    later = NOW + timedelta(hours=1)
    look(store, ONE_OFF, later, 3)
    with store.read() as connection:
        assert ready_count(connection, ONE_OFF, later) == 0
    _, told = selo.json("schedule", "ana", "one_off", "--in", "10m", "--now", AT)
    look(store, ONE_OFF, later, 3)
    run_cohort(store, kind=ONE_OFF, clock=FixedClock(later))
    status, refused = selo.json("unschedule", told["id"])
    assert (status, refused["error"]["code"]) == (2, "already_begun")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ana", "monthly", "--in", "5m"), "unknown_kind"),
        (("nobody", "one_off", "--in", "5m"), "unknown_user"),
        (("ana", "one_off"), "wrong_use"),
        (("ana", "one_off", "--in", "5m", "--at", "2026-11-23T15:00:00Z"), "wrong_use"),
        (("ana", "one_off", "--in", "soon"), "bad_time"),
        (("ana", "one_off", "--at", "2026-11-23T15:00:00"), "naive_time"),
        (("ana", "one_off", "--in", "5m", "--memory", "m2"), "unknown_memory"),
        (("ana", "one_off", "--in", "5m", "--context", "[1]"), "bad_payload"),
        (("ana", "daily", "--in", "5m", "--memory", "m1"), "wrong_use"),
    ],
)
def test_bad_wishes_are_refused_and_leave_nothing(selo: Selo, arguments: tuple[str, ...], code: str) -> None:
    status, refused = selo.json("schedule", *arguments, "--now", AT)
    assert (status, refused["error"]["code"]) == (2, code)
    assert selo.json("scheduled")[1] == {"scheduled": []}


def test_the_causing_memory_is_always_read_however_little_room_there_is(selo: Selo, store: Store) -> None:
    say(store, "ana", "2026-11-22T21:06:00Z", *["much else was said " * 40] * 30, prefix="flood")
    selo.json("schedule", "ana", "memory", "--in", "1m", "--memory", "m1", "--now", AT)
    then = NOW + timedelta(minutes=1)
    look(store, TRIGGERED, then, 3)
    model = FakeModel()
    run_cohort(store, model, kind=TRIGGERED, clock=FixedClock(then), context_characters=600)
    assert "Ana loves the winter sea" in [source.text for source in model.asked[0].evidence]
