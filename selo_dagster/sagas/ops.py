"""The ops of a saga's job: claim, one per step in each direction, settle and verdict. Thin: read, call, report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import SystemRandom
from typing import Any

import dagster as dg
from pydantic import Field
from sqlalchemy import Connection, exists, select

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, clock_at
from selo_dagster.llm.breaker import breaker_of
from selo_dagster.llm.budgets.caps import budget_of
from selo_dagster.reflections.acceptance import acceptance_of
from selo_dagster.sagas.assets import show_ends
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.carrying import put_off
from selo_dagster.sagas.check import require_definitions
from selo_dagster.sagas.claim import claim, held_by
from selo_dagster.sagas.definition import Saga, Step
from selo_dagster.sagas.engine import Report, Tools
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.run_tally import note_end
from selo_dagster.sagas.states import COMPENSATE, COMPLETED, ENDED, FORWARD, WAITING
from selo_dagster.sagas.tables import saga_attempts, sagas
from selo_dagster.sagas.undo import undo_step
from selo_dagster.sagas.verdict import verdict
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import note_start
from selo_dagster.store.opening import open_store

CLAIM, SETTLE, VERDICT = "claim", "settle", "verdict"
UNDO_PREFIX = "undo_"
SAGA_TAG = "selo/saga"
SAGAS_TAG = "selo/sagas"
DIRECTION_TAG = "selo/direction"
TYPE_TAG = "selo/saga_type"
NOW_TAG = "selo/now"
"""Instant that a run takes for now: `selo night --now`."""

NAMED_AT_MOST = 20
RETRIES_A_RUN = 2
LONGEST_WAIT_S = 5.0
"""A passing failure is waited for inside a run only if it is short and nobody else is kept waiting."""


class ClaimConfig(dg.Config):
    """What a saga's run can be told. The defaults take who waits longest, undoing before doing."""

    direction: str = Field(default="", description="forward or compensate; empty: undo first, then forward.")
    saga_ids: list[str] = Field(default=[], description="Only these sagas. Empty: whoever is first in the queue.")


class StepError(Exception):
    """Stands for an error whose text must stay inside: its class only."""


def own_name(saga: Saga, name: str) -> str:
    """Return the name of an op's or graph's definition: unique in a repository, as Dagster wants it."""
    return f"{saga.name}_v{saga.version}_{name}"


def claim_op(saga: Saga) -> dg.OpDefinition:
    """Build the op that claims a cohort in one direction."""

    @dg.op(
        name=own_name(saga, CLAIM),
        description=f"Claims a cohort of {saga.name} in one direction: undo before forward, first come first served.",
        out={
            FORWARD: dg.Out(dg.Nothing, is_required=False),
            COMPENSATE: dg.Out(dg.Nothing, is_required=False),
        },
        required_resource_keys={"saga_lease"},
    )
    def claim_cohort(context: dg.OpExecutionContext, config: ClaimConfig) -> Iterator[dg.Output[None]]:
        with private_boundary(CLAIM), open_store(process_settings()) as store:
            direction, tokens = _claim(store, saga, config, context.run_id, _clock(context))
            if tokens:
                with store.write() as connection:
                    note_start(connection, context.run_id, f"saga_{saga.name}")
        if not tokens:
            context.log.info("nothing to claim")
            return
        ids = [saga_id for saga_id, _ in tokens]
        named = {SAGA_TAG: ids[0]} if len(ids) == 1 else {SAGAS_TAG: ", ".join(ids[:NAMED_AT_MOST])}
        context.instance.add_run_tags(context.run_id, {**named, DIRECTION_TAG: direction, TYPE_TAG: saga.name})
        context.log.info(f"claimed {len(ids)} sagas to go {direction}: {', '.join(ids[:NAMED_AT_MOST])}")
        yield dg.Output(None, direction, metadata={"sagas": len(ids), "direction": direction})

    return claim_cohort


