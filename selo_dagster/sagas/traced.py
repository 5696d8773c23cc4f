"""What sagas tell in traces: forward, undo, turn, settle, and what the monitor and people do. Ids, codes, numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from sqlalchemy import Connection, select

from selo_dagster.people.history import chunked
from selo_dagster.people.tables import users
from selo_dagster.reflections.report import keys_of
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.definition import Saga, Step
from selo_dagster.sagas.states import FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.tracing.places import Place, of_obligation, of_saga
from selo_dagster.tracing.spans import SILENT, Span, opening, span
from selo_dagster.tracing.switch import on

TURN: Final = "selo.saga.turn"

ASKED_BY: Final = ("source", "origin")
"""Fields of a saga's input that say which reflection asked for it."""

REFLECTION: Final = "reflection:"
REASSESSMENT: Final = "reassessment:"
REASSESSED: Final = "persona_reassessment"
"""The kind that stores nothing of its own but its date."""


class Asked(Protocol):
    """A saga's row, or one that is held."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def user_id(self) -> str:
        """Its person."""
        ...

    @property
    def input(self) -> Mapping[str, Any]:
        """What it was given."""
        ...


def places_of(connection: Connection, asked: Iterable[Asked]) -> dict[str, Place]:
    """Return the place of each saga, by its id: in the trace of the reflection that asked for it, else in its own.

    A reflection that is not there any more leaves its sagas to traces of their own.
    """
    sources = {one.id: (one.user_id, _source(one.input)) for one in asked}
    obligations = _obligations(connection, {text for _, text in sources.values() if text.startswith(REFLECTION)})
    keys = keys_of(connection, {user for user, text in sources.values() if text.startswith(REASSESSMENT)})
    found = {}
    for saga_id, (user_id, text) in sources.items():
        reflection = obligations.get((user_id, text))
        if reflection is None and text.startswith(REASSESSMENT) and user_id in keys:
            date = text.removeprefix(REASSESSMENT).partition("/")[0]
            reflection = of_obligation(keys[user_id], REASSESSED, date)
        found[saga_id] = of_saga(saga_id, reflection)
    return found


def trace_of(connection: Connection, saga_id: str) -> str:
    """Return the id of a saga's trace, whether anything is told of it or not."""
    row = connection.execute(select(sagas.c.id, sagas.c.user_id, sagas.c.input).where(sagas.c.id == saga_id)).one()
    return places_of(connection, [row])[saga_id].trace


def _source(given: Mapping[str, Any]) -> str:
    for name in ASKED_BY:
        value = given.get(name)
        if isinstance(value, str) and value.startswith((REFLECTION, REASSESSMENT)):
            return value
    return ""


def _obligations(connection: Connection, sources: Iterable[str]) -> dict[tuple[str, str], Place]:
    """Return the places of reflections, by person and source: nobody's saga is in the trace of somebody else."""
    found = {}
    for part in chunked(sorted(one.removeprefix(REFLECTION) for one in sources)):
        rows = connection.execute(
            select(
                reflections.c.id,
                reflections.c.user_id,
                reflections.c.kind,
                reflections.c.key,
                users.c.key.label("partition"),
            )
            .join(users, users.c.id == reflections.c.user_id)
            .where(reflections.c.id.in_(part))
        )
        for row in rows:
            found[row.user_id, f"{REFLECTION}{row.id}"] = of_obligation(row.partition, row.kind, row.key)
    return found


class Given:
    """A saga that is only just asked for."""

    def __init__(self, saga_id: str, user_id: str, given: Mapping[str, Any]) -> None:
        self.id, self.user_id, self.input = saga_id, user_id, given


def tell_asked(connection: Connection, type_name: str, saga_id: str, user_id: str, given: Mapping[str, Any]) -> None:
    """Tell that a saga was asked for: what is done of it stands under this."""
    if on():
        place = places_of(connection, [Given(saga_id, user_id, given)])[saga_id]
        opening("selo.saga.ask", place, type=type_name, saga=saga_id).end()


def tell(
    connection: Connection,
    name: str,
    whose: Sequence[Asked],
    *,
    code: str | None = None,
    **attributes: str | int | None,
) -> None:
    """Tell of each of these sagas what was decided about it. code: what went wrong with it, if something did."""
    if not whose or not on():
        return
    places = places_of(connection, whose)
    for one in whose:
        begun = span(name, places[one.id], saga=one.id)
        begun.tell(**attributes)
        if code is not None:
            begun.broke(code)
        begun.end()


class StepSpans:
    """The spans of one step, in one direction, of the sagas of a chunk. A saga whose work is done twice has one."""

    def __init__(self, saga: Saga, step: Step, direction: str, run_id: str, places: Mapping[str, Place]) -> None:
        self._saga, self._step, self._direction, self._run_id = saga, step, direction, run_id
        self._places = places
        self._spans: dict[str, Span] = {}

    def of(self, one: Any, before: Any) -> Span:
        """Return the span of one saga that is held. before: the step's row; its tries are counted there."""
        if not self._places:
            return SILENT
        if one.id not in self._spans:
            tries = 0 if before is None else before.attempts if self._direction == FORWARD else before.undo_attempts
            self._spans[one.id] = span(
                "selo.saga.step",
                self._places[one.id],
                type=self._saga.name,
                version=self._saga.version,
                step=self._step.name,
                step_kind=self._step.kind,
                direction=self._direction,
                attempt=tries + 1,
                saga=one.id,
                generation=one.generation,
                epoch=one.epoch,
                run=self._run_id,
            )
        return self._spans[one.id]

    def end(self, saga_id: str, outcome: str, code: str | None = None) -> None:
        """Tell what came of it. code: class or code of what went wrong; None: nothing did."""
        begun = self._spans.pop(saga_id, SILENT)
        begun.tell(outcome=outcome)
        if code is not None:
            begun.broke(code)
        begun.end()


def step_spans(
    connection: Connection, saga: Saga, step: Step, direction: str, run_id: str, held: Sequence[Asked]
) -> StepSpans:
    """Return the spans of a step for these sagas."""
    return StepSpans(saga, step, direction, run_id, places_of(connection, held) if on() and held else {})
