"""What becomes of sagas whose step ended by an error that the engine did not expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.claim import take_back_these
from selo_dagster.sagas.journal import Held, Token, fence, steps_of
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.states import COMPENSATE, FORWARD, StepState
from selo_dagster.sagas.tables import sagas
from selo_dagster.sagas.turning import turn_round
from selo_dagster.store.engine import Store

FOR_GOOD: Final = frozenset(
    {
        "TypeError",
        "ValueError",
        "KeyError",
        "IndexError",
        "AttributeError",
        "AssertionError",
        "NotImplementedError",
        "UnicodeEncodeError",
        "UnicodeDecodeError",
        "JSONDecodeError",
        "ValidationError",
    }
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
    """Deal with what a run still holds at one op without an outcome; returns {turned_round, given_back}.

    A fault of the program turns a forward saga round if it is the only one without an outcome. Otherwise nobody
    knows whose fault it was: these claims are given back, those without progress count as lost, and whoever was
    lost twice is taken alone. So the next tick goes on at once, and the culprit is found in the end.
    """
    acted = {"turned_round": 0, "given_back": 0}
    for direction in (FORWARD, COMPENSATE):
        with store.write() as connection:
            held = fence(connection, tokens[direction], direction, run_id)
            known = steps_of(connection, held, [op])
            without = [one for one in held if direction == COMPENSATE or not _done(known.get((one.id, op)))]
            if direction == FORWARD and len(without) == 1 and code in FOR_GOOD:
                _turn_round(connection, registry, without[0], op, code)
                acted["turned_round"] += 1
            else:
                acted["given_back"] += take_back_these(connection, [one.id for one in without])
    return acted


def _done(row: Any) -> bool:
    return row is not None and row.state == StepState.DONE


def _turn_round(connection: Connection, registry: Registry, one: Held, op: str, code: str) -> None:
    kind = connection.execute(select(sagas.c.type, sagas.c.version).where(sagas.c.id == one.id)).one()
    error = {"step": op, "class": code, "meaning": "failed"}
    turn_round(connection, definition_of(registry, kind.type, kind.version), one, "step_failed", error)
