"""A fortnight in the ledger, bad nights and all, and what serves the page from it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import uvicorn
from sqlalchemy import insert
from starlette.applications import Starlette

from selo_dagster.clock import UTC, FixedClock, parse_instant
from selo_dagster.operations.alerts.tables import alerts
from selo_dagster.operations.http.page import routes
from selo_dagster.operations.http.served import Served
from selo_dagster.operations.readiness import Component, Readiness, readiness
from selo_dagster.operations.self_check import Checked
from selo_dagster.operations.status import status
from selo_dagster.people.tables import users
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.pauses import pause
from selo_dagster.resources.tables import resource_guard
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.states import COMPENSATE, COMPENSATED, COMPLETED, FORWARD, PARKED, WAITING
from selo_dagster.sagas.tables import sagas
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.job_runs import Tally, job_runs, note_start
from selo_dagster.store.schema import require_schema
from selo_dagster.store.types import database_now

NOW: Final = parse_instant("2026-11-27T06:40:00Z")
TONIGHT: Final = date(2026, 11, 26)
NIGHTS: Final = tuple(TONIGHT - timedelta(days=back) for back in reversed(range(14)))
OUTAGE: Final = TONIGHT - timedelta(days=5)

BREAD_AND_BUTTER: Final = Component("sensors", ok=True, reason="all have ticked lately")


def row(
    user: str, kind: str, on: date, state: str, reason: str | None = None, *, key: str | None = None, **more: Any
) -> dict[str, Any]:
    """Return one obligation that came due when its date had ended; `key` names the cause where it has one."""
    since = more.pop("since", datetime.combine(on + timedelta(days=1), time(0), UTC))
    ready = state in {"due", "failed"}
    return {
        "user_id": user,
        "kind": kind,
        "on": on,
        "key": key or on.isoformat(),
        "state": state,
        "reason": reason,
        "since": since,
        "ready_at": since if ready else None,
        "settled_at": None if ready or state in {"claimed", "deferred"} else since + timedelta(minutes=2),
        "epoch": 0 if state == "due" else 1,
    } | more


def enter(store: Store, rows: Iterable[dict[str, Any]]) -> None:
    """Write obligations, and whoever they are of."""
    made = list(rows)
    people = sorted({one["user_id"] for one in made})
    with store.write() as connection:
        connection.execute(insert(users), [{"id": one, "key": one, "name": one, "zone": "UTC"} for one in people])
        connection.execute(insert(ledger), made)


def fortnight(people: int) -> Iterator[dict[str, Any]]:
    """Yield fourteen nights of some people: an outage five nights ago, and a last night that is not over.

    Everybody has a daily on each date, every fourth a mantra and, on Saturdays, a weekly; some moments come between.
    """
    for on in NIGHTS:
        for number in range(people):
            user, place = f"u{number:06}", (number * 37 + on.day * 11) % 100
            if on == TONIGHT:
                yield from _unfinished(user, on, place)
            elif on == OUTAGE and place < 45:
                yield row(user, "daily", on, "dead", "TimeoutError")
                yield row(user, "mantra", on, "skipped", "superseded")
            else:
                yield row(user, "daily", on, "skipped", "paused") if place < 3 else row(user, "daily", on, "done")
                if place % 4 == 0:
                    yield row(user, "mantra", on, "done")
            if on.weekday() == 5:
                yield row(user, "weekly", on, "done")
            if place % 10 == 5:
                yield row(user, "adaptive", on, "unchanged", "nothing_new", key=f"a-{on}")
    for number in range(0, people, 25):
        yield row(f"u{number:06}", "triggered", TONIGHT + timedelta(days=1), "done", key=f"t-{number}", since=NOW)


def _unfinished(user: str, on: date, place: int) -> Iterator[dict[str, Any]]:
    if place < 62:
        yield row(user, "daily", on, "done")
        yield row(user, "relationship_questions", on, *(("done", None) if place < 55 else ("skipped", "queue_full")))
    elif place < 82:
        yield row(user, "daily", on, "due")
        yield row(user, "mantra", on, "deferred", "waiting_for_daily")
    elif place < 88:
        yield row(user, "daily", on, "claimed")
    elif place < 96:
        yield row(user, "daily", on, "skipped", "paused")
    else:
        yield row(user, "daily", on, "failed", "RateLimitError", ready_at=NOW + timedelta(minutes=9))


def series(rows: Iterable[dict[str, Any]]) -> dict[date, Counter[str]]:
    """Return what the plot has to show: by date, the numbers by series."""
    named = {"claimed": "due", "deferred": "due", "dead": "failed", "rejected": "failed"}
    found = {on: Counter[str]() for on in NIGHTS}
    for one in rows:
        if one["on"] in found:
            found[one["on"]][named.get(one["state"], one["state"])] += 1
    return found


def furnish(store: Store) -> None:
    """Add what a page tells beside the nights: sagas, last runs, signs of life, the guard, a pause."""
    counts = {
        ("persona_evolution", COMPLETED): 41,
        ("persona_evolution", COMPENSATED): 2,
        ("goal_creation", COMPLETED): 63,
        ("goal_creation", WAITING): 3,
        ("conversation_processing", COMPLETED): 118,
        ("conversation_processing", PARKED): 1,
    }
    with store.write() as connection:
        for (name, state), number in counts.items():
            definition = registry().newest[name]
            connection.execute(
                insert(sagas),
                [
                    {
                        "id": f"{name[:12]}-{state[:9]}-{place}",
                        "type": name,
                        "version": definition.version,
                        "fingerprint": "",
                        "user_id": f"u{place % 20:06}",
                        "key": f"{state}-{place}",
                        "input": {},
                        "state": state,
                        "direction": COMPENSATE if state == COMPENSATED else FORWARD,
                        "created_at": NOW,
                        "next_attempt_at": NOW + timedelta(hours=1) if state == WAITING else None,
                        "deadline_at": NOW + timedelta(days=1),
                        "ended_at": NOW if state in {COMPLETED, COMPENSATED} else None,
                    }
                    for place in range(number)
                ],
            )
        runs = {
            "daily": Tally(212, 196, 8, 8),
            "mantra": Tally(48, 31, 17, 0),
            "saga_goal_creation": Tally(63, 63, 0, 0),
            "housekeeping": Tally(),
        }
        for place, (job, tally) in enumerate(runs.items()):
            ended = NOW - timedelta(minutes=12 + place)
            connection.execute(
                insert(job_runs).values(
                    run_id=f"run-{job}",
                    job=job,
                    started_at=ended - timedelta(seconds=31.4),
                    finished_at=ended,
                    **asdict(tally),
                )
            )
        note_start(connection, "run-now", "daily")
        for name in ("due_requests", "memory_events", "saga_runs"):
            beat(connection, name, {})
        connection.execute(
            insert(resource_guard).values(
                id=1, state="open", reasons=[], since=database_now(), looked_at=database_now(), streak=0
            )
        )
        told = {
            ("dead", "daily"): "daily: 97 obligations without an attempt left",
            ("saga_failed", "goal_creation"): "goal_creation: 1 saga failed and on the way back",
        }
        for (code, subject), message in told.items():
            at = NOW - timedelta(hours=5 if code == "dead" else 1)
            connection.execute(
                insert(alerts).values(code=code, subject=subject, message=message, opened_at=at, seen_at=at)
            )
        pause(connection, kind=None, user_id="u000003", because="PRIVATE-because", now=NOW)


class Page(Served):
    """Serves from a store as it is at the moment; of the parts, only the database and its schema are looked at."""

    def __init__(self, store: Store, now: datetime = NOW, *parts: Component) -> None:
        settings = load_settings({"SELO_RESOURCE_GUARD": "1"})
        super().__init__(settings, store, FixedClock(now))
        self.parts = parts or (BREAD_AND_BUTTER,)

    def ready(self) -> Readiness:
        """Look at what a test has."""
        real = readiness(self.store, self.settings, self.clock).components
        return Readiness((*(one for one in real if one.name in {"database", "schema"}), *self.parts))

    def status(self) -> dict[str, Any]:
        """Look, without a Dagster of its own."""
        require_schema(self.store)
        with self.store.read() as connection:
            return status(connection, self.clock.now(), self.settings, Checked((), ()))

    def cached(self, name: str, compute: Any, **_: Any) -> Any:
        """Keep nothing: a test sees at once what it has done."""
        del name
        return compute()


@contextmanager
def serving(served: Served) -> Iterator[str]:
    """Serve the page on loopback; yields its address."""
    config = uvicorn.Config(Starlette(routes=routes(served)), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
