"""What rules remember of people, in the database: read and written for a whole batch at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from selo_dagster.people.history import chunked
from selo_dagster.store.upsert import insert_or_update
from selo_dagster.triggers.evaluate import Memory
from selo_dagster.triggers.kept import Kept
from selo_dagster.triggers.tables import trigger_counts, trigger_states

states, counts = trigger_states, trigger_counts
Key = tuple[str, str]
"""A person and a rule."""


@dataclass
class State:
    """What one rule knows of one person; see the columns of `trigger_states`."""

    memory: Memory = field(default_factory=Memory)
    waiting: list[Kept] = field(default_factory=list)
    waiting_count: int = 0
    cooldown_until: datetime | None = None
    asked_at: datetime | None = None
    asked_key: str | None = None
    requests: int = 0


def read_states(connection: Connection, keys: Iterable[Key]) -> dict[Key, State]:
    """Return what is known of these people and rules."""
    by_rule: dict[str, list[str]] = {}
    for user_id, rule in keys:
        by_rule.setdefault(rule, []).append(user_id)
    found: dict[Key, State] = {}
    for rule, user_ids in sorted(by_rule.items()):
        for part in chunked(sorted(user_ids)):
            for row in connection.execute(select(states).where(states.c.user_id.in_(part), states.c.rule == rule)):
                found[row.user_id, row.rule] = state_of(row)
    return found


def state_of(row: Any) -> State:
    """Return a row as a state."""
    return State(
        Memory(row.upto, [Kept(*one) for one in row.kept], row.due_at, row.began_at),
        [Kept(*one) for one in row.waiting],
        row.waiting_count,
        row.cooldown_until,
        row.asked_at,
        row.asked_key,
        row.requests,
    )


def write_states(connection: Connection, changed: Mapping[Key, State]) -> None:
    """Store what is known of these people now."""
    rows = [
        {
            "user_id": user_id,
            "rule": rule,
            "upto": state.memory.upto,
            "kept": state.memory.kept,
            "waiting": state.waiting,
            "waiting_count": state.waiting_count,
            "due_at": state.memory.due_at,
            "began_at": state.memory.began_at,
            "cooldown_until": state.cooldown_until,
            "asked_at": state.asked_at,
            "asked_key": state.asked_key,
            "requests": state.requests,
        }
        for (user_id, rule), state in sorted(changed.items())
    ]
    insert_or_update(connection, states, rows)


def add_counts(connection: Connection, found: Mapping[tuple[str, str], int]) -> None:
    """Count events by rule and outcome. The caller holds the stream's lock: nobody else counts."""
    for (rule, outcome), number in sorted(found.items()):
        if not number:
            continue
        here = (counts.c.rule == rule, counts.c.outcome == outcome)
        if not connection.execute(update(counts).where(*here).values(events=counts.c.events + number)).rowcount:
            connection.execute(counts.insert().values(rule=rule, outcome=outcome, events=number))


def counted(connection: Connection) -> dict[str, dict[str, int]]:
    """Return the number of events by rule and outcome so far."""
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(select(counts).order_by(counts.c.rule, counts.c.outcome)):
        found.setdefault(row.rule, {})[row.outcome] = row.events
    return found


def cooling(connection: Connection, now: datetime, user_ids: Collection[str] | None = None) -> list[Any]:
    """Return the rows of whoever is in a cooldown, the longest first."""
    chosen = [states.c.cooldown_until > now]
    if user_ids is not None:
        chosen.append(states.c.user_id.in_(sorted(user_ids)))
    return list(
        connection.execute(
            select(states).where(*chosen).order_by(states.c.cooldown_until.desc(), states.c.user_id, states.c.rule)
        )
    )


def reset_cooldowns(connection: Connection, user_id: str, now: datetime, rule: str | None = None) -> int:
    """End somebody's cooldowns; returns how many. What waited joins the next request all the same."""
    chosen = [states.c.user_id == user_id, states.c.cooldown_until > now]
    if rule is not None:
        chosen.append(states.c.rule == rule)
    return connection.execute(update(states).where(*chosen).values(cooldown_until=None)).rowcount
