"""What is deleted: groups of tables, each with how long it is kept and why the rest of it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from selo_dagster.llm.budgets.retention import old_spending, old_spending_of_people
from selo_dagster.memory.retention import AT_ONCE, prunable_events, prune_events
from selo_dagster.operations.housekeeping.own import old_alerts, old_answers, old_notices
from selo_dagster.reflections.days import READER as DAYS_READER
from selo_dagster.reflections.retention import old_attempts, old_obligations, old_one_offs
from selo_dagster.sagas.conversations import READER as CONVERSATIONS_READER
from selo_dagster.sagas.retention import old_payloads, old_saga_alerts, old_tries, past_undo
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from selo_dagster.store.old_rows import OldRows
from selo_dagster.store.retention import old_job_runs
from selo_dagster.triggers.parked import PARKED, parked
from selo_dagster.triggers.reader import READER as TRIGGERS_READER

READERS: Final = (DAYS_READER, TRIGGERS_READER, CONVERSATIONS_READER)
"""Who has to have read an event before it may go."""

ANSWER_DAYS: Final = 2
"""Days for which a request with an Idempotency-Key may be repeated."""


@dataclass(frozen=True)
class Part:
    """One table of a group. number: how many rows would go; batches: deletes them, a transaction each."""

    table: str
    number: Callable[[Connection], int]
    batches: Callable[[Store], Iterator[int]]

    @classmethod
    def of(cls, rows: OldRows) -> Part:
        """Return the part of old rows."""
        return cls(rows.table.name, rows.number, rows.batches)


@dataclass(frozen=True)
class Group:
    """Tables that share a retention. keep_days: days; parts: in the order in which they are worked off.

    stays: what of it is kept longer, and why. emptied: its rows stay, only what is private or large in them goes.
    """

    name: str
    keep_days: int
    stays: str
    parts: tuple[Part, ...]
    emptied: bool = False


SPENT_DAYS: Final = 7
"""Days for which it is known what was spent on a person: only the present day bounds anything."""

NAMES: Final = (
    "events",
    "attempts",
    "ledger",
    "one_offs",
    "sagas",
    "saga_payloads",
    "alerts",
    "job_runs",
    "spending",
    "spending_people",
    "answers",
)


def groups(connection: Connection, now: datetime, settings: Settings, event_days: int | None = None) -> list[Group]:
    """Return every group as it stands at `now`. event_days: instead of SELO_EVENT_KEEP_DAYS."""

    def before(days: int) -> datetime:
        return now - timedelta(days=days)

    def group(name: str, days: int, stays: str, *rows: OldRows, emptied: bool = False) -> Group:
        return Group(name, days, stays, tuple(Part.of(one) for one in rows), emptied)

    events_kept = event_days or settings.event_keep_days
    attempts, ledger, saga = settings.attempt_keep_days, settings.ledger_keep_days, settings.saga_keep_days
    alert, job = settings.alert_keep_days, settings.job_run_keep_days
    return [
        Group("events", events_kept, "parked, or not read by every reader yet", (_events(before(events_kept)),)),
        group("attempts", attempts, "of obligations that are open, rejected or dead", old_attempts(before(attempts))),
        group(
            "ledger",
            ledger,
            "made for dates, open, broken, or not shown in Dagster yet",
            old_obligations(before(ledger)),
        ),
        group("one_offs", ledger, "waiting, or with an obligation that is open", old_one_offs(before(ledger))),
        group("sagas", saga, "of sagas that have not ended", old_tries(before(saga)), old_saga_alerts(before(saga))),
        group(
            "saga_payloads",
            saga,
            "of sagas that can be undone, started anew, or are proofs of an erasure",
            old_payloads(past_undo(connection, now, saga)),
            emptied=True,
        ),
        group("alerts", alert, "open, or not told yet", old_notices(before(alert)), old_alerts(before(alert))),
        group("job_runs", job, "the last of each job", old_job_runs(before(job))),
        group("spending", job, "none", old_spending(before(job))),
        group("spending_people", SPENT_DAYS, "none", old_spending_of_people(before(SPENT_DAYS))),
        group("answers", ANSWER_DAYS, "none", old_answers(before(ANSWER_DAYS))),
    ]


def _events(older_than: datetime) -> Part:
    waiting = select(parked.c.seq).where(parked.c.state == PARKED)

    def number(connection: Connection) -> int:
        return prunable_events(connection, older_than, keep=waiting, readers=READERS)

    def batches(store: Store) -> Iterator[int]:
        while True:
            with store.write() as connection:
                gone = prune_events(connection, older_than, keep=waiting, readers=READERS)
            if gone:
                yield gone
            if gone < AT_ONCE:
                return

    return Part("events", number, batches)


def chosen(found: Sequence[Group], only: Sequence[str]) -> list[Group]:
    """Return the groups named, all of them without a name."""
    return [one for one in found if not only or one.name in only]
