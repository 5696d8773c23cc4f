"""Health in one look: one function behind every face that tells how things are."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, select

from selo_dagster.llm.breaker import Standing, breaker_of
from selo_dagster.llm.budgets.caps import budget_of
from selo_dagster.memory.stream import NUMBERING, position
from selo_dagster.memory.tables import events
from selo_dagster.operations.budget_status import budget_status
from selo_dagster.operations.job_status import last_runs
from selo_dagster.operations.kind_status import kind_status
from selo_dagster.operations.problems import (
    acceptance_problems,
    budget_problems,
    guard_problems,
    job_problems,
    kind_problems,
    late_one_offs,
    missing_problems,
    parked_problems,
    provider_problems,
    saga_problems,
    saturated,
    silent_ones,
    zone_problems,
)
from selo_dagster.operations.self_check import Checked
from selo_dagster.output import instant
from selo_dagster.people.history import bad_zones
from selo_dagster.people.persona_reading import saturated_people
from selo_dagster.people.tables import users
from selo_dagster.people.zones import zone_rules_version
from selo_dagster.reflections.acceptance import NOT_ACCEPTED, acceptance_of
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.one_offs import one_offs
from selo_dagster.reflections.pauses import open_pauses
from selo_dagster.reflections.states import PLACED, WAITING
from selo_dagster.resources.guard import Verdict, verdict_now
from selo_dagster.sagas.check import missing_definitions
from selo_dagster.sagas.monitor import conditions
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.shown import open_alerts, saga_counts, saga_metrics, step_metrics
from selo_dagster.settings import Settings
from selo_dagster.store.heartbeats import heartbeats_now
from selo_dagster.store.schema import HEAD
from selo_dagster.triggers.operator import requests_so_far
from selo_dagster.triggers.parked import parked_count
from selo_dagster.triggers.reader import READER as TRIGGERS_READER
from selo_dagster.triggers.states import cooling, counted


def status(connection: Connection, now: datetime, settings: Settings, checked: Checked) -> dict[str, Any]:
    """Return how things are: counts, lags, and what needs a person, ready for JSON."""
    people: dict[str, int] = {
        row.state: row.n
        for row in connection.execute(select(users.c.state, func.count().label("n")).group_by(users.c.state))
    }
    kinds = {name: kind_status(connection, name, now) for name in KINDS}
    jobs = last_runs(connection)
    unread = connection.execute(select(func.count()).where(events.c.seq.is_(None))).scalar_one()
    beats = heartbeats_now(connection)
    unseen = unread + position(connection, NUMBERING) - position(connection, TRIGGERS_READER)
    parked = parked_count(connection)
    watched = Counter((one.condition, one.type) for one in conditions(connection, registry(), now))
    told: Counter[str] = Counter()
    for (condition, _), number in watched.items():
        told[condition] += number
    stranded = missing_definitions(connection, registry(), now)
    guard = verdict_now(connection) if settings.resource_guard else None
    asked = _one_offs(connection, now)
    breaker = breaker_of(settings)
    provider = Standing() if breaker is None else breaker.standing(connection)
    budgets = budget_status(connection, budget_of(settings), now)
    acceptance = acceptance_of(settings)
    unaccepted = None if acceptance is None or acceptance.holds(connection) else NOT_ACCEPTED
    problems = [
        *zone_problems(bad_zones(connection)),
        *missing_problems(checked.missing, checked.switched_off),
        *guard_problems(guard, settings),
        *([] if breaker is None else provider_problems(breaker.endpoint.host, provider)),
        *budget_problems(budgets),
        *acceptance_problems(unaccepted),
        *late_one_offs(asked),
        *(found for name in kinds for found in kind_problems(name, kinds[name])),
        *job_problems(jobs),
        *silent_ones(
            beats,
            {
                "due_requests": any(kind["ready"] for kind in kinds.values()),
                "memory_events": bool(unseen),
                "saga_runs": bool(watched),
                "saga_monitor": bool(watched),
            },
        ),
        *parked_problems(parked),
        *saga_problems(watched, stranded),
        *saturated(saturated_people(connection)),
    ]
    return {
        "ok": not problems,
        "problems": [one.shown for one in problems],
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
            "conditions": dict(sorted(told.items())),
            "alerts": open_alerts(connection),
            "times": saga_metrics(connection),
            "steps": step_metrics(connection),
        },
        "kinds": kinds,
        "jobs": jobs,
        "model": None if breaker is None else _endpoint(breaker.endpoint.host, provider),
        "budgets": budgets,
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


def _endpoint(host: str, standing: Standing) -> dict[str, Any]:
    return {
        "endpoint": host,
        "state": standing.state,
        "since": None if standing.since is None else instant(standing.since),
        "opened": standing.times_opened,
    }


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
