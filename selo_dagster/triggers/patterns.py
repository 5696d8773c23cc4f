"""Patterns over several events of one person. Pure: what is remembered in, the events of a match out.

Each looks at times of happening, not at the order of arrival, so that late events complete a pattern as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from selo_dagster.triggers.conditions import Condition, Declared, Threshold, WindowSeconds, parts_of
from selo_dagster.triggers.happening import Happening
from selo_dagster.triggers.kept import KEPT, Kept

Match = list[Kept]


class Watching(Declared):
    """What patterns share: which events they remember of a person, and by what they know them again."""

    def marks(self, one: Happening) -> dict[str, str] | None:  # noqa: ARG002 - most patterns need none
        """Return what is remembered beside an event of a watched type; None: nothing, it does not count."""
        return {}


class Frequency(Watching):
    """Every listed type reaches its count within one window."""

    type: Literal["frequency"] = "frequency"
    thresholds: Annotated[dict[str, Annotated[int, Field(ge=1, le=KEPT)]], Field(min_length=1)]
    time_window_seconds: WindowSeconds

    @property
    def watched(self) -> frozenset[str]:
        """The types of events that it looks at."""
        return frozenset(self.thresholds)

    def match(self, kept: Sequence[Kept], one: Happening) -> Match | None:
        """Return the events of a window around `one` that reaches every count."""

        def reached(window: Sequence[Kept]) -> bool:
            counts = Counter(seen.type for seen in window)
            return all(counts[name] >= least for name, least in self.thresholds.items())

        # What all that is remembered does not reach, no window does.
        return (
            None if not reached(kept) else _first_window(kept, one.at, self.watched, self.time_window_seconds, reached)
        )


class WeightSum(Watching):
    """The weights of the events of one window add up to a total."""

    type: Literal["weight_sum"] = "weight_sum"
    event_types: Annotated[tuple[str, ...], Field(min_length=1)]
    total: Annotated[float, Field(gt=0, le=KEPT, allow_inf_nan=False)]
    time_window_seconds: WindowSeconds

    @property
    def watched(self) -> frozenset[str]:
        """The types of events that it looks at."""
        return frozenset(self.event_types)

    def match(self, kept: Sequence[Kept], one: Happening) -> Match | None:
        """Return the events of a window around `one` that weighs enough."""

        def reached(window: Sequence[Kept]) -> bool:
            # A hair less than the total counts: tenths do not add up exactly in binary.
            return sum(seen.weight for seen in window) >= self.total - 1e-9

        return (
            None if not reached(kept) else _first_window(kept, one.at, self.watched, self.time_window_seconds, reached)
        )


class Step(Declared):
    """One step of a sequence."""

    event_type: str
    condition: Condition | None = None

    @model_validator(mode="after")
    def _looks_at_one_event(self) -> Step:
        if any(isinstance(part, Threshold) for part in parts_of(self.condition)):
            raise ValueError("a step of a sequence looks at one event, not at counts")
        return self


class StepSequence(Watching):
    """Steps in this order within a time, whatever else happens in between."""

    type: Literal["sequence"] = "sequence"
    sequence: Annotated[tuple[Step, ...], Field(min_length=2, max_length=10)]
    timeout_seconds: WindowSeconds

    @property
    def watched(self) -> frozenset[str]:
        """The types of events that it looks at."""
        return frozenset(step.event_type for step in self.sequence)

    @property
    def time_window_seconds(self) -> float:
        """The longest time from the first to the last step."""
        return self.timeout_seconds

    def marks(self, one: Happening) -> dict[str, str] | None:
        """Return the steps that an event can be; None: it is no step. Raises what a condition raises."""
        found = {
            str(number): ""
            for number, step in enumerate(self.sequence)
            if step.event_type == one.type and (step.condition is None or step.condition.holds(one, ()))
        }
        return found or None

    def match(self, kept: Sequence[Kept], one: Happening) -> Match | None:  # noqa: ARG002 - all patterns alike
        """Return the events of the newest complete sequence."""
        ordered = sorted(kept, key=lambda seen: (seen.at, seen.seq))
        for start in reversed(range(len(ordered))):
            if "0" not in (ordered[start].marks or ()):
                continue
            found = [ordered[start]]
            for seen in ordered[start + 1 :]:
                if (seen.at - found[0].at).total_seconds() > self.timeout_seconds:
                    break
                if str(len(found)) in (seen.marks or ()):
                    found.append(seen)
                    if len(found) == len(self.sequence):
                        return found
        return None


class Pair(Declared):
    """Two events that belong together because a field of one equals a field of the other."""

    source_type: str
    target_type: str
    source_field: str
    target_field: str


class Correlation(Watching):
    """Two events of one of the pairs within a window, in either order."""

    type: Literal["correlation"] = "correlation"
    correlations: Annotated[tuple[Pair, ...], Field(min_length=1, max_length=10)]
    time_window_seconds: WindowSeconds

    @property
    def watched(self) -> frozenset[str]:
        """The types of events that it looks at."""
        return frozenset(name for pair in self.correlations for name in (pair.source_type, pair.target_type))

    def marks(self, one: Happening) -> dict[str, str] | None:
        """Return fingerprints of the fields that are compared; None: it has none of them."""
        fields = {pair.source_field for pair in self.correlations if pair.source_type == one.type}
        fields |= {pair.target_field for pair in self.correlations if pair.target_type == one.type}
        return {name: found for name in sorted(fields) if (found := one.digest(name)) is not None} or None

    def match(self, kept: Sequence[Kept], one: Happening) -> Match | None:
        """Return the pair that `one` completes, as source or as target, with the nearest other."""
        mine = next((seen for seen in kept if seen.seq == one.seq), None)
        if mine is None:
            return None
        near = [
            seen
            for seen in kept
            if seen.seq != mine.seq and abs((seen.at - mine.at).total_seconds()) <= self.time_window_seconds
        ]
        for other in sorted(near, key=lambda seen: abs((seen.at - mine.at).total_seconds())):
            if any(self._pairs(pair, mine, other) or self._pairs(pair, other, mine) for pair in self.correlations):
                return sorted((mine, other), key=lambda seen: seen.at)
        return None

    @staticmethod
    def _pairs(pair: Pair, source: Kept, target: Kept) -> bool:
        if (source.type, target.type) != (pair.source_type, pair.target_type):
            return False
        value = (source.marks or {}).get(pair.source_field)
        return value is not None and value == (target.marks or {}).get(pair.target_field)


class Idle(Watching):
    """Silence after something happened; somebody who never falls silent is not waited for longer than a maximum."""

    type: Literal["idle"] = "idle"
    event_types: Annotated[tuple[str, ...], Field(min_length=1)]
    idle_seconds: WindowSeconds
    maximum_wait_seconds: WindowSeconds
    at_least: Annotated[int, Field(ge=1, le=KEPT)] = 1

    @property
    def watched(self) -> frozenset[str]:
        """The types of events that it looks at."""
        return frozenset(self.event_types)

    @property
    def time_window_seconds(self) -> float:
        """How far back it looks."""
        return self.maximum_wait_seconds

    def match(self, kept: Sequence[Kept], one: Happening) -> Match | None:  # noqa: ARG002
        """Return None: no event completes it, time does. See `due_at`."""
        return None

    def stretch_began(self, kept: Sequence[Kept], before: datetime | None = None) -> datetime | None:
        """Return when the present stretch of talk began: after the last silence. None: nobody talked.

        before: what was known of it; more talk than is remembered is still the same stretch.
        """
        times = sorted(seen.at for seen in kept)
        if not times:
            return None
        silence = timedelta(seconds=self.idle_seconds)
        first = times[0]
        for earlier, later in pairwise(times):
            if later - earlier > silence:
                first = later
        full = len(times) >= KEPT and first == times[0]
        return min(first, before) if full and before is not None else first

    def due_at(self, kept: Sequence[Kept], began: datetime | None = None) -> datetime | None:
        """Return when it fires if nothing more happens; None: too little has happened.

        The maximum wait begins with the present stretch of talk, which a silence separates from the one before.
        """
        first = began or self.stretch_began(kept)
        if first is None or len(kept) < self.at_least:
            return None
        last = max(seen.at for seen in kept)
        return min(last + timedelta(seconds=self.idle_seconds), first + timedelta(seconds=self.maximum_wait_seconds))


Pattern = Annotated[Frequency | WeightSum | StepSequence | Correlation | Idle, Field(discriminator="type")]


def _first_window(
    kept: Sequence[Kept],
    at: datetime,
    types: frozenset[str],
    window_s: float,
    reached: Callable[[Sequence[Kept]], bool],
) -> Match | None:
    """Return the first window that holds the instant `at`, ends with an event and is enough."""
    length = timedelta(seconds=window_s)
    ordered = sorted((seen for seen in kept if seen.type in types), key=lambda seen: (seen.at, seen.seq))
    for last in ordered:
        if at <= last.at < at + length:
            window = [seen for seen in ordered if last.at - length < seen.at <= last.at]
            if reached(window):
                return window
    return None
