"""The one call: every scenario for one definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Table

from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.testing.case import (
    Ask,
    Case,
    Disturb,
    Outside,
    Prepare,
    Residue,
    Trial,
    asked,
    nothing_left,
    nothing_outside,
    nothing_to_prepare,
)
from selo_dagster.sagas.testing.crashes import crashes
from selo_dagster.sagas.testing.delivery import deliveries
from selo_dagster.sagas.testing.expected import Kit
from selo_dagster.sagas.testing.failures import disturbance, failures
from selo_dagster.store.engine import Store


def trials(case: Case) -> Iterator[Trial]:
    """Yield every scenario that was tried, in an order in which the first fault is the one to mend first."""
    kit = Kit(case)
    yield from kit.learn()
    yield from failures(kit)
    yield from deliveries(kit)
    yield from crashes(kit)
    yield from disturbance(kit)


def check(
    saga: Saga,
    store: Store,
    user_id: str,
    given: Mapping[str, Any],
    *,
    tables: Sequence[Table] = (),
    residue: Residue = nothing_left,
    outside: Outside = nothing_outside,
    disturb: Disturb | None = None,
    prepare: Prepare = nothing_to_prepare,
    ask: Ask = asked,
) -> list[Trial]:
    """Try a definition in every scenario; returns the trials. What the arguments mean is said at `Case`.

    Raises AssertionError, which names scenario, step and write of the first fault of each scenario.
    """
    case = Case(
        saga,
        store,
        user_id,
        given,
        tables=tables,
        residue=residue,
        outside=outside,
        disturb=disturb,
        prepare=prepare,
        ask=ask,
    )
    found = list(trials(case))
    faults = [one for one in found if one.fault is not None]
    if faults:
        # The first of each scenario: the others mostly follow from it.
        told = {one.scenario: one.sentence for one in reversed(faults)}
        sentences = "\n  ".join(reversed(told.values()))
        raise AssertionError(f"{saga.name}: {len(faults)} of {len(found)} trials went wrong\n  {sentences}")
    return found
