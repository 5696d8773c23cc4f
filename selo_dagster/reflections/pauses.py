"""Pauses: a kind, or everything about one person, is put on hold; what becomes due meanwhile is not made up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, insert, or_, select, true, update

from selo_dagster.reflections.tables import reflection_ledger, reflection_pauses

pauses = reflection_pauses


@dataclass(frozen=True)
class Pause:
    """One pause. kind None: every kind; user_id None: everybody; until None: it still holds."""

    kind: str | None
    user_id: str | None
    since: datetime
    until: datetime | None
    because: str


def pause(connection: Connection, *, kind: str | None, user_id: str | None, because: str, now: datetime) -> bool:
    """Begin a pause. False when it is in force already: nothing is changed."""
    if connection.execute(select(pauses.c.id).where(_exactly(kind, user_id), pauses.c.until.is_(None))).first():
        return False
    connection.execute(insert(pauses).values(kind=kind, user_id=user_id, since=now, because=because))
    return True


def resume(
    connection: Connection, *, kind: str | None, user_id: str | None, now: datetime, because: str | None = None
) -> bool:
    """End a pause; `because` is kept beside why it began. False when there was none."""
    reason = pauses.c.because if because is None else pauses.c.because + f"; resumed: {because}"
    ended = connection.execute(
        update(pauses).where(_exactly(kind, user_id), pauses.c.until.is_(None)).values(until=now, because=reason)
    )
    return bool(ended.rowcount)


def open_pauses(connection: Connection) -> list[Pause]:
    """Return the pauses that hold now, oldest first."""
    rows = connection.execute(select(pauses).where(pauses.c.until.is_(None)).order_by(pauses.c.since, pauses.c.id))
    return [Pause(row.kind, row.user_id, row.since, row.until, row.because) for row in rows]


@dataclass(frozen=True)
class Held:
    """What pauses hold back of a kind. everybody: the kind itself; somebody: some people may be held back."""

    everybody: bool
    somebody: bool


def held_now(connection: Connection, kind: str) -> Held:
    """Say what is on hold of a kind just now."""
    return _held([one for one in open_pauses(connection) if one.kind in {None, kind}])


def held_at(connection: Connection, kind: str, since: datetime) -> Held:
    """Say what was on hold of a kind at an instant."""
    rows = connection.execute(select(pauses.c.user_id).where(_covering(kind, since)))
    return _held([Pause(kind, row.user_id, since, None, "") for row in rows])


def _held(found: list[Pause]) -> Held:
    return Held(any(one.user_id is None for one in found), any(one.user_id is not None for one in found))


def paused_users(kind: str, since: datetime) -> Select[Any]:
    """Return the SELECT of the people who were on hold for a kind at an instant."""
    return select(pauses.c.user_id).where(pauses.c.user_id.is_not(None), _covering(kind, since))


def free_now(connection: Connection, kind: str) -> ColumnElement[bool] | None:
    """Return the condition on a ledger row that no pause holds it back; None: the whole kind is on hold."""
    held = held_now(connection, kind)
    if held.everybody:
        return None
    if not held.somebody:
        return true()
    on_hold = select(pauses.c.user_id).where(
        pauses.c.user_id.is_not(None), pauses.c.until.is_(None), or_(pauses.c.kind.is_(None), pauses.c.kind == kind)
    )
    return reflection_ledger.c.user_id.not_in(on_hold)


def pause_of(connection: Connection, kind: str, user_id: str) -> Pause | None:
    """Return the pause that holds back a kind for somebody now."""
    return next(
        (one for one in open_pauses(connection) if one.kind in {None, kind} and one.user_id in {None, user_id}), None
    )


def _covering(kind: str, instant: datetime) -> ColumnElement[bool]:
    return and_(
        or_(pauses.c.kind.is_(None), pauses.c.kind == kind),
        pauses.c.since <= instant,
        or_(pauses.c.until.is_(None), pauses.c.until > instant),
    )


def _exactly(kind: str | None, user_id: str | None) -> ColumnElement[bool]:
    return and_(
        pauses.c.kind.is_(None) if kind is None else pauses.c.kind == kind,
        pauses.c.user_id.is_(None) if user_id is None else pauses.c.user_id == user_id,
    )
