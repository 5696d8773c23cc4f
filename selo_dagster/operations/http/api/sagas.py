"""Sagas, to read: the list, and one with its steps and what happened to it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import Field

from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.fields import Instant, OneOf, Paged, Text, Told
from selo_dagster.operations.http.api.paging import cursor_of, place_of
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.shown import saga_page, saga_shown
from selo_dagster.sagas.states import SAGA_STATES
from selo_dagster.sagas.traced import trace_of

State = Annotated[str, OneOf(SAGA_STATES)]

SAGA_ID: Final = "3f0c9b1e5a7d4c2f8e6b0a1d2c3e4f50"
"""An example."""

SagaId = Annotated[Text, Path(description="The id of a saga.", examples=[SAGA_ID])]


class Wanted(Paged):
    """Which sagas."""

    type: Text | None = Field(None, description="Only this type.", examples=["goal_creation"])
    user: Text | None = Field(None, description="Only this person.", examples=["ana"])
    state: State | None = Field(None, description="Only in this state.")


class SagaTold(Told):
    """One saga. Its input, outputs and undo data are private and left out."""

    id: str
    type: str
    version: int
    user: str
    key: str
    state: State
    direction: str
    generation: int
    reason: str | None
    error: dict[str, Any] | None
    created_at: Instant
    next_attempt_at: Instant | None
    ended_at: Instant | None


class SagasTold(Told):
    """A page of sagas, newest first. next: the cursor of the page after; null on the last one."""

    sagas: list[SagaTold]
    next: str | None


class EffectTold(Told):
    """What a step changed."""

    target: str
    before: Any
    after: Any


class StepTold(Told):
    """One step of a saga."""

    name: str
    state: str
    attempts: int
    undo_attempts: int = 0
    seconds: float | None = None
    undo_seconds: float | None = None
    done_at: Instant | None = None
    undone_at: Instant | None = None
    effects: list[EffectTold] = Field(default_factory=list)
    error: dict[str, Any] | None = None


class MomentTold(Told):
    """Something that happened to a saga."""

    at: Instant
    what: str
    step: str | None = None
    generation: int | None = None
    error: dict[str, Any] | None = None
    run: str | None = None
    actor: str | None = None
    because: str | None = None


class WholeSagaTold(SagaTold):
    """One saga with its steps and its timeline."""

    epoch: int
    run: str | None
    lost: int
    deadline_at: Instant
    waits_since: Instant | None
    cancel_requested: bool
    steps: list[StepTold]
    timeline: list[MomentTold]
    trace: str


def add(calls: Calls) -> None:
    """Add the calls that read sagas."""
    store = calls.served.store

    @calls.reads("/api/sagas", SagasTold)
    def list_sagas(wanted: Annotated[Wanted, Query()]) -> Any:
        """List sagas, newest first."""
        before = None if wanted.cursor is None else place_of(wanted.cursor, int)[0]
        with store.read() as connection:
            rows, place = saga_page(
                connection,
                type_name=wanted.type,
                user_id=wanted.user,
                state=wanted.state,
                limit=wanted.limit,
                before=before,
            )
        return {"sagas": rows, "next": None if place is None else cursor_of(place)}

    @calls.reads("/api/sagas/{saga_id}", WholeSagaTold, refusals=(404,), exclude_unset=True)
    def show_saga(saga_id: SagaId) -> Any:
        """Show one saga: its steps, and everything that happened to it."""
        with store.read() as connection:
            return saga_shown(connection, registry(), saga_id) | {"trace": trace_of(connection, saga_id)}
