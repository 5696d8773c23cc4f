"""Carries one erasure out here and waits for its end, also where another process carries it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import dagster as dg
from sqlalchemy import exists, select

from selo_dagster.clock import SystemClock
from selo_dagster.errors import SeloError
from selo_dagster.sagas.claim import claimable
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.launch import reconcile_here, run_job
from selo_dagster.sagas.states import ENDED, NEEDS_A_PERSON, PAUSED
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store

POLL_S: Final = 0.2
STOPPED: Final = frozenset({*ENDED, *NEEDS_A_PERSON, PAUSED})


def carry_out(
    store: Store,
    instance: dg.DagsterInstance,
    saga: Saga,
    saga_id: str,
    *,
    wait_s: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Run the job of one saga until it has ended, waits for a person, or `wait_s` have gone by; returns its row.

    Raises SeloError `stuck` when a run cannot even claim it.
    """
    ends = monotonic() + wait_s
    while True:
        reconcile_here(store, instance, SystemClock())
        row, free = _look(store, saga, saga_id)
        if row.state in STOPPED:
            return row
        if free:
            run_id, success = run_job(instance, saga, row.direction, saga_ids=[saga_id])
            after, _ = _look(store, saga, saga_id)
            if not success and after.epoch == row.epoch:
                raise SeloError("stuck", f"run {run_id} failed before it claimed anything: look at it in the UI")
        elif monotonic() >= ends:
            return row
        else:
            sleep(POLL_S)


def _look(store: Store, saga: Saga, saga_id: str) -> tuple[Any, bool]:
    """Return a saga's row, and whether a run could take it now."""
    conditions = claimable(SystemClock().now(), goes_first=saga.goes_first)
    with store.read() as connection:
        row = connection.execute(select(sagas).where(sagas.c.id == saga_id)).one()
        free = connection.execute(select(exists().where(sagas.c.id == saga_id, *conditions))).scalar()
    return row, bool(free)
