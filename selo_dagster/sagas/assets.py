"""The assets that sagas make: their place in the lineage, and the materialisations of whoever's sagas have ended."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from selo_dagster.asset_events import emit
from selo_dagster.boundary import private_boundary
from selo_dagster.people.definitions import users_partitions
from selo_dagster.sagas.bulk_undo import undo_evolutions
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.mind import AT_ONCE, FACES, mark_shown, unshown
from selo_dagster.sagas.persona_undo import PersonaUndoConfig
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.opening import open_store

GROUP = "mind"
USERS_A_RUN = 500


def show_ends(context: dg.OpExecutionContext, store: Store, saga: Saga) -> None:
    """Show everybody whose sagas of this type have ended and were not shown, also those of a run that was killed."""
    face = FACES.get(saga.name)
    if face is None:
        return
    while True:
        with store.read() as connection:
            ended, people = unshown(connection, saga.name)
        emit(context, [(face.asset, one.key, one.metadata) for one in people])
        if ended:
            with store.write() as connection:
                mark_shown(connection, ended, context.run_id)
        if len(ended) < AT_ONCE:
            return


mind_assets = [
    dg.AssetSpec(
        face.asset,
        deps=list(face.upstream),
        description=f"{face.says} One partition per person; made by the job saga_{name}.",
        partitions_def=users_partitions,
        group_name=GROUP,
        kinds={"saga"},
    )
    for name, face in FACES.items()
]


@dg.multi_asset(
    name="persona_undo_of_users",
    specs=[
        dg.AssetSpec(
            "persona_undo",
            deps=["persona"],
            group_name=GROUP,
            kinds={"saga"},
            skippable=True,
            description="Takes evolutions of the chosen people back, by time, model and prompt version. A dry run "
            "first: it only counts. What was learned with them goes too; what was made since is marked stale.",
        )
    ],
    partitions_def=users_partitions,
    backfill_policy=dg.BackfillPolicy.multi_run(USERS_A_RUN),
)
def persona_undo(context: dg.AssetExecutionContext, config: PersonaUndoConfig) -> Iterator[Any]:
    """Turn the matching sagas round; the sensor saga_runs carries them out."""
    with private_boundary("persona_undo"), open_store(process_settings()) as store:
        wish = config.wish()
        found = undo_evolutions(store, registry(), context.partition_keys, wish, actor=f"run {context.run.run_id}")
        emit(
            context.op_execution_context,
            [("persona_undo", key, {"dry_run": wish.dry_run, **vars(one)}) for key, one in sorted(found.items())],
        )
        matching = sum(one.matching for one in found.values())
        turned = sum(one.turned for one in found.values())
        refused = sum(one.refused for one in found.values())
        came = "a dry run: nothing is changed" if wish.dry_run else f"{turned} are taken back, {refused} cannot be"
        context.log.info(f"{matching} evolutions of {len(found)} people match; {came}")
    yield from ()
