"""A night in numbers: work is taken as claims take it, and time goes from one change to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from selo_dagster.clock import UTC
from selo_dagster.operations.kind_status import lag_target_s
from selo_dagster.operations.planning.measured import NO_MODEL_S, Measured
from selo_dagster.operations.planning.room import Means, Room
from selo_dagster.operations.planning.ways import Ways
from selo_dagster.operations.planning.work import Batch
from selo_dagster.reflections.cadences.latest import Latest
from selo_dagster.reflections.kinds import KINDS

DAY_S: Final = 86_400
"""Seconds of a day in UTC."""

LONGEST: Final = timedelta(days=14)
"""After so much time, what is not done yet counts as never done."""

_NOTHING: Final = 1e-6
"""Of an obligation: less than this is a rounding error of the arithmetic."""


@dataclass
class Course:
    """How a kind gets on. done_at: when the last of it is done; None: never, or there is nothing.

    lag_s: the longest from due to done. late: of those on time by now, done beyond the target.
    overdue: beyond it before the plan begins, whatever is done.
    put_off: the most that ever waited for the budget of another day.
    """

    number: int = 0
    done: float = 0.0
    late: float = 0.0
    overdue: int = 0
    put_off: float = 0.0
    lag_s: float = 0.0
    done_at: datetime | None = None


@dataclass
class Hour:
    """What happens in an hour: by kind, what becomes due and what is done."""

    start: datetime
    due: dict[str, int] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Simulated:
    """A night that was played through. ends_at: when the last is done; None: not within `LONGEST`."""

    courses: dict[str, Course]
    hours: tuple[Hour, ...]
    ends_at: datetime | None

    @property
    def late(self) -> int:
        """Obligations that would be later than their kind's target."""
        return sum(round_late(one.late) for one in self.courses.values())

    @property
    def fits(self) -> bool:
        """Whether everything is done, and nothing too late."""
        return self.ends_at is not None and not self.late


def round_late(number: float) -> int:
    """Return whole obligations: one that is late by a part of itself is late."""
    return math.ceil(number - _NOTHING)


@dataclass(eq=False)
class _Line:
    """Obligations of one batch on their way. left: free to be claimed and not done; held: that wait for a parent."""

    batch: Batch
    left: float = 0.0
    held: float = 0.0
    done: float = 0.0
    parents: list[_Line] = field(default_factory=list)


@dataclass
class _Desk:
    """One kind at work. active: lines of which something can be claimed now.

    begins_at: when its first run makes a call; None while it has nothing to do.
    """

    active: list[_Line] = field(default_factory=list)
    begins_at: float | None = None
    runs: int = 0

    def front(self) -> _Line | None:
        """Return what is claimed next: the newest date first."""
        ready = self.active
        return max(ready, key=lambda one: (one.batch.on, -one.batch.at.timestamp())) if ready else None

    def ready(self) -> float:
        """Return how many could be claimed now."""
        return sum(one.left for one in self.active)


def simulate(
    batches: Sequence[Batch],
    costs: Mapping[str, Measured],
    ways: Ways,
    now: datetime,
    until: datetime,
    means: Means | None = None,
) -> Simulated:
    """Play batches through from `now` until the last is done; nothing comes after `until`. means: None: no budget."""
    return _Night(batches, costs, ways, now, until, means).play()


