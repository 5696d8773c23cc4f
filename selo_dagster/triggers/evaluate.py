"""Evaluates one rule for one person: pure, given what is remembered and what has happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from selo_dagster.triggers.conditions import MismatchError
from selo_dagster.triggers.happening import Happening
from selo_dagster.triggers.kept import Kept, matched, remember
from selo_dagster.triggers.patterns import Idle
from selo_dagster.triggers.rule import Rule

NO_MATCH: Final = "no_match"
KEEPING: Final = "kept"
STALE: Final = "stale"
TOO_OLD: Final = "too_old"
REPEATED: Final = "repeated"
FIRED: Final = "fired"
PARKED: Final = "parked"


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule fired for somebody. causes: what for, any order; at: of the newest cause."""

    causes: tuple[Kept, ...]

    @property
    def at(self) -> datetime:
        """The instant of the newest cause."""
        return max(self.causes, key=lambda one: one.micros).at

    @property
    def first(self) -> Kept:
        """The cause that names the request: the last one in the stream, which completed it."""
        return max(self.causes, key=lambda one: one.seq)


@dataclass
class Memory:
    """What a rule remembers of one person.

    upto: number of the last event that it has seen. due_at, began_at: of a pattern that waits for silence, when it
    fires and when the present stretch of talk began.
    """

    upto: int = 0
    kept: list[Kept] = field(default_factory=list)
    due_at: datetime | None = None
    began_at: datetime | None = None


@dataclass
class Evaluated:
    """What came of some events. outcomes: one per event; faults: (event, code) of those that could not be judged."""

    firings: list[Firing] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    faults: list[tuple[Happening, str]] = field(default_factory=list)


def evaluate(
    rule: Rule, memory: Memory, found: Sequence[Happening], *, oldest: datetime | None = None, again: bool = False
) -> Evaluated:
    """Let a rule see what happened to one person, in the order of the stream; moves `memory` on.

    oldest: what arrived before is too old to be made up. again: also what was seen before.
    """
    result = Evaluated()
    for one in found:
        if one.seq <= memory.upto and not again:
            result.outcomes.append(REPEATED)
        elif one.age_s > rule.max_age_s:
            result.outcomes.append(STALE)
        elif oldest is not None and one.arrived_at < oldest:
            result.outcomes.append(TOO_OLD)
        else:
            result.outcomes.append(_seen(rule, memory, one, result))
    if found:
        memory.upto = max(memory.upto, found[-1].seq)
    if isinstance(rule.pattern, Idle):
        talk = matched(memory.kept)
        memory.began_at = rule.pattern.stretch_began(talk, memory.began_at)
        memory.due_at = rule.pattern.due_at(talk, memory.began_at)
    else:
        memory.due_at = memory.began_at = None
    return result


def _seen(rule: Rule, memory: Memory, one: Happening, result: Evaluated) -> str:
    try:
        match = _match(rule, memory, one)
    except MismatchError as refused:
        result.faults.append((one, f"type_mismatch: payload.{refused.field}"))
        return PARKED
    except Exception as broken:  # noqa: BLE001 - a condition of somebody else's fails for this event alone
        result.faults.append((one, f"condition_failed: {type(broken).__name__}"))
        return PARKED
    if match is None:
        return KEEPING if any(seen.seq == one.seq for seen in reversed(memory.kept)) else NO_MATCH
    result.firings.append(Firing(tuple(match)))
    return FIRED


def _match(rule: Rule, memory: Memory, one: Happening) -> list[Kept] | None:
    counted = any(limit.event_type == one.type for limit in rule.thresholds)
    if counted:
        remember(memory.kept, Kept.of(one), rule.window_s)
    if one.type not in rule.events and rule.pattern is None:
        return None
    if rule.condition is not None and one.type in rule.events and not rule.condition.holds(one, memory.kept):
        return None
    if rule.pattern is None:
        causes = {one.seq: Kept.of(one)}
        causes |= {seen.seq: seen for limit in rule.thresholds for seen in limit.counted(one, memory.kept)}
        return list(causes.values())
    marks = rule.pattern.marks(one) if one.type in rule.pattern.watched else None
    if marks is None:
        return None
    remember(memory.kept, Kept.of(one, marks), rule.window_s)
    match = rule.pattern.match(matched(memory.kept), one)
    if match is not None:
        _use_up(rule, memory, match)
    return match


def _use_up(rule: Rule, memory: Memory, match: Sequence[Kept]) -> None:
    """Let what has made a pattern whole not complete the next one as well; a threshold still counts it."""
    used = {seen.seq for seen in match}
    counted = {limit.event_type for limit in rule.thresholds}
    memory.kept = [
        seen._replace(marks=None) if seen.seq in used else seen
        for seen in memory.kept
        if seen.seq not in used or seen.type in counted
    ]


def idle_firing(rule: Rule, memory: Memory, now: datetime) -> Firing | None:
    """Return the firing of somebody who has fallen silent, or talked for long enough; it is used up with it."""
    if memory.due_at is None or memory.due_at > now:
        return None
    memory.due_at = memory.began_at = None
    talked = matched(memory.kept)
    if not talked:
        return None
    _use_up(rule, memory, talked)
    return Firing(tuple(talked))
