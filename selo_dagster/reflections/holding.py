"""Whether scheduled work is held back just now, as ticks and the runs that they asked for see it."""

from __future__ import annotations

from collections.abc import Callable

from selo_dagster.resources.guard import Limits, Verdict, look
from selo_dagster.resources.sample import machine_sampler
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store

Guard = Callable[[Store, Settings], "Verdict | None"]


def held_back(store: Store, settings: Settings) -> Verdict | None:
    """Return why scheduled work is held back, None when it may go on or the guard is switched off.

    A state that the `resource_guard` sensor looked at lately is taken as it is; otherwise this looks itself.
    """
    if not settings.resource_guard:
        return None
    verdict = look(store, machine_sampler(settings), Limits.of(settings), fresh_s=FRESH_S)
    return verdict if verdict.holds_back else None


FRESH_S = 90.0
"""Three ticks of the sensor that samples."""
