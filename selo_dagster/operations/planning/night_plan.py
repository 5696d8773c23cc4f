"""Will tonight fit: everything that is asked of a plan, in one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from selo_dagster.operations.kind_status import lag_target_s
from selo_dagster.operations.planning.forecast import with_likely
from selo_dagster.operations.planning.measured import Measured, measured
from selo_dagster.operations.planning.room import Means
from selo_dagster.operations.planning.shed import slots_that_do, would_shed
from selo_dagster.operations.planning.simulate import Simulated, round_late, simulate
from selo_dagster.operations.planning.ways import Ways
from selo_dagster.operations.planning.work import Batch, Due, due_work
from selo_dagster.output import instant
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.settings import Settings


@dataclass(frozen=True)
class NightPlan:
    """What is to do from `now` to `until`, how it would go, and what would have to give way."""

    now: datetime
    until: datetime
    ways: Ways
    due: Due
    batches: tuple[Batch, ...]
    costs: Mapping[str, Measured]
    course: Simulated
    shed: Mapping[str, int]
    slots_wanted: int | None

    @property
    def fits(self) -> bool:
        """Whether everything is done in time."""
        return self.course.fits

    def number(self, kind: str) -> int:
        """Return how many obligations of a kind there are."""
        return sum(one.number for one in self.batches if one.kind == kind)

    def likely(self, kind: str) -> int:
        """Return how many of them are not known of yet."""
        return sum(one.likely for one in self.batches if one.kind == kind)

    def seconds(self) -> float:
        """Return the seconds of slots that it takes."""
        return sum(one.number * self.costs[one.kind].seconds for one in self.batches)

    def tokens(self) -> int:
        """Return the tokens that it takes, as far as they were ever measured."""
        return round(sum(one.number * self.costs[one.kind].tokens for one in self.batches))

    def put_off(self) -> dict[str, int]:
        """Return by kind how many wait for the budget of another day."""
        found = {name: round_late(one.put_off) for name, one in self.course.courses.items()}
        return {name: number for name, number in found.items() if number}

    def calls(self) -> int:
        """Return the calls of the model that it takes; one for each obligation where none was measured."""
        return round(sum(one.number * self.calls_each(one.kind) for one in self.batches))

    def calls_each(self, kind: str) -> float:
        """Return the calls of one obligation of a kind."""
        found = self.costs[kind].calls
        if found is not None:
            return found
        return 0.0 if KINDS[kind].shape.task is None else 1.0


def night_plan(connection: Connection, settings: Settings, now: datetime, hours: int, ways: Ways) -> NightPlan:
    """Plan the hours after `now`. Reads only. hours: 1 or more."""
    until = now + timedelta(hours=hours)
    # What comes due as the last hour ends belongs to the next plan.
    last = until - timedelta(microseconds=1)
    due = due_work(connection, now, last, settings.catchup_days)
    batches = tuple(with_likely(connection, due, now, last))
    costs = measured(connection, settings, now)
    means = Means.of(connection, settings, now)

    def played(some: Sequence[Batch], slots: int) -> Simulated:
        return simulate(some, costs, replace(ways, slots=slots), now, until, means)

    course = played(batches, ways.slots)
    shed: dict[str, int] = {}
    wanted = None
    if not course.fits:
        shed = would_shed(batches, lambda some: played(some, ways.slots).fits)
        wanted = slots_that_do(ways.slots, lambda slots: played(batches, slots).fits)
    return NightPlan(now, until, ways, due, batches, costs, course, shed, wanted)


def sentence(plan: NightPlan) -> str:
    """Say in plain words whether it fits."""
    if not plan.batches:
        return f"it fits: nothing is due until {_clock(plan.until)}"
    if plan.fits:
        return f"it fits: the last is done at {_clock(plan.course.ends_at)}"
    late = [f"{round_late(one.late)} {name}" for name, one in plan.course.courses.items() if round_late(one.late)]
    targets = sorted({lag_target_s(name) // 3600 for name, one in plan.course.courses.items() if round_late(one.late)})
    than = " or ".join(f"{hours} h" for hours in targets)
    said = f"it does not fit: {', '.join(late)} would be later than {than}"
    if plan.slots_wanted is None:
        return f"{said}; no number of slots alone would do"
    return f"{said}; with {plan.slots_wanted} slots it would"


def _clock(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def document(plan: NightPlan) -> dict[str, Any]:
    """Return the plan ready for JSON: numbers, names of kinds and zones; nobody's id."""
    return {
        "now": instant(plan.now),
        "until": instant(plan.until),
        "fits": plan.fits,
        "sentence": sentence(plan),
        "ends_at": None if plan.course.ends_at is None else instant(plan.course.ends_at),
        "slots": plan.ways.slots,
        "runs": plan.ways.runs,
        "runs_of_a_kind": plan.ways.runs_of_a_kind,
        "slots_wanted": plan.slots_wanted,
        "seconds": round(plan.seconds(), 1),
        "model_calls": plan.calls(),
        "tokens": plan.tokens(),
        "would_shed": dict(plan.shed),
        "waits_for_budget": plan.put_off(),
        "kinds": {name: _kind(plan, name) for name in KINDS if name not in plan.due.kinds_on_hold},
        "hours": [
            {
                "from": instant(hour.start),
                "due": dict(hour.due),
                "done": {name: round(number) for name, number in hour.done.items()},
                "seconds": round(sum(number * plan.costs[name].seconds for name, number in hour.due.items()), 1),
                "tokens": round(sum(number * plan.costs[name].tokens for name, number in hour.due.items())),
            }
            for hour in plan.course.hours
        ],
        "left_out": {
            "kinds_on_hold": list(plan.due.kinds_on_hold),
            "people_on_hold": plan.due.people_on_hold,
            "bad_zones": list(plan.due.bad_zones),
            "people_in_bad_zones": plan.due.people_in_bad_zones,
        },
    }


def _kind(plan: NightPlan, name: str) -> dict[str, Any]:
    cost, course = plan.costs[name], plan.course.courses[name]
    return {
        "due": plan.number(name),
        "likely": plan.likely(name),
        "seconds_each": round(cost.seconds, 4),
        "run_seconds_each": round(cost.row_s, 4),
        "calls_each": round(plan.calls_each(name), 3),
        "tokens_each": round(cost.tokens, 1),
        "measured": cost.number,
        "runs_measured": cost.runs,
        "done_at": None if course.done_at is None else instant(course.done_at),
        "lag_s": round(course.lag_s, 1),
        "lag_target_s": lag_target_s(name),
        "late": round_late(course.late),
        "overdue_already": course.overdue,
        "would_shed": plan.shed.get(name, 0),
        "waits_for_budget": round_late(course.put_off),
    }
