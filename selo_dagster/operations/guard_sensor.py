"""The sensor that keeps looking at the machine, so that nobody who is due has to wait for a look."""

from collections.abc import Callable, Iterator

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.resources.guard import Limits, look
from selo_dagster.resources.sample import Sampler, machine_sampler
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.opening import open_store

NAME = "resource_guard"
INTERVAL_S = 30


def resource_guard_sensor(sampler: Callable[[Settings], Sampler] = machine_sampler) -> dg.SensorDefinition:
    """Build the sensor. It asks for no run: it moves the guard's state, which ticks and their runs go by."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Samples processors, memory, disk and the model server; holds scheduled work back while they "
        "are short, and says so.",
    )
    def resource_guard(_context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
        settings = process_settings()
        if not settings.resource_guard:
            yield dg.SkipReason("switched off: SELO_RESOURCE_GUARD=0")
            return
        with private_boundary(NAME), open_store(settings) as store:
            verdict = look(store, sampler(settings), Limits.of(settings), fresh_s=0)
            with store.write() as connection:
                beat(connection, NAME, {"holds_back": int(verdict.holds_back), "for_s": round(verdict.blocked_s)})
        yield dg.SkipReason(verdict.sentence if verdict.holds_back else f"open for {verdict.blocked_s:.0f} s")

    return resource_guard
