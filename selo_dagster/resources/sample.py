"""One look at the machine: how much of it others use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from selo_dagster.resources.disk import disk_percent
from selo_dagster.settings import Settings

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""Seconds over which the processors are watched."""

_OURS: Final = ("dagster", "selo", "ollama", "llama-server", "llama_cpp", "vllm")
"""Words in a command line that tell a process of this project, or a model server: on this machine it works for us."""


@dataclass(frozen=True)
class Sample:
    """Percent, 0-100, of what is in use; None: could not tell. model: None where the server does not say."""

    cpu: float | None
    memory: float | None
    disk: float | None
    model: float | None = None


Sampler = Callable[[], Sample]


def machine_sampler(settings: Settings) -> Sampler:
    """Return a sampler of this machine, and of the model server that the settings name."""

    def sample() -> Sample:
        return Sample(_cpu(), _memory(), _disk(settings.home), _model(settings))

    return sample


def _cpu() -> float | None:
    """Return the share of all cores that others than this project use.

    A night keeps every core busy by itself: counted as pressure, it would hold itself back.
    """
    import psutil

    try:
        before, ours_before = psutil.cpu_times(), _ours()
        psutil.cpu_percent(LOOK_S)
        after, ours_after = psutil.cpu_times(), _ours()
    except (psutil.Error, OSError) as refused:
        log.warning("the processors cannot be read: %s", type(refused).__name__)
        return None
    total = sum(after) - sum(before)
    idle = (after.idle - before.idle) + (getattr(after, "iowait", 0.0) - getattr(before, "iowait", 0.0))
    ours = sum(spent - ours_before.get(pid, 0.0) for pid, spent in ours_after.items())
    if total <= 0:
        return None
    return min(100.0, max(0.0, 100.0 * (total - idle - ours) / total))


def _ours() -> dict[int, float]:
    """Return seconds of processor time by process, of those that work for this project, database and model included."""
    import psutil

    found: dict[int, float] = {}
    here = psutil.Process().pid
    for process in psutil.process_iter(["pid", "name", "cmdline", "cpu_times"]):
        told = process.info
        words = [*(told["cmdline"] or []), told["name"] or ""]
        theirs = any(one in word for word in words for one in _OURS) or (told["name"] or "").startswith("postgres")
        if (theirs or told["pid"] == here) and told["cpu_times"] is not None:
            found[told["pid"]] = told["cpu_times"].user + told["cpu_times"].system
    return found


def _memory() -> float | None:
    import psutil

    try:
        return float(psutil.virtual_memory().percent)
    except (psutil.Error, OSError) as refused:
        log.warning("the memory cannot be read: %s", type(refused).__name__)
        return None


def _disk(home: Path) -> float | None:
    there = next((folder for folder in (home, *home.parents) if folder.exists()), Path("/"))
    try:
        return disk_percent(there)
    except OSError as refused:
        log.warning("the disk cannot be read: %s", type(refused).__name__)
        return None


def _model(settings: Settings) -> float | None:
    if settings.llm_url is None:
        return None
    from selo_dagster.resources.model_load import model_load

    return model_load(settings.llm_url)
