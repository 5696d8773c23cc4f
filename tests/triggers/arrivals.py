"""Arrivals for tests: what happens to people, when it got here, and what the rules make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from selo_dagster.clock import FixedClock
from selo_dagster.memory.event_types import EventType
from selo_dagster.memory.tables import conversations, events, memories, messages
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import reflection_ledger as ledger
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from selo_dagster.triggers.catalogue import Catalogue, catalogue, catalogue_of
from selo_dagster.triggers.reader import Looked, look_for_triggers
from selo_dagster.triggers.rule import Rule
from selo_dagster.triggers.states import counted
from selo_dagster.triggers.tables import trigger_parked, trigger_states
from tests.support.fakes import NOW, FakeModel, remember, run_cohort, say

TRIGGERED = KINDS["triggered"]
SECRET = "planted-secret-7d1e"
"""Stands in texts and payloads: it must never come back in what is shown to operators."""


def after(**span: float) -> datetime:
    """Return an instant after the tests' now."""
    return NOW + timedelta(**span)


def before(**span: float) -> datetime:
    """Return an instant before the tests' now."""
    return NOW - timedelta(**span)


def arrive(store: Store, ids: Sequence[str] = (), *, lag: timedelta = timedelta(0), on: datetime | None = None) -> None:
    """Say when events got here: `lag` after they happened, or all at one instant. Without ids: whatever is unread."""
    with store.write() as connection:
        chosen = events.c.ref.in_(ids) if ids else events.c.seq.is_(None)
        fresh = connection.execute(select(events.c.id, events.c.at).where(chosen)).all()
        if fresh:
            connection.execute(
                update(events).where(events.c.id == bindparam("row")).values(created_at=bindparam("arrived")),
                [{"row": row.id, "arrived": on or row.at + lag} for row in fresh],
            )


def strong(
    store: Store,
    user_id: str,
    memory_id: str,
    at: datetime = NOW,
    importance: float = 0.9,
    *,
    text: str | None = None,
    lag: timedelta = timedelta(0),
) -> None:
    """Let somebody have a memory that got here at once; without `text` it says its id."""
    remember(store, user_id, memory_id, at.isoformat(), text or memory_id, importance)
    arrive(store, [memory_id], lag=lag)


def storm(
    store: Store,
    user_id: str,
    number: int,
    first: datetime,
    text: Callable[[int], str] = str,
    *,
    rising: bool = False,
) -> None:
    """Let somebody have many strong memories within a minute, the weightiest of them first; rising: last."""
    rows = [
        {
            "id": f"storm-{place}",
            "user_id": user_id,
            "kind": "fact",
            "content": text(place),
            "importance": 1 - 0.2 * (number - 1 - place if rising else place) / number,
            "at": first + timedelta(seconds=60 * place / number),
            "tags": [],
        }
        for place in range(number)
    ]
    with store.write() as connection:
        connection.execute(insert(memories), rows)
    arrive(store, [str(row["id"]) for row in rows])


def happen(
    store: Store,
    user_id: str,
    event_id: str,
    kind: str,
    payload: Any,
    at: datetime = NOW,
    *,
    lag: timedelta = timedelta(0),
) -> None:
    """Let somebody state an event about a person, whatever its payload, past every door that would check it."""
    with store.write() as connection:
        connection.execute(
            insert(events).values(
                origin="event",
                ref=event_id,
                type=kind,
                user_id=user_id,
                at=at,
                payload=payload,
                created_at=at + lag,
            )
        )


def spike(
    store: Store, user_id: str, event_id: str, at: datetime = NOW, intensity: float = 0.9, **payload: Any
) -> None:
    """Let somebody have a surge of feeling that got here at once."""
    happen(store, user_id, event_id, "emotional_spike", {"emotion": "grief", "intensity": intensity, **payload}, at)


def talk(
    store: Store,
    user_id: str,
    first: datetime,
    number: int,
    every: timedelta = timedelta(minutes=1),
    *,
    role: str = "user",
) -> list[str]:
    """Let messages of a conversation get here at once; returns their ids."""
    stem = f"{user_id}-{role}-{first:%Y%m%dT%H%M%S}"
    rows = [
        {
            "id": f"{stem}-{place}",
            "user_id": user_id,
            "conversation_id": stem,
            "role": role,
            "content": f"message {place}",
            "at": first + place * every,
        }
        for place in range(number)
    ]
    with store.write() as connection:
        connection.execute(insert(conversations).values(id=stem, user_id=user_id))
        connection.execute(insert(messages), rows)
    found = [str(row["id"]) for row in rows]
    arrive(store, found)
    return found


def known(store: Store, *users: str) -> None:
    """Let people have said something yesterday, which nobody has to hurry about."""
    for user_id in users:
        arrive(store, say(store, user_id, before(days=1), "hello", prefix=f"{user_id}-known"))


def rules_of(*rules: Rule, types: Sequence[EventType] = ()) -> Catalogue:
    """Return the checked catalogue of these rules alone."""
    module = ModuleType("rules")
    for place, one in enumerate((*rules, *types)):
        setattr(module, f"declared_{place}", one)
    return catalogue_of([module])


def look(store: Store, now: datetime = NOW, rules: Catalogue | None = None, **options: Any) -> Looked:
    """Let the rules look once."""
    given: dict[str, Any] = {"catchup_days": 3} | options
    return look_for_triggers(store, rules or catalogue(), now, **given)


def requests(store: Store, user_id: str | None = None) -> list[Any]:
    """Return what triggers asked for, oldest first, also what was asked for in vain."""
    whose = [] if user_id is None else [ledger.c.user_id == user_id]
    with store.read() as connection:
        return list(
            connection.execute(select(ledger).where(ledger.c.kind == TRIGGERED.name, *whose).order_by(ledger.c.id))
        )


def refs(row: Any) -> list[str]:
    """Return the ids of what caused a request, the weightiest first."""
    return [str(one[4]) for one in row.cause["causes"]]


def counts(store: Store) -> dict[str, dict[str, int]]:
    """Return the events by rule and outcome, without the outcomes that none had."""
    with store.read() as connection:
        found = counted(connection)
    return {rule: {outcome: number for outcome, number in one.items() if number} for rule, one in found.items()}


def state(store: Store, user_id: str, rule: str) -> Any:
    """Return what a rule knows of a person."""
    with store.read() as connection:
        return connection.execute(
            select(trigger_states).where(trigger_states.c.user_id == user_id, trigger_states.c.rule == rule)
        ).one_or_none()


def parked_rows(store: Store) -> list[Any]:
    """Return every event that was ever parked, with its state."""
    with store.read() as connection:
        return list(connection.execute(select(trigger_parked).order_by(trigger_parked.c.seq)))


def number_of(store: Store, ref: str) -> int:
    """Return an event's number in the stream."""
    with store.read() as connection:
        return int(connection.execute(select(events.c.seq).where(events.c.ref == ref)).scalar_one())


def events_of(store: Store, types: frozenset[str]) -> int:
    """Return how many events of these types there are."""
    with store.read() as connection:
        return int(connection.execute(select(func.count()).where(events.c.type.in_(sorted(types)))).scalar_one())


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with store.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def reflect(store: Store, now: datetime = NOW, model: FakeModel | None = None, **changes: Any) -> list[Settlement]:
    """Run what triggers asked for and is ready."""
    return run_cohort(store, model, kind=TRIGGERED, clock=FixedClock(now), **changes)
