"""By how much work is done at once: the calls of a run, and the runs that Dagster lets go on beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from selo_dagster.settings import Settings

KIND_TAG: Final = "selo/kind"
TICK_S: Final = 900
"""Seconds between two looks: what becomes due between them is found by the later one."""

RUN_START_S: Final = 3.0
"""Seconds from asking for a run to its first call: the daemon's look at the queue and the start of a process."""

UNBOUNDED_RUNS: Final = 100
"""Taken where Dagster's own settings bound nothing."""


@dataclass(frozen=True)
class Ways:
    """slots: calls at once in one run. runs: at once, of all kinds. runs_of_a_kind: of one. cohort: people for whom
    one run is asked for. tick_s: seconds between looks; start_s: until a run makes its first call.
    """

    slots: int
    runs: int = 1
    runs_of_a_kind: int = 1
    cohort: int = 500
    tick_s: int = TICK_S
    start_s: float = RUN_START_S

    def runs_for(self, ready: float) -> int:
        """Return how many runs are asked for so many ready obligations of one kind."""
        return min(self.runs_of_a_kind, math.ceil(ready / self.cohort))


def ways_of(settings: Settings, instance: dg.DagsterInstance, slots: int | None = None) -> Ways:
    """Return the ways of this installation. slots: instead of those that the settings name."""
    bounds = instance.get_concurrency_config().run_queue_config
    runs = UNBOUNDED_RUNS if bounds is None else bounds.max_concurrent_runs
    if runs < 0:
        runs = UNBOUNDED_RUNS
    of_a_kind = runs if bounds is None else _kind_limit(bounds.tag_concurrency_limits, runs)
    return Ways(slots or settings.llm_slots, max(1, runs), max(1, of_a_kind), settings.cohort_size)


def _kind_limit(limits: Any, runs: int) -> int:
    found = [
        int(one["limit"])
        for one in limits or ()
        if one.get("key") == KIND_TAG
        and isinstance(one.get("value"), Mapping)
        and one["value"].get("applyLimitPerUniqueValue")
    ]
    return min([runs, *found])
