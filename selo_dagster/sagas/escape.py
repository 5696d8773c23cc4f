"""What becomes of sagas whose step ended by an error that the engine did not expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select

from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.journal import Token, fence, let_go, steps_of
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.states import COMPENSATE, FORWARD, StepState
from selo_dagster.sagas.tables import sagas
from selo_dagster.sagas.turning import turn_round
from selo_dagster.store.engine import Store

FOR_GOOD: Final = frozenset(
    {"TypeError", "ValueError", "KeyError", "IndexError", "AttributeError", "AssertionError", "NotImplementedError"}
)
"""Classes of errors that are faults of a program: the next try would end in the same way."""


def after_escape(
    store: Store,
    registry: Registry,
    tokens: Mapping[str, Sequence[Token]],
    op: str,
    run_id: str,
    code: str,
) -> dict[str, int]:
    """Deal with what a run holds at one op without an outcome; returns {turned_round, given_back}.

    A fault of the program turns a forward saga round. Anything else gives the claim back, so that the next tick
    of the sensor goes on at once instead of waiting for the lease.
    """
    acted = {"turned_round": 0, "given_back": 0}
    for direction in (FORWARD, COMPENSATE):
        if not tokens[direction]:
            continue
        with store.write() as connection:
            held = fence(connection, tokens[direction], direction, run_id)
            known = steps_of(connection, held, [op])
            for one in held:
                row = known.get((one.id, op))
                if direction == FORWARD and row is not None and row.state == StepState.DONE:
                    continue
                if direction == FORWARD and code in FOR_GOOD:
                    kind = connection.execute(select(sagas.c.type, sagas.c.version).where(sagas.c.id == one.id)).one()
                    error = {"step": op, "class": code, "meaning": "failed"}
                    turn_round(connection, definition_of(registry, kind.type, kind.version), one, "step_failed", error)
                    acted["turned_round"] += 1
                else:
                    let_go(connection, one)
                    acted["given_back"] += 1
    return acted
