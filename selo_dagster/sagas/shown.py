"""What is shown of sagas: ids, states, codes and times; inputs, outputs and undo data are private and left out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, case, func, select

from selo_dagster.errors import SeloError
from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.states import COMPENSATED, COMPLETED, ENDED, SAGA_STATES, StepState
from selo_dagster.sagas.tables import saga_alerts, saga_attempts, saga_interventions, saga_steps, sagas
from selo_dagster.store.types import database_now, seconds_between


def saga_list(
    connection: Connection,
    *,
    type_name: str | None = None,
    user_id: str | None = None,
    state: str | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Return sagas, newest first."""
    return saga_page(connection, type_name=type_name, user_id=user_id, state=state, limit=limit)[0]


def saga_page(
    connection: Connection,
    *,
    type_name: str | None,
    user_id: str | None,
    state: str | None,
    limit: int,
    before: int | None = None,
) -> tuple[list[dict[str, Any]], int | None]:
    """Return sagas, newest first, and where the next page begins: give it as `before`. None: there is nothing more."""
    if state is not None and state not in SAGA_STATES:
        raise SeloError("wrong_use", f"there is no state {state[:40]!r}: use one of {', '.join(SAGA_STATES)}")
    given = {"type": type_name, "user_id": user_id, "state": state}
    chosen = [sagas.c[name] == value for name, value in given.items() if value is not None]
    if before is not None:
        chosen.append(sagas.c.place < before)
    rows = connection.execute(select(sagas).where(*chosen).order_by(sagas.c.place.desc()).limit(limit + 1)).all()
    page = rows[:limit]
    return [_head(row) for row in page], page[-1].place if len(rows) > limit else None


def _head(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "type": row.type,
        "version": row.version,
        "user": row.user_id,
        "key": row.key,
        "state": row.state,
        "direction": row.direction,
        "generation": row.generation,
        "reason": row.reason,
        "error": row.error,
        "created_at": row.created_at,
        "next_attempt_at": row.next_attempt_at,
        "ended_at": row.ended_at,
    }


def saga_shown(connection: Connection, registry: Registry, saga_id: str) -> dict[str, Any]:
    """Return one saga with its steps and its timeline. Raises SeloError `unknown_saga_id`."""
    row = connection.execute(select(sagas).where(sagas.c.id == saga_id)).one_or_none()
    if row is None:
        raise SeloError("unknown_saga_id", f"there is no saga {saga_id[:80]!r}")
    steps = {
        one.step: one
        for one in connection.execute(
            select(saga_steps).where(saga_steps.c.saga_id == saga_id, saga_steps.c.generation == row.generation)
        )
    }
    try:
        names = [step.name for step in definition_of(registry, row.type, row.version).order]
    except SeloError:
        names = sorted(steps)
    return {
        **_head(row),
        "epoch": row.epoch,
        "run": row.run_id,
        "lost": row.lost,
        "deadline_at": row.deadline_at,
        "waits_since": row.waits_since,
        "cancel_requested": row.cancel_requested,
        "steps": [_step(name, steps.get(name)) for name in names],
        "timeline": _timeline(connection, saga_id),
    }


def _step(name: str, row: Any) -> dict[str, Any]:
    if row is None:
        return {"name": name, "state": StepState.PENDING, "attempts": 0}
    return {
        "name": name,
        "state": row.state,
        "attempts": row.attempts,
        "undo_attempts": row.undo_attempts,
        "seconds": row.seconds,
        "undo_seconds": row.undo_seconds,
        "done_at": row.done_at,
        "undone_at": row.undone_at,
        "effects": [
            {"target": target, "before": before, "after": after} for target, before, after in row.effects or ()
        ],
        "error": row.error,
    }


