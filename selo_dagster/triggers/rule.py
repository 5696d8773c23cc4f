"""A rule as data: which events, under which condition or in which pattern, ask for which reflection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Field, StringConstraints, ValidationError

from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import EventType
from selo_dagster.triggers.conditions import (
    ORDERING,
    TEXTUAL,
    Condition,
    Declared,
    Simple,
    Threshold,
    WindowSeconds,
    parts_of,
)
from selo_dagster.triggers.patterns import Correlation, Idle, Pattern, StepSequence

Seconds = Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)]
LONGEST_NAME = 40


class Rule(Declared):
    """One rule.

    name: unique; part of the key of what it asks for. events: types of which one makes it fire; with a pattern,
    those to which the condition applies. flavour: of the triggered kind (memory, emotional, knowledge; empty: none).
    cooldown_s: from an accepted request until this person is asked about again for this rule. in_cooldown: what
    happens to causes meanwhile: `remember` lets them join the next request, `collect` makes one at its end.
    delay_s: from the cause until it may be reflected on. max_age_s: an event older than this when it arrived never
    triggers. burst: so many causes at one look are a burst; then it waits until nothing came for quiet_s, at most
    longest_s. Raises SeloError `bad_rule` with the rule's name.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=LONGEST_NAME)]
    says: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    events: Annotated[tuple[str, ...], Field(min_length=1)]
    condition: Condition | None = None
    pattern: Pattern | None = None
    flavour: str = ""
    cooldown_s: Seconds
    in_cooldown: Literal["remember", "collect"] = "remember"
    delay_s: Seconds = 0.0
    max_age_s: Annotated[float, Field(gt=0, le=7 * 86_400, allow_inf_nan=False)] = 3_600.0
    burst: Annotated[int, Field(ge=2)] = 3
    quiet_s: WindowSeconds = 10.0
    longest_s: WindowSeconds = 120.0

    def __init__(self, **given: Any) -> None:
        """Check it. Raises SeloError `bad_rule` with the rule's name and every fault."""
        try:
            super().__init__(**given)
        except ValidationError as refused:
            raise SeloError("bad_rule", f"the rule {str(given.get('name'))[:80]!r}: {_said(refused)}") from None

    @cached_property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The conditions that count."""
        return tuple(part for part in parts_of(self.condition) if isinstance(part, Threshold))

    @cached_property
    def watched(self) -> frozenset[str]:
        """Every type of event that it has to see."""
        counted = {one.event_type for one in self.thresholds}
        return frozenset(self.events) | counted | (self.pattern.watched if self.pattern else frozenset())

    @cached_property
    def window_s(self) -> float:
        """How far back it remembers, in seconds; 0: an event is all that it needs."""
        windows = [one.time_window_seconds for one in self.thresholds]
        return max([*windows, self.pattern.time_window_seconds if self.pattern else 0.0])

    def check(self, types: Mapping[str, EventType], flavours: Mapping[str, Any]) -> None:
        """Hold it against the registries. Raises SeloError `bad_rule`, naming the rule and the fault."""
        for fault in self._faults(types, flavours):
            raise SeloError("bad_rule", f"the rule {self.name!r}: {fault}")

    def _faults(self, types: Mapping[str, EventType], flavours: Mapping[str, Any]) -> Iterator[str]:
        for name in sorted(self.watched):
            if name not in types:
                yield f"nobody publishes an event {name[:80]!r}: declare an EventType for it"
        if self.flavour and self.flavour not in flavours:
            yield f"there is no flavour {self.flavour[:40]!r}: use one of {', '.join(sorted(flavours))}, or none"
        if self.pattern is not None and not self.pattern.watched >= set(self.events):
            yield "its pattern does not look at every type in events"
        if isinstance(self.pattern, Idle) and self.pattern.idle_seconds > self.pattern.maximum_wait_seconds:
            yield "idle_seconds is longer than maximum_wait_seconds, which would never be waited for"
        if self.longest_s < self.quiet_s:
            yield "quiet_s is longer than longest_s, which would never be waited for"
        for events, part in self._simple_parts():
            yield from _faults_of(part, events, types)
        if isinstance(self.pattern, Correlation):
            for pair in self.pattern.correlations:
                for name, field in ((pair.source_type, pair.source_field), (pair.target_type, pair.target_field)):
                    if name in types and field not in types[name].fields:
                        yield f"{name} has no field {field[:40]!r}: it has {', '.join(sorted(types[name].fields))}"

    def _simple_parts(self) -> Iterator[tuple[tuple[str, ...], Simple]]:
        for part in parts_of(self.condition):
            if isinstance(part, Simple):
                yield self.events, part
        if isinstance(self.pattern, StepSequence):
            for step in self.pattern.sequence:
                for part in parts_of(step.condition):
                    if isinstance(part, Simple):
                        yield (step.event_type,), part


def _faults_of(part: Simple, events: tuple[str, ...], types: Mapping[str, EventType]) -> Iterator[str]:
    declared = {
        name: types[name].payload.model_fields[part.field]
        for name in events
        if name in types and part.field in types[name].fields
    }
    if not declared and all(name in types for name in events):
        there = sorted({field for name in events for field in types[name].fields})
        yield f"no event of it has a field {part.field[:40]!r}: they have {', '.join(there)}"
    for name, field in declared.items():
        held = _held_types(field.annotation)
        if part.operator in ORDERING and not held & {int, float}:
            yield f"{part.operator} cannot be asked of {name}.{part.field}: it is no number"
        if part.operator in TEXTUAL and not held & ({str, list} if part.operator == "contains" else {str}):
            yield f"{part.operator} cannot be asked of {name}.{part.field}: it is no text"
        if part.operator in {"eq", "neq"} and not any(_same_kind(kind, part.value) for kind in held):
            yield f"{name}.{part.field} is never equal to a value of that type"


def _held_types(annotation: Any) -> set[type]:
    origin = get_origin(annotation)
    if origin is list:
        return {list}
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    if origin is Annotated:
        return _held_types(get_args(annotation)[0])
    arguments = get_args(annotation) if origin is Union or origin is not None or "|" in str(annotation) else ()
    if arguments:
        return {held for one in arguments for held in _held_types(one)}
    return {annotation} if isinstance(annotation, type) else set()


def _same_kind(kind: type, value: object) -> bool:
    if kind in {int, float}:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind)


def _said(refused: ValidationError) -> str:
    faults = refused.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        for one in faults[:5]
    )
