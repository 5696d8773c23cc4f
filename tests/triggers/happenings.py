"""Builders of what rules see, and what a rule makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from selo_dagster.clock import parse_instant
from selo_dagster.memory.stream import StreamEvent
from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.evaluate import Memory, evaluate
from selo_dagster.triggers.happening import USUAL_WEIGHT, Happening
from selo_dagster.triggers.kept import Kept
from selo_dagster.triggers.rule import Rule

NOON = parse_instant("2026-11-23T12:00:00Z")
"""Times of happenings are seconds from here."""

SPIKE, MEMORY, KNOWLEDGE, LEARNING, MESSAGE = (
    "emotional_spike",
    "memory_created",
    "knowledge_updated",
    "learning_created",
    "message_created",
)


def at(after_s: float) -> datetime:
    """Return an instant."""
    return NOON + timedelta(seconds=after_s)


def happening(
    seq: int,
    type: str = SPIKE,  # noqa: A002 - a field's name
    after_s: float = 0.0,
    *,
    age_s: float = 0.0,
    weight: float = USUAL_WEIGHT,
    **fields: Any,
) -> Happening:
    """Return an event of Ana's that happened `after_s` seconds after noon and arrived `age_s` later."""
    return Happening(
        seq=seq,
        type=type,
        origin="event",
        ref=f"e{seq}",
        user_id="ana",
        at=at(after_s),
        arrived_at=at(after_s + age_s),
        age_s=age_s,
        weight=weight,
        fields=fields,
    )


def stated(seq: int, type: str, when: datetime, *, arrived_at: datetime = NOON, **payload: Any) -> StreamEvent:  # noqa: A002
    """Return a numbered event as it is read from the stream."""
    return StreamEvent(seq, "event", type, "ana", f"e{seq}", when, payload, arrived_at)


def kept(*found: Happening) -> list[Kept]:
    """Return events as a rule remembers them."""
    return [Kept.of(one) for one in found]


def rule(**changes: Any) -> Rule:
    """Return a good rule: a spike of 0.7 or more."""
    values: dict[str, Any] = {
        "name": "strong",
        "says": "a strong feeling",
        "events": (SPIKE,),
        "condition": Simple(field="intensity", operator="gte", value=0.7),
        "flavour": "emotional",
        "cooldown_s": 60,
    }
    return Rule(**(values | changes))


def watching(pattern: Any, **changes: Any) -> Rule:
    """Return a rule whose only condition is a pattern."""
    return rule(**({"events": tuple(sorted(pattern.watched)), "condition": None, "pattern": pattern} | changes))


def fired(what: Any, *found: Happening) -> list[list[int]]:
    """Let a rule, or a rule of this pattern, see events in order of arrival; returns the numbers of each firing."""
    one = what if isinstance(what, Rule) else watching(what)
    result = evaluate(one, Memory(), found)
    assert result.faults == []
    return [sorted(cause.seq for cause in firing.causes) for firing in result.firings]