def _timeline(connection: Connection, saga_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for row in connection.execute(select(saga_steps).where(saga_steps.c.saga_id == saga_id)):
        for at, what in ((row.done_at, "done"), (row.undone_at, row.state)):
            if at is not None:
                found.append({"at": at, "what": what, "step": row.step, "generation": row.generation})
    found += [
        {
            "at": row.at,
            "what": f"{row.direction} {row.outcome}",
            "step": row.step,
            "generation": row.generation,
            "error": row.error,
            "run": row.run_id,
        }
        for row in connection.execute(select(saga_attempts).where(saga_attempts.c.saga_id == saga_id))
    ]
    found += [
        {"at": row.created_at, "what": f"alert {row.code}", "generation": row.generation}
        for row in connection.execute(select(saga_alerts).where(saga_alerts.c.saga_id == saga_id))
    ]
    found += [
        {"at": row.at, "what": row.action, "step": row.step, "actor": row.actor, "because": row.because}
        for row in connection.execute(select(saga_interventions).where(saga_interventions.c.saga_id == saga_id))
    ]
    return sorted(found, key=lambda one: one["at"])


def saga_counts(connection: Connection) -> dict[str, dict[str, int]]:
    """Return the number of sagas by type and state."""
    found: dict[str, dict[str, int]] = {}
    rows = connection.execute(
        select(sagas.c.type, sagas.c.state, func.count().label("n")).group_by(sagas.c.type, sagas.c.state)
    )
    for row in rows:
        found.setdefault(row.type, {})[row.state] = row.n
    return found


def step_metrics(connection: Connection) -> list[dict[str, Any]]:
    """Return for each type and step how often it was done, undone and failed, and how long it takes in the mean."""
    failed = {
        (row.type, row.step, row.direction): row.n
        for row in connection.execute(
            select(sagas.c.type, saga_attempts.c.step, saga_attempts.c.direction, func.count().label("n"))
            .join(sagas, sagas.c.id == saga_attempts.c.saga_id)
            .group_by(sagas.c.type, saga_attempts.c.step, saga_attempts.c.direction)
        )
    }
    rows = connection.execute(
        select(
            sagas.c.type,
            saga_steps.c.step,
            func.count(saga_steps.c.done_at).label("done"),
            func.count().filter(saga_steps.c.state == StepState.UNDONE).label("undone"),
            func.avg(saga_steps.c.seconds).label("seconds"),
            func.avg(saga_steps.c.undo_seconds).label("undo_seconds"),
            func.max(saga_steps.c.attempts).label("attempts"),
        )
        .join(sagas, sagas.c.id == saga_steps.c.saga_id)
        .group_by(sagas.c.type, saga_steps.c.step)
        .order_by(sagas.c.type, saga_steps.c.step)
    )
    return [
        {
            "type": row.type,
            "step": row.step,
            "done": row.done,
            "undone": row.undone,
            "failed_tries": failed.get((row.type, row.step, "forward"), 0),
            "failed_undos": failed.get((row.type, row.step, "compensate"), 0),
            "mean_seconds": row.seconds,
            "mean_undo_seconds": row.undo_seconds,
            "most_attempts": row.attempts,
        }
        for row in rows
    ]


def saga_metrics(connection: Connection) -> list[dict[str, Any]]:
    """Return for each type how long its sagas waited, ran and went back, in seconds, and what was taken over.

    wait: asked for → first claim; run: first claim → last step done, of those that are completed; undo lag: turned
    round → its last step undone; oldest: how long the one that stands still for longest has not changed.
    """
    last = (
        select(
            saga_steps.c.saga_id,
            func.max(saga_steps.c.done_at).label("done_at"),
            func.max(saga_steps.c.undone_at).label("undone_at"),
        )
        .group_by(saga_steps.c.saga_id)
        .subquery("last")
    )
    wait = seconds_between(sagas.c.asked_at, sagas.c.started_at)
    ran = case((sagas.c.state == COMPLETED, seconds_between(sagas.c.started_at, last.c.done_at)))
    back = case((sagas.c.state == COMPENSATED, seconds_between(sagas.c.turned_at, last.c.undone_at)))
    still = case((sagas.c.state.not_in(ENDED), seconds_between(sagas.c.changed_at, database_now())))
    rows = connection.execute(
        select(
            sagas.c.type,
            func.count().label("sagas"),
            func.avg(wait).label("mean_wait_seconds"),
            func.max(wait).label("longest_wait_seconds"),
            func.avg(ran).label("mean_run_seconds"),
            func.max(ran).label("longest_run_seconds"),
            func.count(back).label("undone"),
            func.avg(back).label("mean_undo_lag_seconds"),
            func.max(back).label("longest_undo_lag_seconds"),
            func.max(still).label("oldest_unchanged_seconds"),
            func.sum(sagas.c.takeovers).label("takeovers"),
        )
        .outerjoin(last, last.c.saga_id == sagas.c.id)
        .group_by(sagas.c.type)
        .order_by(sagas.c.type)
    )
    return [
        {
            name: float(value) if name.endswith("_seconds") and value is not None else value
            for name, value in row.items()
        }
        for row in rows.mappings()
    ]


def open_alerts(connection: Connection) -> list[dict[str, Any]]:
    """Return the alerts that nobody has settled yet, oldest first."""
    rows = connection.execute(
        select(saga_alerts, sagas.c.type, sagas.c.user_id)
        .join(sagas, sagas.c.id == saga_alerts.c.saga_id)
        .where(saga_alerts.c.resolved_at.is_(None))
        .order_by(saga_alerts.c.id)
    )
    return [
        {
            "id": row.id,
            "saga": row.saga_id,
            "type": row.type,
            "user": row.user_id,
            "code": row.code,
            "detail": row.detail,
            "created_at": row.created_at,
        }
        for row in rows
    ]