def _claim(store: Store, saga: Saga, config: ClaimConfig, run_id: str, clock: Clock) -> tuple[str, list[Token]]:
    settings = process_settings()
    now = clock.now()
    with store.read() as connection:
        require_definitions(connection, registry(), now)
    for direction in [config.direction] if config.direction else [COMPENSATE, FORWARD]:
        for alone in (False, True):
            with store.write() as connection:
                tokens = claim(
                    connection,
                    saga,
                    direction,
                    run_id=run_id,
                    now=now,
                    lease_s=settings.lease_s,
                    limit=1 if alone else settings.cohort_size,
                    ids=config.saga_ids or None,
                    alone=alone,
                )
            if tokens:
                return direction, tokens
    return "", []


def forward_op(saga: Saga, step: Step) -> dg.OpDefinition:
    """Build the op of one step forward."""

    @dg.op(
        name=own_name(saga, step.name),
        description=f"{step.says} ({step.kind}{', outside the database' if step.outside else ''}).",
        ins={"start": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        tags={"selo/step_kind": step.kind},
        required_resource_keys={"saga_lease"},
    )
    def forward(context: dg.OpExecutionContext) -> None:
        with private_boundary(f"{saga.name}.{step.name}"), open_store(process_settings()) as store:
            tools = _tools(store, context)
            tokens = _mine(store, context, FORWARD, saga)
            if not tokens:
                context.log.info("nobody of this run is left for this step")
                return
            report = forward_step(tools, saga, step, tokens, context.run_id)
            _show(context, report)
            wait_s = max(0.0, report.longest_wait_s(tools.clock.now()))
            again = _try_again_here(report, tokens, wait_s, context.retry_number)
            if not again:
                put_off(tools, tokens, context.run_id, report)
        if again:
            cause = StepError(type(report.cause).__name__)
            raise dg.RetryRequested(max_retries=RETRIES_A_RUN, seconds_to_wait=wait_s) from cause
        if not report.through:
            raise _failure(f"no saga came through {step.name}", report)

    return forward


def _try_again_here(report: Report, tokens: Sequence[Token], wait_s: float, retry_number: int) -> bool:
    waiting = bool(report.passing) and len(report.passing) + len(report.broken) + report.lost == len(tokens)
    return waiting and wait_s <= LONGEST_WAIT_S and retry_number < RETRIES_A_RUN


def undo_op(saga: Saga, step: Step) -> dg.OpDefinition:
    """Build the op of one step back. It never fails because of a saga: what rests on nothing goes on."""
    how = step.irreversible or ("is undone" if step.compensation else "changed nothing")

    @dg.op(
        name=own_name(saga, f"{UNDO_PREFIX}{step.name}"),
        description=f"Undoes: {step.says} ({how}).",
        ins={"start": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        tags={"selo/step_kind": step.kind},
        required_resource_keys={"saga_lease"},
    )
    def undo(context: dg.OpExecutionContext) -> None:
        with private_boundary(f"{saga.name}.undo_{step.name}"), open_store(process_settings()) as store:
            tokens = _mine(store, context, COMPENSATE, saga)
            _show(context, undo_step(_tools(store, context), saga, step, tokens, context.run_id))

    return undo


def settle_op(saga: Saga) -> dg.OpDefinition:
    """Build the op that names, at the end of a forward run, the sagas that broke in it."""

    @dg.op(
        name=own_name(saga, SETTLE),
        description=f"Ends red, naming them, if some {saga.name} of this run did not come through.",
        ins={"start": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
    )
    def settle(context: dg.OpExecutionContext) -> None:
        with private_boundary(SETTLE), open_store(process_settings()) as store:
            _mine(store, context, FORWARD, saga)
            show_ends(context, store, saga)
            note_end(store, context.run_id, FORWARD)
            with store.read() as connection:
                rows = connection.execute(
                    select(sagas.c.id, sagas.c.state, saga_attempts.c.error)
                    .join(saga_attempts, saga_attempts.c.saga_id == sagas.c.id)
                    .where(
                        saga_attempts.c.run_id == context.run_id,
                        saga_attempts.c.direction == FORWARD,
                        sagas.c.state != COMPLETED,
                    )
                    .order_by(sagas.c.place, saga_attempts.c.id)
                ).all()
            waiting = {row.id for row in rows if row.state == WAITING}
            broken = {row.id: str((row.error or {}).get("class", row.state)) for row in rows if row.id not in waiting}
            context.add_output_metadata({"broken": len(broken), "waiting": len(waiting)})
            if broken:
                raise _named(f"{_sagas(broken)} of this run broke", broken)

    return settle


def verdict_op(saga: Saga) -> dg.OpDefinition:
    """Build the op that says what the way back came to."""

    @dg.op(
        name=own_name(saga, VERDICT),
        description=f"Says of each {saga.name} of this run what its way back came to; red if something is left.",
        ins={"start": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
    )
    def judge(context: dg.OpExecutionContext) -> None:
        with private_boundary(VERDICT), open_store(process_settings()) as store:
            tokens = _mine(store, context, COMPENSATE, saga)
            counts = verdict(_tools(store, context), saga, tokens, context.run_id)
            show_ends(context, store, saga)
            note_end(store, context.run_id, COMPENSATE)
            context.add_output_metadata(dict(sorted(counts.items())))
            left = Counter({state: number for state, number in counts.items() if state not in ENDED})
            if left:
                with store.read() as connection:
                    rows = connection.execute(
                        select(sagas.c.id, sagas.c.state).where(
                            sagas.c.id.in_([saga_id for saga_id, _ in tokens]), sagas.c.state.not_in(ENDED)
                        )
                    )
                    not_yet = {row.id: row.state for row in rows}
                    raise _named(f"{_sagas(not_yet)} of this run not undone yet", not_yet)

    return judge


def _tools(store: Store, context: dg.OpExecutionContext) -> Tools:
    settings = process_settings()
    return Tools(
        store,
        _clock(context),
        SystemRandom(),
        breaker=breaker_of(settings),
        budget=budget_of(settings),
        acceptance=acceptance_of(settings),
    )


def _clock(context: dg.OpExecutionContext) -> Clock:
    return clock_at(context.run.tags.get(NOW_TAG))


def _mine(store: Store, context: dg.OpExecutionContext, direction: str, saga: Saga) -> list[Token]:
    """Return what this run holds; nothing where all of it broke before.

    A run that never held anything is not the one that claimed: it must do nothing, and says so.
    """
    with store.read() as connection:
        tokens = held_by(connection, context.run_id)[direction]
        known = bool(tokens) or _left_a_trace(connection, context.run_id)
    if not known:
        raise dg.Failure(
            f"this run holds no {saga.name} that goes {direction}. A saga is not carried on by re-executing a run: "
            "use `selo saga run`, or leave it to the sensor saga_runs",
            {"code": "holds_nothing"},
            allow_retries=False,
        )
    return tokens


def _left_a_trace(connection: Connection, run_id: str) -> bool:
    """Tell whether a run ever held a saga."""
    held = select(exists().where(sagas.c.run_id == run_id))
    tried = select(exists().where(saga_attempts.c.run_id == run_id))
    return bool(connection.execute(held).scalar() or connection.execute(tried).scalar())


def _show(context: dg.OpExecutionContext, report: Report) -> None:
    shown: dict[str, Any] = {
        "done": len(report.done),
        "before": len(report.again),
        "broken": len(report.broken),
        "waiting": len(report.passing),
        "lost": report.lost,
        "seconds": round(report.seconds, 4),
    }
    context.add_output_metadata(shown)
    context.log.info(", ".join(f"{name} {number}" for name, number in shown.items()))


def _failure(what: str, report: Report) -> dg.Failure:
    waiting = dict.fromkeys(report.passing, "waits for another try")
    if not report.broken and not waiting:
        return dg.Failure(f"{what}: all its claims were lost", {"code": "lost"}, allow_retries=False)
    return _named(what, {**report.broken, **waiting})


def _sagas(found: dict[str, str]) -> str:
    return "1 saga" if len(found) == 1 else f"{len(found)} sagas"


def _named(what: str, found: dict[str, str]) -> dg.Failure:
    shown = [f"{saga_id} ({code})" for saga_id, code in list(found.items())[:NAMED_AT_MOST]]
    more = len(found) - len(shown)
    codes = Counter(found.values())
    return dg.Failure(
        f"{what}: {', '.join(shown)}{f' and {more} more' if more else ''}",
        {"sagas": len(found), "codes": ", ".join(f"{code} ({n})" for code, n in codes.most_common(10))},
        allow_retries=False,
    )