class _Night:
    def __init__(
        self,
        batches: Sequence[Batch],
        costs: Mapping[str, Measured],
        ways: Ways,
        now: datetime,
        until: datetime,
        means: Means | None,
    ) -> None:
        self.costs, self.ways, self.room = costs, ways, Room(means, costs)
        self.zero, self.clock = now, 0.0
        self.end = LONGEST.total_seconds()
        self.coming = sorted(
            ((self._found_at(one), one) for one in batches), key=lambda pair: (pair[0], pair[1].kind, pair[1].on)
        )
        self.desks: dict[str, _Desk] = {name: _Desk() for name in self._order()}
        self.courses = {name: Course() for name in self.desks}
        self.behind: list[_Line] = []
        self.lines: dict[int, _Line] = {}
        self.by_date: dict[tuple[str, date], list[_Line]] = {}
        self.hours = _hours(now, until)
        for _, one in self.coming:
            self._announce(one)

    def play(self) -> Simulated:
        place = 0
        while self.clock < self.end:
            while place < len(self.coming) and self.coming[place][0] <= self.clock + _NOTHING:
                self._admit(self.coming[place][1])
                place += 1
            if self.behind and self._at_a_tick():
                self._release()
            if self.clock and self._to_midnight() > DAY_S - _NOTHING:
                self._begin_day()
            rates = self._rates()
            step = min(
                [
                    *([self.coming[place][0] - self.clock] if place < len(self.coming) else []),
                    *([self._to_tick()] if self.behind else []),
                    *self._changes(rates),
                    *([self._to_midnight()] if self._shut() else []),
                ],
                default=None,
            )
            if step is None:
                break
            self._advance(rates, max(step, 0.0))
        return self._told()

    def _order(self) -> list[str]:
        """Return the kinds as Dagster's queue takes their runs: by priority, then in the order of a night."""
        return [one.name for one in sorted(KINDS.values(), key=lambda one: (-one.priority, one.place, one.name))]

    def _found_at(self, one: Batch) -> float:
        if one.at <= self.zero:
            # What is there already was asked for by a look before this one.
            return 0.0
        tick = self.ways.tick_s
        return math.ceil(one.at.timestamp() / tick) * tick - self.zero.timestamp()

    def _to_tick(self) -> float:
        instant, tick = self.zero.timestamp() + self.clock, self.ways.tick_s
        return (math.floor((instant + _NOTHING) / tick) + 1) * tick - instant

    def _at_a_tick(self) -> bool:
        left = (self.zero.timestamp() + self.clock) % self.ways.tick_s
        return min(left, self.ways.tick_s - left) < 1e-3 or self.clock == 0.0

    def _to_midnight(self) -> float:
        """Return the seconds to the end of a day of budgets, which is one of UTC; a whole day at its beginning."""
        left = DAY_S - (self.zero.timestamp() + self.clock) % DAY_S
        return left if left > _NOTHING else DAY_S

    def _begin_day(self) -> None:
        for name in self._shut():
            course = self.courses[name]
            course.put_off = max(course.put_off, self.desks[name].ready())
        self.room.renew()

    def _shut(self) -> list[str]:
        """Return the kinds that have something to do, and no room for it today."""
        return [name for name, desk in self.desks.items() if desk.ready() and not self.room.open(name)]

    def _announce(self, one: Batch) -> None:
        line = _Line(one)
        self.lines[id(one)] = line
        self.by_date.setdefault((one.kind, one.on), []).append(line)
        course = self.courses[one.kind]
        course.number += one.number
        if one.since + timedelta(seconds=lag_target_s(one.kind)) <= self.zero:
            course.overdue += one.number
        hour = self._hour_at((max(one.since, self.zero) - self.zero).total_seconds())
        if hour is not None:
            hour.due[one.kind] = hour.due.get(one.kind, 0) + one.number

    def _admit(self, one: Batch) -> None:
        line = self.lines[id(one)]
        line.parents = self._parents(one) if one.behind else []
        if line.parents:
            line.held = float(one.number)
            self.behind.append(line)
        else:
            line.left = float(one.number)
            self.desks[one.kind].active.append(line)

    def _parents(self, one: Batch) -> list[_Line]:
        cadence = KINDS[one.kind].cadence
        if cadence.after is None:
            return []
        days = cadence.days if isinstance(cadence, Latest) else 1
        return [
            each
            for back in range(days)
            for each in self.by_date.get((cadence.after.name, one.on - timedelta(days=back)), [])
            if each.batch.zone is None or one.zone is None or each.batch.zone == one.zone
        ]

    def _release(self) -> None:
        for line in self.behind:
            whole = sum(each.batch.number for each in line.parents)
            share = min(1.0, sum(each.done for each in line.parents) / whole)
            free = line.batch.number if share > 1 - _NOTHING else math.floor(line.batch.number * share)
            more = free - (line.left + line.done)
            if more > _NOTHING:
                if line.left <= _NOTHING:
                    self.desks[line.batch.kind].active.append(line)
                line.left += more
                line.held -= more
        self.behind = [line for line in self.behind if line.held > _NOTHING]

    def _rates(self) -> dict[str, float]:
        """Return obligations a second by kind; runs that have begun keep their place until nothing is ready."""
        free = self.ways.runs
        for name, desk in self.desks.items():
            ready = desk.ready() if self.room.open(name) else 0.0
            if not ready:
                desk.begins_at, desk.runs = None, 0
                continue
            desk.runs = min(free, max(desk.runs, self.ways.runs_for(ready)))
            free -= desk.runs
            if desk.runs and desk.begins_at is None:
                desk.begins_at = self.clock + self.ways.start_s + self.costs[name].begin_s
        rates = {}
        for name, desk in self.desks.items():
            if desk.runs and desk.begins_at is not None and desk.begins_at <= self.clock + _NOTHING:
                cost = self.costs[name]
                calls = min(math.ceil(desk.ready() - _NOTHING), self.ways.slots * desk.runs)
                seconds = NO_MODEL_S if self.room.by_rules(name) else cost.seconds
                rates[name] = 1 / max(seconds / calls + cost.row_s / desk.runs, _NOTHING)
        return rates

    def _changes(self, rates: Mapping[str, float]) -> list[float]:
        """Return the seconds until something changes by itself.

        A batch is done, the room for a kind is used up, or a run makes its first call.
        """
        lasts = self.room.lasts(rates)
        found = [] if math.isinf(lasts) else [lasts]
        for name, desk in self.desks.items():
            front = desk.front()
            if name in rates and front is not None:
                found.append(front.left / rates[name])
            elif desk.runs and desk.begins_at is not None:
                found.append(desk.begins_at - self.clock)
        return found

    def _advance(self, rates: Mapping[str, float], seconds: float) -> None:
        # By the hour at most, so that what was done falls into its hour.
        until = self._next_hour()
        seconds = min(seconds, until)
        for name, rate in rates.items():
            line = self.desks[name].front()
            if line is not None:
                self._work(name, line, rate, seconds)
        self.clock += seconds

    def _work(self, name: str, line: _Line, rate: float, seconds: float) -> None:
        done = min(line.left, rate * seconds)
        if line.left - done < _NOTHING:
            done = line.left
            self.desks[name].active.remove(line)
        line.left -= done
        line.done += done
        self.room.use(name, done)
        course, ended = self.courses[name], self.clock + done / rate
        course.done += done
        course.lag_s = max(course.lag_s, ended - (line.batch.since - self.zero).total_seconds())
        if line.left <= _NOTHING:
            course.done_at = self.zero + timedelta(seconds=ended)
        limit = (line.batch.since - self.zero).total_seconds() + lag_target_s(name)
        if limit > 0:
            course.late += max(0.0, min(done, (ended - limit) * rate))
        hour = self._hour_at(self.clock)
        if hour is not None and done:
            hour.done[name] = hour.done.get(name, 0.0) + done

    def _next_hour(self) -> float:
        instant = self.zero.timestamp() + self.clock
        left = 3600 - instant % 3600
        return left if left > _NOTHING else 3600.0

    def _hour_at(self, clock: float) -> Hour | None:
        begun = math.floor((self.zero.timestamp() + clock + _NOTHING) / 3600)
        place = begun - math.floor(self.zero.timestamp() / 3600)
        return self.hours[place] if 0 <= place < len(self.hours) else None

    def _told(self) -> Simulated:
        undone = False
        for line in self.lines.values():
            left = line.batch.number - line.done
            if left > 1e-3:
                undone = True
                course = self.courses[line.batch.kind]
                course.done_at = None
                if (line.batch.since - self.zero).total_seconds() + lag_target_s(line.batch.kind) > 0:
                    course.late += left
        ends = [one.done_at for one in self.courses.values() if one.done_at is not None]
        ends_at = None if undone else max(ends, default=self.zero)
        return Simulated(self.courses, tuple(self.hours), ends_at)


def _hours(now: datetime, until: datetime) -> list[Hour]:
    first = math.floor(now.timestamp() / 3600)
    last = math.ceil(until.timestamp() / 3600)
    return [Hour(datetime.fromtimestamp(number * 3600, UTC)) for number in range(first, max(last, first + 1))]
