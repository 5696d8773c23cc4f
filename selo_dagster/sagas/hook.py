"""The failure hook: the fast path after a step that ended by an error of its own. The sensor is the guarantee."""

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.sagas.claim import held_by
from selo_dagster.sagas.escape import after_escape
from selo_dagster.sagas.ops import UNDO_PREFIX
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.run_tally import note_end
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

QUIET = frozenset({"claim", "settle", "verdict"})
"""Ops at whose end no saga can be without an outcome of its own."""


@dg.failure_hook(name="saga_step_failed")
def saga_step_failed(context: dg.HookContext) -> None:
    """Give back, or turn round, what this run still holds at this step without an outcome."""
    op = context.step_key.rsplit(".", 1)[-1]
    if op in QUIET:
        return
    with private_boundary("saga_step_failed"), open_store(process_settings()) as store:
        with store.read() as connection:
            tokens = held_by(connection, context.run_id)
        code = _code(context.op_exception)
        acted = after_escape(store, registry(), tokens, op, context.run_id, code)
        direction = COMPENSATE if op.startswith(UNDO_PREFIX) else FORWARD
        note_end(store, context.run_id, direction, code)
    context.log.info(f"after {code}: {acted}")


def _code(raised: BaseException | None) -> str:
    if isinstance(raised, dg.Failure):
        value = (raised.metadata or {}).get("code")
        return str(value.value) if value is not None else "Failure"
    return type(raised).__name__
