"""Running this project's Dagster objects in tests, with a fake mind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from selo_dagster.clock import Clock
from selo_dagster.people.definitions import users_partitions
from selo_dagster.people.partitions import PARTITIONS, sync_partitions
from selo_dagster.reflections.equipment import Tools
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.resource import Mind
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, tools

NOW_TEXT = NOW.isoformat()


class FakeMind(Mind):
    """A mind with a fake model. Dagster copies resources, so the model is looked up by a name."""

    model: str

    def tools(self, store: Store, settings: Settings, clock: Clock, kind: Kind) -> Tools:  # noqa: ARG002 - the fake needs none
        """Return deterministic tools around the fake model."""
        return tools(store, _models[self.model], clock)


_models: dict[str, FakeModel] = {}


def mind_with(model: FakeModel) -> FakeMind:
    """Return a mind that asks `model`."""
    _models[str(id(model))] = model
    return FakeMind(model=str(id(model)))


@contextmanager
def instance_of(store: Store, *, on_disk: bool = False) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance with a partition for everybody in the store; in memory unless ticks need it on disk."""
    quiet = {"telemetry": {"enabled": False}}
    made = dg.DagsterInstance.local_temp(overrides=quiet) if on_disk else dg.DagsterInstance.ephemeral()
    with made as instance:
        sync_partitions(store, instance)
        yield instance


def execute(
    job: dg.JobDefinition, instance: dg.DagsterInstance, model: FakeModel | None = None, **given: Any
) -> dg.ExecuteInProcessResult:
    """Execute a reflection job at the tests' now; `config` holds the op's config."""
    config = {"now": NOW_TEXT} | given.pop("config", {})
    op = next(node.name for node in job.graph.node_defs)
    return job.execute_in_process(
        instance=instance,
        run_config={"ops": {op: {"config": config}}},
        resources={"mind": mind_with(model or FakeModel())},
        raise_on_error=False,
        **given,
    )


def statuses(instance: dg.DagsterInstance, asset: str = "daily_reflection") -> dict[str, str]:
    """Return each key's status as the partitions view shows it; keys without any event are left out."""
    keys = list(instance.get_dynamic_partitions(PARTITIONS))
    found = instance.get_status_by_partition(dg.AssetKey(asset), keys, users_partitions)
    assert found is not None
    return {key: status.value for key, status in found.items() if status is not None}
