"""One op job per kind: with a partition it serves that person, without one it takes a cohort."""

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.people.definitions import users_partitions
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.resource import Mind
from selo_dagster.reflections.run import ReflectionConfig, ReflectionRun

KIND_TAG = "selo/kind"


def job_of(kind: Kind) -> dg.JobDefinition:
    """Build the job of a kind. An op job, since an asset job needs a partition as soon as its upstream has events."""

    @dg.op(
        name=f"reflect_{kind.name}",
        description=f"{kind.purpose} Claims rows of the ledger until nothing is due.",
        out=dg.Out(dg.Nothing),
        tags={KIND_TAG: kind.name},
    )
    def reflect(context: dg.OpExecutionContext, config: ReflectionConfig, mind: Mind) -> None:
        with private_boundary(kind.job):
            partitions = [context.partition_key] if context.has_partition_key else None
            ReflectionRun(context, kind, config, mind, partitions).execute()

    @dg.job(
        name=kind.job,
        description=f"{kind.purpose} Due: {kind.due}. With a partition: that person; without: everybody due.",
        partitions_def=users_partitions,
        executor_def=dg.in_process_executor,
        # The ledger decides what is tried again; a second engine of retries would only repeat settled work.
        tags={KIND_TAG: kind.name, "dagster/max_retries": "0", "dagster/priority": str(kind.priority)},
    )
    def job() -> None:
        reflect()

    return job
