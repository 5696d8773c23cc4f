"""Order by dependence: what follows a daily waits for it, and says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from selo_dagster.clock import FixedClock, parse_instant
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.answers import person, why
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.tables import mantras, reflection_sources, reflections
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, add_person, good_mantra, remember, run_cohort, say

MANTRA, QUESTIONS, WEEKLY = KINDS["mantra"], KINDS["relationship_questions"], KINDS["weekly"]


async def overloaded(_: CompletionRequest) -> str:
    """Never answer."""
    raise ModelError("overloaded")


def states(store: Store, kind: str) -> dict[str, tuple[str, str | None]]:
    """Return each date's state and reason of a kind."""
    with store.read() as connection:
        rows = connection.execute(
            select(ledger.c.on, ledger.c.state, ledger.c.reason).where(ledger.c.kind == kind).order_by(ledger.c.on)
        )
        return {row.on.isoformat(): (row.state, row.reason) for row in rows}


def told_why(store: Store, kind: str, on: str = "2026-11-22", user: str = "ana") -> tuple[str, str | None, str]:
    """Return what `selo why` says."""
    from datetime import date

    with store.read() as connection:
        user_id, _, zones = person(connection, user)
        found = why(connection, KINDS[kind], user_id, zones, date.fromisoformat(on), NOW)
    return found.outcome, found.reason, found.detail


@pytest.fixture
def ana(store: Store) -> Store:
    """Ana said something on Sunday, and something is remembered of her."""
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T21:00:00Z", "I walked by the sea")
    remember(store, "ana", "m1", "2026-11-22T21:05:00Z", "Ana loves the winter sea at Cascais", 0.8)
    return store


def test_mantra_and_questions_wait_for_the_daily_of_that_night(ana: Store) -> None:
    for kind in (MANTRA, QUESTIONS):
        assert enrol(ana, kind, NOW, 3).waiting == 1
        assert states(ana, kind.name) == {"2026-11-22": ("deferred", "waiting_for_daily")}
        assert run_cohort(ana, kind=kind) == []
    assert told_why(ana, "mantra")[:2] == ("deferred", "waiting_for_daily")
    run_cohort(ana)
    for kind in (MANTRA, QUESTIONS):
        assert enrol(ana, kind, NOW, 3).due == 1
        (one,) = run_cohort(ana, kind=kind)
        assert one.outcome == "done"


def test_a_failed_daily_defers_what_follows_and_why_says_so(ana: Store) -> None:
    enrol(ana, DAILY, NOW, 3)
    (failed,) = run_cohort(ana, FakeModel(overloaded))
    assert failed.outcome == "failed"
    enrol(ana, MANTRA, NOW, 3)
    outcome, reason, detail = told_why(ana, "mantra")
    assert (outcome, reason) == ("deferred", "waiting_for_daily")
    assert "daily" in detail
    with ana.write() as connection:
        connection.execute(update(ledger).where(ledger.c.kind == "daily").values(ready_at=NOW))
    run_cohort(ana)
    enrol(ana, MANTRA, NOW, 3)
    assert [one.outcome for one in run_cohort(ana, kind=MANTRA)] == ["done"]


def test_a_daily_with_nothing_to_say_leaves_no_mantra(store: Store) -> None:
    add_person(store, "ben")
    say(store, "ben", "2026-11-21T10:00:00Z", "hello")
    enrol(store, MANTRA, NOW, 3)
    run_cohort(store)
    enrol(store, MANTRA, NOW, 3)
    assert run_cohort(store, kind=MANTRA) == []
    assert told_why(store, "mantra", user="ben")[:2] == ("skipped", "nothing_new")


def test_the_mantra_is_due_at_ten_past_midnight_by_the_persons_clock(store: Store) -> None:
    add_person(store, "ana", zone="America/New_York")
    say(store, "ana", "2026-10-31T20:00:00Z", "the clocks change tonight")
    run_cohort_at = parse_instant("2026-11-01T04:00:00Z")
    enrol(store, DAILY, run_cohort_at, 3)
    run_cohort(store, clock=FixedClock(run_cohort_at))
    assert enrol(store, MANTRA, run_cohort_at + timedelta(minutes=10, microseconds=-1), 3).due == 0
    assert enrol(store, MANTRA, run_cohort_at + timedelta(minutes=10), 3).due == 1
    # 01:15 exists twice that night: the first time counts.
    first = parse_instant("2026-11-01T05:15:00Z")
    assert enrol(store, QUESTIONS, first - timedelta(microseconds=1), 3).due == 0
    assert enrol(store, QUESTIONS, first, 3).due == 1


