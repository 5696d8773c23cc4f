"""Health in one look: one function behind every face that tells how things are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, select

from selo_dagster.memory.stream import NUMBERING, position
from selo_dagster.memory.tables import events
from selo_dagster.operations.self_check import Checked
from selo_dagster.output import instant
from selo_dagster.people.history import bad_zones
from selo_dagster.people.persona_reading import saturated_people
from selo_dagster.people.tables import users
from selo_dagster.people.zones import zone_rules_version
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.one_offs import PLACED, WAITING, one_offs
from selo_dagster.reflections.pauses import open_pauses
from selo_dagster.reflections.states import DEAD, DEFERRED, REJECTED, SKIPPED, STATES, Reason
from selo_dagster.resources.guard import Verdict, verdict_now
from selo_dagster.sagas.check import Missing, missing_definitions
from selo_dagster.sagas.monitor import conditions
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.shown import open_alerts, saga_counts, saga_metrics, step_metrics
from selo_dagster.settings import Settings
from selo_dagster.store.heartbeats import Heartbeat, heartbeats_now
from selo_dagster.store.schema import HEAD
from selo_dagster.store.types import database_now
from selo_dagster.triggers.operator import requests_so_far
from selo_dagster.triggers.parked import parked_count
from selo_dagster.triggers.reader import READER as TRIGGERS_READER
from selo_dagster.triggers.states import cooling, counted

LATE_AFTER_S: Final = 6 * 3600
"""Seconds after which a row that nobody took needs a person: no tick, no daemon, or far too much work."""

SILENT_AFTER_S: Final = 300
"""Seconds without a sign of life from a sensor that ticks every ten."""

RUNBOOK: Final = "docs/runbook.md"


@dataclass(frozen=True)
class Problem:
    """Something that needs a person. runbook: where it says what to do."""

    code: str
    message: str

    @property
    def runbook(self) -> str:
        """Return the place in the runbook."""
        return f"{RUNBOOK}#{self.code}"


def status(connection: Connection, now: datetime, settings: Settings, checked: Checked) -> dict[str, Any]:
    """Return how things are: counts, lags, and what needs a person, ready for JSON."""
    people: dict[str, int] = {
        row.state: row.n
        for row in connection.execute(select(users.c.state, func.count().label("n")).group_by(users.c.state))
    }
    kinds = {name: _kind(connection, name, now) for name in KINDS}
    unread = connection.execute(select(func.count()).where(events.c.seq.is_(None))).scalar_one()
    beats = heartbeats_now(connection)
    unseen = unread + position(connection, NUMBERING) - position(connection, TRIGGERS_READER)
    parked = parked_count(connection)
    watched = Counter(one.condition for one in conditions(connection, registry(), now))
    stranded = missing_definitions(connection, registry(), now)
    guard = verdict_now(connection) if settings.resource_guard else None
    asked = _one_offs(connection, now)
    problems = [
        *_zone_problems(connection),
        *_missing(checked),
        *_guard_problems(guard, settings),
        *_late_one_offs(asked),
        *(found for name in kinds for found in _problems(name, kinds[name])),
        *_silent(
            beats,
            {
                "due_requests": any(kind["ready"] for kind in kinds.values()),
                "memory_events": bool(unseen),
                "saga_runs": bool(watched),
                "saga_monitor": bool(watched),
            },
        ),
        *_parked_problems(parked),
        *_saga_problems(watched, stranded),
        *_saturated(saturated_people(connection)),
    ]
    return {
        "ok": not problems,
        "problems": [{"code": one.code, "message": one.message, "runbook": one.runbook} for one in problems],
        "database": {"dialect": connection.dialect.name, "schema": HEAD},
        "zone_rules": zone_rules_version(),
        "people": {"active": people.get("active", 0), "tombstoned": people.get("tombstoned", 0)},
        "events_unread": unread,
        "triggers": {
            "unseen": unseen,
            "parked": parked,
            "requests": requests_so_far(connection),
            "in_cooldown": len(cooling(connection, now)),
            "rules": counted(connection),
        },
        "sagas": {
            "by_type": saga_counts(connection),
            "conditions": dict(sorted(watched.items())),
            "alerts": open_alerts(connection),
            "times": saga_metrics(connection),
            "steps": step_metrics(connection),
        },
        "kinds": kinds,
        "guard": _shown(guard),
        "guard_switched_on": settings.resource_guard,
        "paused": [
            {"kind": one.kind, "user": one.user_id, "since": instant(one.since), "because": one.because}
            for one in open_pauses(connection)
        ],
        "one_offs": asked,
        "self_check": {"missing": list(checked.missing), "switched_off": list(checked.switched_off)},
        "heartbeats": {one.name: {"age_s": round(one.age_s, 1), **one.detail} for one in beats},
    }


def _kind(connection: Connection, name: str, now: datetime) -> dict[str, Any]:
    mine = ledger.c.kind == name
    states: dict[str, int] = {
        row.state: row.n
        for row in connection.execute(
            select(ledger.c.state, func.count().label("n")).where(mine).group_by(ledger.c.state)
        )
    }
    refused = connection.execute(
        select(func.count()).where(mine, ledger.c.state == REJECTED, ledger.c.ready_at.is_(None))
    ).scalar_one()
    too_old = connection.execute(
        select(func.count()).where(mine, ledger.c.state == SKIPPED, ledger.c.reason == Reason.TOO_OLD)
    ).scalar_one()
    oldest, ready = connection.execute(
        select(func.min(ledger.c.since), func.count()).where(mine, ledger.c.ready_at <= now)
    ).one()
    expired = connection.execute(
        select(func.count()).where(mine, ledger.c.state == "claimed", ledger.c.lease_until < database_now())
    ).scalar_one()
    waiting = connection.execute(
        select(func.count()).where(mine, ledger.c.state == DEFERRED, ledger.c.ready_at.is_(None))
    ).scalar_one()
    last = connection.execute(select(func.max(ledger.c.settled_at)).where(mine)).scalar()
    return {
        "states": {state: states.get(state, 0) for state in STATES},
        "ready": ready,
        "oldest_ready_since": None if oldest is None else instant(oldest),
        "lag_s": 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
        "waiting_for_another": waiting,
        "too_old": too_old,
        "rejected_for_good": refused,
        "leases_expired": expired,
        "last_settled_at": None if last is None else instant(last),
    }


def _zone_problems(connection: Connection) -> list[Problem]:
    return [
        Problem("bad_zone", f"people live in {zone!r}, which is no time zone: they are not reflected on")
        for zone in bad_zones(connection)
    ]


def _silent(beats: list[Heartbeat], has_work: dict[str, bool]) -> list[Problem]:
    # Without work to do, a daemon that was stopped on purpose needs nobody.
    return [
        Problem("sensor_silent", f"{one.name} has been silent for {one.age_s:.0f} s while there is work for it")
        for one in beats
        if has_work.get(one.name, any(has_work.values())) and one.age_s > SILENT_AFTER_S
    ]


_SAGA_PROBLEMS: Final = {
    "parked": ("saga_parked", "sagas are parked and wait for a decision"),
    "in_doubt": ("saga_in_doubt", "sagas do not know whether an effect outside happened"),
    "compensation_incomplete": ("saga_undo_incomplete", "sagas could not be undone whole"),
    "late": ("saga_late", "sagas are past their deadline and cannot go back"),
    "untaken": ("sagas_untaken", "sagas are ready and nothing takes them"),
}


def _saga_problems(watched: Mapping[str, int], stranded: Sequence[Missing]) -> list[Problem]:
    found = [
        Problem(code, f"{watched[condition]} {message}")
        for condition, (code, message) in _SAGA_PROBLEMS.items()
        if watched.get(condition)
    ]
    return found + [Problem("stranded_sagas", one.sentence) for one in stranded]


def _saturated(people: int) -> list[Problem]:
    if not people:
        return []
    return [Problem("persona_saturated", f"the personas of {people} people have come to the ends of several scales")]


def _parked_problems(parked: int) -> list[Problem]:
    if not parked:
        return []
    return [Problem("events_parked", f"{parked} events could not be read or judged and are put aside")]


def _problems(name: str, kind: dict[str, Any]) -> list[Problem]:
    found = []
    if dead := kind["states"][DEAD]:
        found.append(Problem("dead", f"{name}: {dead} obligations are dead: no attempt is left"))
    if rejected := kind["rejected_for_good"]:
        found.append(Problem("rejected", f"{name}: {rejected} answers were rejected and wait for somebody to look"))
    if kind["lag_s"] > LATE_AFTER_S:
        found.append(
            Problem("overdue", f"{name}: {kind['ready']} are due, the oldest since {kind['oldest_ready_since']}")
        )
    return found


LATE_ONE_OFF_S: Final = 900
"""Seconds after its time from which a one-off was placed late: more than a tick of every schedule."""


def _one_offs(connection: Connection, now: datetime) -> dict[str, int]:
    waiting, overdue = connection.execute(
        select(func.count(), func.count().filter(one_offs.c.due_at <= now - timedelta(seconds=LATE_ONE_OFF_S))).where(
            one_offs.c.state == WAITING
        )
    ).one()
    placed = connection.execute(
        select(one_offs.c.due_at, one_offs.c.placed_at).where(
            one_offs.c.state == PLACED, one_offs.c.placed_at.is_not(None)
        )
    )
    late = sum((row.placed_at - row.due_at).total_seconds() > LATE_ONE_OFF_S for row in placed)
    return {"waiting": waiting, "overdue": overdue, "placed_late": late}


def _late_one_offs(found: dict[str, int]) -> list[Problem]:
    if not found["overdue"]:
        return []
    return [
        Problem("one_offs_overdue", f"{found['overdue']} one-offs should have begun: no sensor, schedule or night ran")
    ]


def _missing(checked: Checked) -> list[Problem]:
    found = [Problem("self_check", f"{name} is missing") for name in checked.missing]
    return found + [Problem("switched_off", f"{name} is switched off") for name in checked.switched_off]


def _guard_problems(verdict: Verdict | None, settings: Settings) -> list[Problem]:
    if verdict is None:
        return []
    found = [Problem("disk_filling", warning) for warning in verdict.warnings]
    if verdict.holds_back and verdict.blocked_s >= settings.guard_long_s:
        found.append(Problem("guard_closed", f"scheduled work is held back: {verdict.sentence}"))
    return found


def _shown(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "state": verdict.state,
        "holds_back": verdict.holds_back,
        "since": instant(verdict.since),
        "for_s": round(verdict.blocked_s, 1),
        "reasons": list(verdict.reasons),
        "sentence": verdict.sentence,
    }
