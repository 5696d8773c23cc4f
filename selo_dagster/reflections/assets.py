"""The assets of every kind: lineage, catalogue and backfills; they call what the jobs call."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.people.definitions import users_partitions
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import KINDS
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


def assets_of(kinds: Sequence[Kind]) -> dict[str, dg.AssetsDefinition]:
    """Build one asset a kind, by step; those of one chain are one step, so that a range run takes them in order."""
    steps: dict[str, list[Kind]] = {}
    for kind in kinds:
        # A step of its own must not take the name of an asset, which may be a job's too.
        steps.setdefault(kind.chain or f"{kind.asset}_of_users", []).append(kind)
    return {name: _step(name, some) for name, some in steps.items()}


def _step(name: str, kinds: list[Kind]) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=name,
        specs=[_spec(kind) for kind in kinds],
        partitions_def=users_partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(USERS_A_RUN),
        can_subset=len(kinds) > 1,
    )
    def step(context: dg.AssetExecutionContext, config: ReflectionConfig, mind: Mind) -> Iterator[Any]:
        """Serve the chosen people, one materialisation each, written as each is committed."""
        chosen = context.op_execution_context.selected_asset_keys
        broken: list[dg.Failure] = []
        with private_boundary(name):
            for kind in kinds:
                if dg.AssetKey(kind.asset) in chosen:
                    try:
                        ReflectionRun(
                            context.op_execution_context, kind, config, mind, context.partition_keys
                        ).execute()
                    except dg.Failure as failure:
                        # Those whose parent is done get what follows from it all the same.
                        broken.append(failure)
            if broken:
                raise _together(broken)
        yield from ()

    return step


def _together(broken: list[dg.Failure]) -> dg.Failure:
    if len(broken) == 1:
        return broken[0]
    return dg.Failure("; ".join(str(one.description) for one in broken), allow_retries=False)


def _spec(kind: Kind) -> dg.AssetSpec:
    return dg.AssetSpec(
        kind.asset,
        deps=list(kind.upstream),
        description=f"{kind.purpose} One partition per person; green means settled at some date.",
        group_name=GROUP,
        kinds={"reflection"},
        skippable=True,
    )


reflection_assets = assets_of(list(KINDS.values()))