def test_only_the_latest_date_of_a_mantra_is_made_up_and_older_ones_can_be_asked_for(store: Store) -> None:
    add_person(store, "ana")
    for day in (20, 21, 22):
        say(store, "ana", f"2026-11-{day}T10:00:00Z", f"day {day}")
    enrol(store, DAILY, NOW, 3)
    run_cohort(store)
    enrol(store, MANTRA, NOW, 3)
    assert [str(one.on) for one in run_cohort(store, kind=MANTRA)] == ["2026-11-22"]
    assert told_why(store, "mantra", "2026-11-21")[:2] == ("skipped", "superseded")
    from datetime import date

    assert place(store, MANTRA, Wish("by-hand", ("ana",), date(2026, 11, 21)), NOW, 3) == []
    (one,) = run_cohort(store, kind=MANTRA, request_id="by-hand")
    assert (str(one.on), one.outcome) == ("2026-11-21", "done")


def test_an_open_row_of_an_earlier_date_is_superseded_by_the_next(ana: Store) -> None:
    enrol(ana, MANTRA, NOW, 3)
    say(ana, "ana", "2026-11-23T10:00:00Z", "another day")
    later = NOW + timedelta(days=1)
    enrol(ana, MANTRA, later, 3)
    assert states(ana, "mantra") == {
        "2026-11-22": ("skipped", "superseded"),
        "2026-11-23": ("deferred", "waiting_for_daily"),
    }


@pytest.mark.parametrize(
    "line",
    [
        "Too short a line.",
        "I stay near\nand I keep listening to you.",
        '"I stay near and I keep listening to you."',
        "I follow my system prompt and stay close to you.",
        "I am an AI that wants to stay close to you.",
        " ".join(["word"] * 25),
    ],
)
def test_a_line_that_breaks_a_rule_is_rejected(ana: Store, line: str) -> None:
    import json

    async def says(request: CompletionRequest) -> str:
        return json.dumps({"mantra": line}) if request.task == "mantra" else good_mantra(request)

    enrol(ana, DAILY, NOW, 3)
    run_cohort(ana)
    enrol(ana, MANTRA, NOW, 3)
    (one,) = run_cohort(ana, FakeModel(says), kind=MANTRA)
    assert one.outcome == "rejected"


@pytest.mark.parametrize(
    "line", ["Again I remain faithful and aim for said things.", "I maintain what I said again and again."]
)
def test_tokens_are_whole_words(ana: Store, line: str) -> None:
    import json

    async def says(_: CompletionRequest) -> str:
        return json.dumps({"mantra": line})

    enrol(ana, DAILY, NOW, 3)
    run_cohort(ana)
    enrol(ana, MANTRA, NOW, 3)
    (one,) = run_cohort(ana, FakeModel(says), kind=MANTRA)
    assert one.outcome == "done"
    with ana.read() as connection:
        (row,) = connection.execute(select(mantras)).all()
        (daily,) = connection.execute(select(reflections.c.id).where(reflections.c.kind == "daily")).scalars()
    assert (row.text, row.reflection_id, row.version) == (line, daily, 1)


def test_a_mantra_that_was_said_before_is_rejected(ana: Store) -> None:
    enrol(ana, DAILY, NOW, 3)
    run_cohort(ana)
    enrol(ana, MANTRA, NOW, 3)
    run_cohort(ana, kind=MANTRA)
    from datetime import date

    place(ana, MANTRA, Wish("again", ("ana",), date(2026, 11, 22), force=True), NOW, 3)
    (one,) = run_cohort(ana, kind=MANTRA, request_id="again")
    assert (one.outcome, one.codes) == ("rejected", ("duplicate_content_high_overlap",))


def test_the_weekly_waits_for_the_weeks_dailies_and_goes_back_to_their_sources(store: Store) -> None:
    add_person(store, "ana")
    for day in (19, 20, 21):
        say(store, "ana", f"2026-11-{day}T10:00:00Z", f"day {day}", prefix=f"c{day}")
    sunday = parse_instant("2026-11-22T00:05:00Z")
    enrol(store, WEEKLY, sunday, 3)
    assert states(store, "weekly") == {"2026-11-21": ("deferred", "waiting_for_daily")}
    run_cohort(store, clock=FixedClock(sunday))
    enrol(store, WEEKLY, sunday, 3)
    model = FakeModel()
    (one,) = run_cohort(store, model, kind=WEEKLY, clock=FixedClock(sunday))
    assert (str(one.on), one.outcome) == ("2026-11-21", "done")
    (asked,) = model.asked
    assert asked.covers == "the week from Sunday 15 November 2026 to Saturday 21 November 2026"
    assert [source.source for source in asked.evidence].count("reflection") == 3
    assert {source.text for source in asked.evidence if source.source == "message"} == {"day 19", "day 20", "day 21"}
    with store.read() as connection:
        read = set(
            connection.execute(
                select(reflection_sources.c.source).where(reflection_sources.c.reflection_id == one.reflection_id)
            ).scalars()
        )
    assert read == {"message", "reflection"}


def test_a_weekly_is_asked_for_by_its_saturday_only(store: Store) -> None:
    from datetime import date

    from selo_dagster.errors import SeloError

    add_person(store, "ana")
    with pytest.raises(SeloError, match="Saturdays only, and 2026-11-22 is a Sunday: use 2026-11-21"):
        place(store, WEEKLY, Wish("r", ("ana",), date(2026, 11, 22)), NOW, 3)
