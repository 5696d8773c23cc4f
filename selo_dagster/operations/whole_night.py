"""Everything that is due for everyone, in order: each kind, and what it asked for before the kinds after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import dagster as dg

from selo_dagster.clock import Clock
from selo_dagster.reflections.due import ready_count, waiting_count
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.spending import why_left
from selo_dagster.reflections.states import BROKEN, DEFERRED
from selo_dagster.reflections.told import Told
from selo_dagster.reflections.work_commands import until_nothing_is_due
from selo_dagster.sagas.launch import work_off_in
from selo_dagster.sagas.states import NEEDS_A_PERSON
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.reader import look_for_triggers


@dataclass
class Night:
    """What came of it. kinds: outcomes by kind; sagas: states by type; calls: of the model, by reflections; runs:
    of Dagster; parked: why something still waits for the model's server or for room in a budget.
    """

    kinds: dict[str, dict[str, int]] = field(default_factory=dict)
    sagas: dict[str, Counter[str]] = field(default_factory=dict)
    calls: int = 0
    runs: int = 0
    parked: str | None = None

    @property
    def needs_a_person(self) -> bool:
        """Whether anything was rejected, failed, is dead, is parked, or waits for somebody to decide."""
        if self.parked is not None:
            return True
        broken = any(counts[outcome] for counts in self.kinds.values() for outcome in BROKEN)
        return broken or any(counts[state] for counts in self.sagas.values() for state in NEEDS_A_PERSON)


def work_through(
    store: Store, instance: dg.DagsterInstance, settings: Settings, clock: Clock, now: str | None
) -> Night:
    """Work through a night here. now: ISO-8601, taken for the present instant by every run."""
    night = Night()
    look_for_triggers(store, catalogue(), clock.now(), catchup_days=settings.catchup_days)
    for kind in KINDS.values():
        told = Told(kind.name)
        for ran in until_nothing_is_due(store, instance, settings, clock, kind, now):
            told.add_run(store, ran)
            night.runs += 1
        night.kinds[kind.name] = told.counts()
        parked = why_left(store, settings, kind, clock.now())
        with store.read() as connection:
            # They wait for another kind: no run of this night could take them.
            night.kinds[kind.name][DEFERRED] += waiting_count(connection, kind)
            if parked is not None and (waiting := ready_count(connection, kind, clock.now())):
                night.kinds[kind.name][DEFERRED] += waiting
                night.parked = parked
        night.calls += told.model_calls
        # What a kind has asked for comes before the kinds after it: they read persona and goals.
        done = work_off_in(store, instance, None, now)
        night.runs += done.runs
        for name, counts in done.by_type.items():
            night.sagas.setdefault(name, Counter()).update(counts)
    return night
