"""Whether there are traces, by OpenTelemetry's own environment variables; without them nothing of it is loaded."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from selo_dagster.tracing.sdk import Sending

log = logging.getLogger(__name__)

FLUSH_S: Final = 5.0
"""Seconds that the end of a run, and of a process, waits for a collector at most."""

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def asked_for() -> bool:
    """Tell whether the environment asks for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    named = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return named != "none" if named else any(os.environ.get(name, "").strip() for name in ENDPOINTS)


@lru_cache(maxsize=1)
def sending() -> Sending | None:
    """Return what sends this process's spans, made at the first call; None: there are no traces.

    What is wrong with it is said once, by class, and harms nothing else.
    """
    if not asked_for():
        return None
    try:
        from selo_dagster.tracing.sdk import Sending

        return Sending()
    except Exception as refused:
        # Whatever the environment says of traces, the work goes on without; only this project's own faults are raised.
        absent = refused.name or "" if isinstance(refused, ImportError) else ""
        if absent.split(".")[0] == "selo_dagster":
            raise
        if absent.split(".")[0] == "opentelemetry":
            log.warning("traces are asked for, but OpenTelemetry is not installed: pip install 'selo-dagster[otel]'")
        else:
            log.warning("there will be no traces: they could not be set up (%s)", type(refused).__name__)
    return None


def on() -> bool:
    """Tell whether there are traces. Costs next to nothing, and must: it is asked for each person."""
    return sending() is not None


def flush() -> bool:
    """Send what is waiting, for at most FLUSH_S seconds; returns whether all of it was handed over."""
    there = sending()
    return there is None or there.flush(FLUSH_S)


class Flushed:
    """Sends what is waiting at the end of a run: its process may be gone right after it."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send."""
        flush()


if hasattr(os, "register_at_fork"):
    # A process that was forked has neither the threads nor the connections of its parent.
    os.register_at_fork(after_in_child=sending.cache_clear)
