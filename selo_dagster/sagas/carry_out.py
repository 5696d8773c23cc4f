"""Carries one step out, in the database or outside of it."""

from __future__ import annotations

from collections.abc import Sequence

from selo_dagster.sagas.definition import Saga, Step
from selo_dagster.sagas.engine import Report, Tools
from selo_dagster.sagas.forward import database_step
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.outside import outside_step


def forward_step(tools: Tools, saga: Saga, step: Step, tokens: Sequence[Token], run_id: str) -> Report:
    """Carry a step out for everybody of a cohort who has not come through it yet.

    A saga that fails for good turns round in the same transaction and is not this run's any more. One that fails
    for a passing reason stays claimed: the caller decides between another try here and `carrying.put_off`.
    Raises what the database raises when it is gone; the chunk under way is then as if it had never begun.
    """
    work = database_step if step.in_database else outside_step
    return work(tools, saga, step, tokens, run_id)
