"""Shows outcomes as asset events, in batches.

Dagster writes an explicitly yielded materialisation on its own (8 ms on PostgreSQL, most of it connections). Its
own batches are open to an event that is emitted with batch metadata; that, and the planned event that turns one
partition red, is not public API, so both are kept in this file and held by contract tests. Where a version of
Dagster lacks them, `BATCHED` is False: materialisations are written one by one, and no single partition turns red.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import dagster as dg

try:
    from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, DagsterEventBatchMetadata
except ImportError:  # pragma: no cover - another version of Dagster
    BATCHED: Final = False
else:
    BATCHED = True  # type: ignore[misc]

BATCH_VARIABLE: Final = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE: Final = 1_000

Shown = tuple[str, str, Mapping[str, Any]]
"""Asset, partition key, metadata: numbers, codes and dates only."""


def materializations(rows: Sequence[Shown]) -> list[dg.AssetMaterialization]:
    """Return one materialisation per row."""
    return [dg.AssetMaterialization(asset, partition=key, metadata=dict(metadata)) for asset, key, metadata in rows]


def emit(context: dg.OpExecutionContext, rows: Sequence[Shown]) -> None:
    """Write one materialisation per row in a single batch; when this returns, they are stored."""
    if not rows:
        return
    events = materializations(rows)
    if not BATCHED:
        for event in events:
            context.log_event(event)
        return
    step = context.get_step_execution_context()
    batch = uuid4().hex
    with _batches():
        for number, event in enumerate(events, start=1):
            DagsterEvent.asset_materialization(step, event, DagsterEventBatchMetadata(batch, number == len(events)))


def plan(context: dg.OpExecutionContext, asset: str, keys: Sequence[str]) -> None:
    """Report that this run meant to materialise these partitions: in a run that fails, they turn red.

    The next materialisation of a partition clears it.
    """
    if not BATCHED:
        return
    step = context.get_step_execution_context()
    for key in keys:
        event = DagsterEvent.build_asset_materialization_planned_event(
            context.job_name,
            step.step.key,
            AssetMaterializationPlannedData(dg.AssetKey(asset), partition=key),
        )
        context.instance.report_dagster_event(event, context.run_id, logging.DEBUG)


@contextmanager
def _batches() -> Iterator[None]:
    # Dagster reads the variable at each event; set for our own events only, nothing else is delayed.
    before = os.environ.get(BATCH_VARIABLE)
    os.environ[BATCH_VARIABLE] = str(BATCH_SIZE)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(BATCH_VARIABLE, None)
        else:
            os.environ[BATCH_VARIABLE] = before
