"""People who are due, and what must hold of the ledger whoever was killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, func, select, text

from selo_dagster.clock import BEGINNING
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.states import CLAIMED, DEAD, DONE, DUE
from selo_dagster.reflections.tables import (
    reflection_attempts,
    reflection_ledger,
    reflection_sources,
    reflections,
)
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.crash.processes import Call, Calls, until
from tests.support.fakes import NOW, add_person, say

ledger, attempts = reflection_ledger, reflection_attempts


def due_people(store: Store, names: Iterable[str]) -> list[str]:
    """Add people who are due for one date, in the order in which they are claimed."""
    added = list(names)
    for name in added:
        add_person(store, name)
        say(store, name, "2026-11-22T10:00:00Z", f"I am {name}")
    enrol(store, DAILY, NOW, 3)
    return added


def count(store: Store, *conditions: Any) -> int:
    """Return how many rows of the ledger are like that."""
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(ledger).where(*conditions)).scalar_one())


def until_leases_end(store: Store) -> None:
    """Wait until nothing is claimed under a lease that holds, by the database's clock."""
    until(
        lambda: count(store, ledger.c.state == CLAIMED, ledger.c.lease_until >= database_now()) == 0,
        "leases of workers that are gone still hold",
    )


def open_rows(store: Store) -> int:
    """Return how many obligations are neither settled nor dead."""
    return count(store, ledger.c.state.in_([DUE, CLAIMED]))


def other_connections(engine: Engine, state: str = "%") -> int:
    """Return how many connections others have to this database."""
    asked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state LIKE :state"
    )
    with engine.connect() as connection:
        return int(connection.execute(asked, {"state": state}).scalar_one())


def stored(store: Store) -> list[tuple[Any, ...]]:
    """Return every reflection, ledger row and attempt as it stands."""
    with store.read() as connection:
        return [
            tuple(row)
            for table in (reflections, ledger, attempts)
            for row in connection.execute(select(table).order_by(table.c.id))
        ]


def attempts_of(store: Store) -> dict[str, list[Any]]:
    """Return each person's attempts, oldest first."""
    found: dict[str, list[Any]] = {}
    with store.read() as connection:
        for row in connection.execute(
            select(ledger.c.user_id, attempts)
            .join(attempts, attempts.c.ledger_id == ledger.c.id)
            .order_by(ledger.c.user_id, attempts.c.number)
        ):
            found.setdefault(row.user_id, []).append(row)
    return found


def lost_of(store: Store) -> Counter[str]:
    """Return how many attempts of each person were lost."""
    return Counter({user: sum(one.outcome == "lost" for one in tried) for user, tried in attempts_of(store).items()})


def check_done_once(store: Store, names: Sequence[str]) -> None:
    """Everybody was done exactly once: one row, one reflection of version 1, with what it was made from."""
    with store.read() as connection:
        rows = connection.execute(select(ledger).order_by(ledger.c.user_id)).all()
        made = connection.execute(select(reflections).order_by(reflections.c.user_id)).all()
        read = connection.execute(select(reflection_sources)).all()
    assert [(row.user_id, row.state) for row in rows] == [(name, DONE) for name in sorted(names)]
    assert [(one.user_id, one.version) for one in made] == [(name, 1) for name in sorted(names)]
    assert [row.reflection_id for row in rows] == [one.id for one in made]
    assert {(row.lease_until, row.ready_at) for row in rows} == {(None, None)}
    sources = {(one.id, "message", f"{one.user_id}-20261122T1000-0", "cited") for one in made}
    assert {(one.reflection_id, one.source, one.source_id, one.use) for one in read} == sources


def check_attempts(store: Store) -> None:
    """Attempts are numbered without a gap, counted right, all ended, and one of each done row's is done."""
    tried = attempts_of(store)
    with store.read() as connection:
        rows = connection.execute(select(ledger)).all()
    for row in rows:
        theirs = tried.get(row.user_id, [])
        assert [one.number for one in theirs] == list(range(1, row.attempts + 1))
        assert all(one.ended_at is not None for one in theirs)
        assert {one.outcome for one in theirs} <= {"done", "lost"}
        assert [one.outcome for one in theirs].count("done") == (1 if row.state == DONE else 0)
        if row.state == DONE:
            assert theirs[-1].outcome == "done"
            assert theirs[-1].run_id == row.run_id


def check_calls(store: Store, calls: Calls) -> None:
    """Each call stands behind an attempt written before it, and none came after the reflection."""
    tried = attempts_of(store)
    begun = Counter((user, one.run_id) for user, theirs in tried.items() for one in theirs)
    asked = Counter((one.user, one.run_id) for one in calls.all())
    assert asked <= begun
    for one in calls.all():
        done = [attempt for attempt in tried[one.user] if attempt.outcome == "done"]
        assert not done or _instant(one) < done[0].ended_at, f"{one.user} was asked about after the reflection"


def dead_people(store: Store) -> list[str]:
    """Return who is dead, each of whom must have lost exactly three claims: with their attempts, if one was begun."""
    with store.read() as connection:
        dead = connection.execute(select(ledger).where(ledger.c.state == DEAD).order_by(ledger.c.user_id)).all()
    lost = lost_of(store)
    assert [(row.reason, row.lost) for row in dead] == [("lost_claims", 3)] * len(dead)
    assert all(lost[row.user_id] <= 3 for row in dead)
    return [row.user_id for row in dead]


def _instant(call: Call) -> Any:
    since_1970 = call.at_ns // 1_000
    return BEGINNING.replace(year=1970) + timedelta(microseconds=since_1970)
