"""One-offs: reflections asked for at a time. Late is told, lost is never: what is due stays due until it is placed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from selo_dagster.errors import SeloError
from selo_dagster.memory.payloads import checked_payload
from selo_dagster.memory.tables import memories
from selo_dagster.people.history import zones_of
from selo_dagster.reflections.cadences.by_cause import ByCause, Wanted, ask
from selo_dagster.reflections.days import fold_stream
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import FLAVOURS, KINDS, kind_named
from selo_dagster.reflections.request import Wish, place_in
from selo_dagster.reflections.states import CANCELLED, CLAIMED, DUE, FAILED, PLACED, SKIPPED, WAITING, Reason
from selo_dagster.reflections.tables import reflection_ledger, reflection_one_offs
from selo_dagster.store.engine import Store

one_offs = reflection_one_offs
MOST_MEMORIES: Final = 20
AT_ONCE: Final = 500

DELAY: Final = re.compile(r"(\d{1,6})\s*(s|m|h|d)", re.ASCII)
LONGEST_DAYS: Final = 3_660
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def due_at(at: datetime | None, delay: str | None, now: datetime) -> datetime:
    """Return when a one-off is due, by an instant or a delay such as 2h. Raises SeloError `wrong_use`, `bad_time`."""
    if (at is None) == (delay is None):
        raise SeloError("wrong_use", "give either a time or a delay (--at or --in)")
    if at is not None:
        return at
    form = DELAY.fullmatch(str(delay).strip())
    if form is None:
        raise SeloError("bad_time", f"{str(delay)[:40]!r} is no delay such as 90s, 10m, 2h or 3d")
    wait = timedelta(**{_UNITS[form[2]]: int(form[1])})
    if wait > timedelta(days=LONGEST_DAYS):
        raise SeloError("bad_time", f"a delay of more than {LONGEST_DAYS} days is a typing error more often than not")
    return now + wait


def kind_and_rule(name: str) -> tuple[Kind, str | None]:
    """Return the kind of this name, or the kind that the rule of this name causes. Raises SeloError `unknown_kind`."""
    return (FLAVOURS[name], name) if name in FLAVOURS else (kind_named(name), None)


def schedule(
    connection: Connection,
    *,
    user_id: str,
    kind: str,
    due_at: datetime,
    now: datetime,
    new_id: Callable[[], str],
    memory_ids: Sequence[str] = (),
    context: Mapping[str, Any] | None = None,
) -> str:
    """Ask for one reflection at `due_at`; returns its id.

    kind: a kind's name, or a rule of the triggered one (`memory`, `emotional`, `knowledge`). A kind that is made
    for dates is done at that time as `selo reflect` would do it then. memory_ids: always read, of that person
    only. context: given to the model as data, never stored elsewhere.
    Raises SeloError `unknown_kind`, `unknown_memory`, `wrong_use`, and what a payload may not hold.
    """
    found, rule = kind_and_rule(kind)
    if (memory_ids or context) and not isinstance(found.cadence, ByCause):
        raise SeloError("wrong_use", f"{kind} reads what is due for it: memories and context go with one_off or a rule")
    if len(memory_ids) > MOST_MEMORIES:
        raise SeloError("wrong_use", f"at most {MOST_MEMORIES} memories may be named")
    given = dict(checked_payload("one_off", dict(context))) if context else None
    theirs = set(
        connection.execute(
            select(memories.c.id).where(memories.c.id.in_(list(memory_ids)), memories.c.user_id == user_id)
        ).scalars()
    )
    for memory in memory_ids:
        if memory not in theirs:
            raise SeloError("unknown_memory", f"there is no memory {memory[:80]!r} of that person")
    one = new_id()
    cause = {"rule": rule or "asked", "memories": list(dict.fromkeys(memory_ids)), "context": given}
    connection.execute(
        insert(one_offs).values(
            id=one, user_id=user_id, kind=found.name, due_at=due_at, cause=cause, state=WAITING, created_at=now
        )
    )
    return one


def unschedule(connection: Connection, one_off_id: str, now: datetime) -> bool:
    """Take a one-off back; False when it had been taken back before.

    Raises SeloError `unknown_one_off`, and `already_begun` once a run has taken it.
    """
    row = connection.execute(select(one_offs).where(one_offs.c.id == one_off_id).with_for_update()).one_or_none()
    if row is None:
        raise SeloError("unknown_one_off", f"there is no one-off {one_off_id[:80]!r}")
    if row.state == CANCELLED:
        return False
    if row.state == PLACED:
        taken_back = connection.execute(
            update(reflection_ledger)
            .where(
                reflection_ledger.c.user_id == row.user_id,
                reflection_ledger.c.kind == row.kind,
                reflection_ledger.c.key == one_off_id,
                reflection_ledger.c.state.in_((DUE, FAILED)),
                reflection_ledger.c.state != CLAIMED,
            )
            .values(state=SKIPPED, reason=Reason.CANCELLED, ready_at=None, settled_at=now)
        ).rowcount
        if not taken_back:
            raise SeloError("already_begun", "its time has come and a run has taken it: it cannot be taken back")
    connection.execute(update(one_offs).where(one_offs.c.id == one_off_id).values(state=CANCELLED))
    return True


def place_due(store: Store, now: datetime, catchup_days: int, kind: Kind | None = None) -> int:
    """Turn every one-off whose time has come into a row of the ledger; returns how many. Idempotent."""
    chosen = [one_offs.c.state == WAITING, one_offs.c.due_at <= now]
    if kind is not None:
        chosen.append(one_offs.c.kind == kind.name)
    with store.read() as connection:
        if connection.execute(select(one_offs.c.id).where(*chosen).limit(1)).first() is None:
            return 0
    fold_stream(store)
    placed = 0
    while True:
        with store.write() as connection:
            rows = connection.execute(
                select(one_offs)
                .where(*chosen)
                .order_by(one_offs.c.due_at, one_offs.c.id)
                .limit(AT_ONCE)
                .with_for_update(skip_locked=True)
            ).all()
            for row in rows:
                connection.execute(
                    update(one_offs)
                    .where(one_offs.c.id == row.id)
                    .values(state=PLACED, placed_at=now, outcome=_place(connection, row, now, catchup_days))
                )
        placed += len(rows)
        if len(rows) < AT_ONCE:
            return placed


def _place(connection: Connection, row: Any, now: datetime, catchup_days: int) -> str | None:
    kind = KINDS.get(row.kind)
    zones = zones_of(connection, [row.user_id]).get(row.user_id)
    if kind is None or zones is None:
        return "unknown_kind" if kind is None else Reason.COULD_NOT_LOOK
    if isinstance(kind.cadence, ByCause):
        return ask(connection, kind, Wanted(row.user_id, zones, row.id, row.due_at, row.cause, now), now)
    replies = place_in(connection, kind, Wish(row.id, (row.user_id,), None), now, catchup_days)
    return replies[0].reason if replies else None


def listed(connection: Connection, *, user_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Return one-offs, newest time first, ready for JSON; what was given with them is private and left out."""
    whose = [] if user_id is None else [one_offs.c.user_id == user_id]
    rows = connection.execute(select(one_offs).where(*whose).order_by(one_offs.c.due_at.desc()).limit(limit))
    return [
        {
            "id": row.id,
            "user": row.user_id,
            "kind": row.kind,
            "due": row.due_at,
            "state": row.state,
            "outcome": row.outcome,
            "placed_at": row.placed_at,
            "late_s": None if row.placed_at is None else (row.placed_at - row.due_at).total_seconds(),
        }
        for row in rows
    ]
