"""The nightly assets: lineage, catalogue and backfills; they call what the jobs call."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.people.definitions import users_partitions
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.resource import Mind
from selo_dagster.reflections.run import ReflectionConfig, ReflectionRun

GROUP = "mind"
USERS_A_RUN = 500

messages = dg.AssetSpec(
    "messages",
    description="What people and their companions said: rows that the companion writes.",
    partitions_def=users_partitions,
    group_name="memory",
    kinds={"table"},
)
memories = dg.AssetSpec(
    "memories",
    description="What is remembered of a person: rows that the companion writes.",
    partitions_def=users_partitions,
    group_name="memory",
    kinds={"table"},
)


@dg.multi_asset(
    name="nightly_reflections",
    specs=[
        dg.AssetSpec(
            DAILY.asset,
            deps=[messages, memories],
            description=f"{DAILY.purpose} One partition per person; green means settled at some date.",
            group_name=GROUP,
            kinds={"reflection"},
            skippable=True,
        )
    ],
    partitions_def=users_partitions,
    backfill_policy=dg.BackfillPolicy.multi_run(USERS_A_RUN),
    can_subset=True,
)
def nightly_reflections(context: dg.AssetExecutionContext, config: ReflectionConfig, mind: Mind) -> Iterator[Any]:
    """Serve the chosen people, one materialisation each, written as each is committed."""
    with private_boundary("nightly_reflections"):
        ReflectionRun(context.op_execution_context, DAILY, config, mind, context.partition_keys).execute()
    yield from ()
