"""Compiles a saga into one job: claim, then the steps forward and settle, or the steps back and the verdict."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.hook import saga_step_failed
from selo_dagster.sagas.ops import (
    CLAIM,
    SETTLE,
    TYPE_TAG,
    UNDO_PREFIX,
    VERDICT,
    claim_op,
    forward_op,
    own_name,
    settle_op,
    undo_op,
    verdict_op,
)
from selo_dagster.sagas.states import COMPENSATE, FORWARD

START = "start"
COMPENSATION = "compensation"
PRIORITY = "5"
"""Ahead of the nightly work, behind what somebody waits for."""


def job_name(saga: Saga, *, newest: bool) -> str:
    """Return the name of a saga's job; an older version that is still needed has one of its own."""
    return f"saga_{saga.name}" if newest else f"saga_{saga.name}_v{saga.version}"


def job_of(saga: Saga, *, newest: bool = True) -> dg.JobDefinition:
    """Build the job of a saga. Both paths are graphs of their own; the one that is not taken shows as skipped."""
    graph = dg.GraphDefinition(
        name=f"{job_name(saga, newest=newest)}_graph",
        node_defs=[claim_op(saga), _forward(saga), _compensation(saga)],
        dependencies={
            _called(saga, CLAIM): {},
            _called(saga, FORWARD): {START: dg.DependencyDefinition(CLAIM, FORWARD)},
            _called(saga, COMPENSATION): {START: dg.DependencyDefinition(CLAIM, COMPENSATE)},
        },
    )
    return graph.to_job(
        name=job_name(saga, newest=newest),
        description=f"{saga.says} Version {saga.version}: {' → '.join(step.name for step in saga.order)}.",
        executor_def=dg.in_process_executor,
        hooks={saga_step_failed},
        # A second engine of retries would drive forward what goes back.
        tags={TYPE_TAG: saga.name, "dagster/max_retries": "0", "dagster/priority": PRIORITY},
    )


def _forward(saga: Saga) -> dg.GraphDefinition:
    needs = {step.name: sorted(step.needs) for step in saga.steps}
    return _graph(
        saga,
        FORWARD,
        [forward_op(saga, step) for step in saga.order],
        needs,
        settle_op(saga),
        SETTLE,
        sorted(saga.sinks),
    )


def _compensation(saga: Saga) -> dg.GraphDefinition:
    needs = {
        f"{UNDO_PREFIX}{step.name}": sorted(f"{UNDO_PREFIX}{name}" for name in saga.dependents(step.name))
        for step in saga.steps
    }
    roots = sorted(f"{UNDO_PREFIX}{step.name}" for step in saga.steps if not step.needs)
    return _graph(
        saga,
        COMPENSATION,
        [undo_op(saga, step) for step in reversed(saga.order)],
        needs,
        verdict_op(saga),
        VERDICT,
        roots,
    )


def _called(saga: Saga, name: str) -> dg.NodeInvocation:
    """Return a node that is called by its plain name in its graph; definitions have names of their own everywhere."""
    return dg.NodeInvocation(own_name(saga, name), alias=name)


def _graph(
    saga: Saga,
    name: str,
    ops: list[dg.OpDefinition],
    needs: Mapping[str, list[str]],
    last: dg.OpDefinition,
    last_name: str,
    before_last: list[str],
) -> dg.GraphDefinition:
    dependencies: dict[Any, Any] = {
        _called(saga, op): {START: _on(before)} if before else {} for op, before in needs.items()
    }
    dependencies[_called(saga, last_name)] = {START: _on(before_last)}
    return dg.GraphDefinition(
        name=own_name(saga, name),
        node_defs=[*ops, last],
        dependencies=dependencies,
        input_mappings=[
            dg.InputMapping(graph_input_name=START, mapped_node_name=op, mapped_node_input_name=START)
            for op, before in needs.items()
            if not before
        ],
    )


def _on(names: list[str]) -> Any:
    if len(names) == 1:
        return dg.DependencyDefinition(names[0])
    return dg.MultiDependencyDefinition([dg.DependencyDefinition(name) for name in names])
