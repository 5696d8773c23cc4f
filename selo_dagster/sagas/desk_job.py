"""The operator's desk in Dagster's launchpad: one act on one saga, as `selo saga` does it."""

from enum import Enum

import dagster as dg
from pydantic import Field

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import SystemClock
from selo_dagster.errors import SeloError
from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.desk import Acted, Desk
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

NAME = "saga_desk"


class Act(Enum):
    """What can be done with a saga."""

    RETRY = "retry"
    CANCEL = "cancel"
    COMPENSATE = "compensate"
    PAUSE = "pause"
    RESUME = "resume"
    WAIVE = "waive"


class DeskConfig(dg.Config):
    """One act. Everything but the step is needed."""

    saga_id: str = Field(description="The saga, as `selo saga list` shows it.")
    act: Act = Field(description="What to do with it.")
    actor: str = Field(description="Who does it.")
    because: str = Field(description="Why; kept beside it.")
    step: str = Field(default="", description="With waive: the step whose undo is not owed any more.")


@dg.op(
    name="act_on_saga",
    description="Does one thing with one saga: fenced, the same act twice changes nothing, who and why are kept.",
    out=dg.Out(dg.Nothing),
)
def act_on_saga(context: dg.OpExecutionContext, config: DeskConfig) -> None:
    """Do it, and say what it changed."""
    with private_boundary(NAME), open_store(process_settings()) as store, store.write() as connection:
        known = registry()
        desk = Desk(
            connection,
            SystemClock().now(),
            lambda name, version: definition_of(known, name, version),
            config.actor,
            config.because,
        )
        acted = _act(desk, config)
        context.log.info(f"saga {acted.id} is {acted.state}{'' if acted.changed else ': nothing to change'}")
        context.add_output_metadata({"saga": acted.id, "state": acted.state, "changed": acted.changed})


def _act(desk: Desk, config: DeskConfig) -> Acted:
    if config.act is Act.WAIVE:
        return desk.waive(config.saga_id, config.step)
    if config.step:
        raise SeloError("wrong_use", f"a step goes with waive, not with {config.act.value}")
    acted: Acted = getattr(desk, config.act.value)(config.saga_id)
    return acted


@dg.job(
    name=NAME,
    description="Decide about one saga: retry, cancel, compensate, pause, resume, or waive a step.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "0", "dagster/priority": "10"},
)
def saga_desk() -> None:
    """One op."""
    act_on_saga()
