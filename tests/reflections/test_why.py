"""`selo why` answers, for every case that an operator may ask about."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from sqlalchemy import update

from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.answers import person, why
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.pauses import pause
from selo_dagster.resources.guard import Limits, look
from selo_dagster.resources.sample import Sample
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, add_person, run_cohort, say

LIMITS = Limits(80, 80, 90, 97, 100)


async def broken(_: CompletionRequest) -> str:
    """Fail for good."""
    raise ModelError("auth")


def told(store: Store, kind: str = "daily", on: str = "2026-11-22", now: datetime = NOW) -> tuple[str, str | None]:
    """Return outcome and reason; every answer has a sentence."""
    with store.read() as connection:
        user_id, _, zones = person(connection, "ana")
        found = why(connection, KINDS[kind], user_id, zones, date.fromisoformat(on), now)
    assert found.detail.endswith(".")
    return found.outcome, found.reason


@pytest.fixture
def ana(store: Store) -> Store:
    """Ana, who spoke on Sunday."""
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T21:00:00Z", "I walked by the sea")
    return store


def test_never_wrote(store: Store) -> None:
    add_person(store, "ana")
    enrol(store, DAILY, NOW, 3)
    assert {told(store, kind)[1] for kind in ("daily", "mantra", "relationship_questions", "adaptive", "one_off")} == {
        "never_interacted"
    }


def test_nothing_new(ana: Store) -> None:
    enrol(ana, DAILY, datetime.fromisoformat("2026-11-24T12:00:00+00:00"), 3)
    assert told(ana, on="2026-11-23", now=datetime.fromisoformat("2026-11-24T12:00:00+00:00")) == (
        "skipped",
        "nothing_new",
    )


def test_deferred_by_the_guard_until_it_opens(ana: Store) -> None:
    enrol(ana, DAILY, NOW, 3)
    for _ in range(2):
        look(ana, lambda: Sample(95.0, 20.0, 20.0), LIMITS, fresh_s=0)
    assert told(ana) == ("deferred", "resources")
    for _ in range(2):
        look(ana, lambda: Sample(5.0, 20.0, 20.0), LIMITS, fresh_s=0)
    assert told(ana) == ("due", None)


def test_deferred_because_nobody_could_tell(ana: Store) -> None:
    enrol(ana, DAILY, NOW, 3)
    look(ana, lambda: Sample(None, 20.0, 20.0), LIMITS, fresh_s=0)
    assert told(ana) == ("deferred", "resources")


def test_waiting_for_the_daily(ana: Store) -> None:
    enrol(ana, KINDS["mantra"], NOW, 3)
    assert told(ana, "mantra") == ("deferred", "waiting_for_daily")


def test_paused(ana: Store) -> None:
    enrol(ana, DAILY, NOW, 3)
    with ana.write() as connection:
        pause(connection, kind="daily", user_id=None, because="a reason", now=NOW)
    assert told(ana) == ("deferred", "paused")


def test_failed_twice(ana: Store) -> None:
    enrol(ana, DAILY, NOW, 3)
    run_cohort(ana, FakeModel(broken))
    with ana.write() as connection:
        connection.execute(update(ledger).values(ready_at=NOW))
    run_cohort(ana, FakeModel(broken), run_id="run-2")
    assert told(ana) == ("dead", "auth")


def test_too_old(ana: Store) -> None:
    say(ana, "ana", "2026-11-10T21:00:00Z", "long ago")
    enrol(ana, DAILY, NOW, 3)
    assert told(ana, on="2026-11-10") == ("skipped", "too_old")


def test_done(ana: Store) -> None:
    enrol(ana, DAILY, NOW, 3)
    run_cohort(ana)
    assert told(ana) == ("done", None)


def test_not_ended_and_not_its_date(ana: Store) -> None:
    assert told(ana, on="2026-11-23") == ("skipped", "not_ended")
    assert told(ana, "weekly", on="2026-11-22") == ("skipped", "other_date")
