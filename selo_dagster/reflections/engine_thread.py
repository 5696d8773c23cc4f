"""Runs a cohort in a thread with an event loop of its own, so that its user never stalls calls or heartbeats."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from typing import Final

from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.settle import Settlement

BATCH: Final = 500
WAIT_S: Final = 0.25


def settlements(cohort: Cohort) -> Iterator[list[Settlement]]:
    """Yield settlements in batches while the cohort works, in order; an empty list now and then.

    Raises what the engine raised, after everything that it settled was yielded. Closing the iterator early
    (a terminated run) stops the engine and waits until its claims are released.
    """
    outcomes: queue.SimpleQueue[Settlement | None] = queue.SimpleQueue()
    broken: list[BaseException] = []
    cohort.sink = outcomes.put

    def work() -> None:
        try:
            asyncio.run(cohort.run())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread below
            broken.append(error)
        finally:
            outcomes.put(None)

    thread = threading.Thread(target=work, name="selo-cohort")
    thread.start()
    try:
        ended = False
        while not ended:
            batch, ended = _take(outcomes)
            yield batch
    finally:
        cohort.stop()
        thread.join()
    if broken:
        raise broken[0]


def _take(outcomes: queue.SimpleQueue[Settlement | None]) -> tuple[list[Settlement], bool]:
    batch: list[Settlement] = []
    try:
        outcome = outcomes.get(timeout=WAIT_S)
        while outcome is not None and len(batch) < BATCH:
            batch.append(outcome)
            outcome = outcomes.get_nowait()
    except queue.Empty:
        return batch, False
    if outcome is None:
        return batch, True
    batch.append(outcome)
    return batch, False
