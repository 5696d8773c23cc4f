"""Sagas, to start and to decide about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar
from uuid import uuid4

from pydantic import ConfigDict, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse

from selo_dagster.api_tokens import SAGAS
from selo_dagster.errors import SeloError
from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.fields import ActedTold, Asked, Id, Text, Told
from selo_dagster.operations.http.api.repeatable import REPLAYED_HEADER, Answer, Key, done_once
from selo_dagster.operations.http.api.sagas import SagaId
from selo_dagster.reflections.answers import person
from selo_dagster.sagas.desk import Acted, Desk
from selo_dagster.sagas.desk_opening import open_desk
from selo_dagster.sagas.erasure.asking import TYPE as ERASURE
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.start import LONGEST_KEY, random_id, start

LONGEST_REASON: Final = 2_000

Decide = TypeVar("Decide", bound=Callable[..., JSONResponse])

EXAMPLE: Final[dict[str, Any]] = {
    "type": "goal_creation",
    "user": "ana",
    "key": "goal-2026-11-22",
    "input": {"title": "Run", "description": "Run far", "origin": "companion:1", "steps": ["buy shoes"]},
}

LOCATION: Final = {
    "headers": {**REPLAYED_HEADER["headers"], "Location": {"schema": {"type": "string"}, "description": "The saga."}}
}


class SagaWanted(Asked):
    """A saga that is asked for. key: the same type, person and key starts once; without one, each is a new one."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    type: Text = Field(description="Its type; the newest version is started.")
    user: Id = Field(description="For whom.")
    input: dict[str, Any] = Field(description="As the saga declares it.")
    key: str | None = Field(None, min_length=1, max_length=LONGEST_KEY)


class Because(Asked):
    """Why; kept beside what is done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"because": "she asked for it"}]})

    because: str = Field(min_length=1, max_length=LONGEST_REASON)


class StartedTold(Told):
    """existing: true where it was there already, by its key."""

    id: str
    state: str
    existing: bool


def add(calls: Calls) -> None:
    """Add the calls that start sagas and decide about them."""
    served = calls.served

    @calls.writes(
        "POST",
        "/api/sagas",
        StartedTold,
        SAGAS,
        status=201,
        refusals=(404, 409),
        responses={
            201: LOCATION,
            200: LOCATION | {"model": StartedTold, "description": "It was there already, by its key."},
        },
    )
    def start_saga(request: Request, wanted: SagaWanted, key: Key = None) -> JSONResponse:
        """Ask for a saga; a run takes it within seconds."""
        if wanted.type == ERASURE:
            raise SeloError("wrong_use", "nobody is erased over HTTP: use `selo erase`, which asks first and proves it")
        definition = registry().type(wanted.type)

        def do(connection: Connection) -> Answer:
            started = start(
                connection,
                definition,
                user_id=person(connection, wanted.user)[0],
                key=wanted.key or uuid4().hex,
                given=wanted.input,
                now=served.clock.now(),
                new_id=random_id,
            )
            document = {"id": started.id, "state": started.state, "existing": started.existing}
            status = 200 if started.existing else 201
            return Answer(document, status, {"Location": f"/api/sagas/{started.id}"})

        return done_once(served.store, request, key, do)

    def decided(request: Request, key: str | None, because: str, act: Callable[[Desk], Acted]) -> JSONResponse:
        def do(connection: Connection) -> Answer:
            actor = f"api:{request.state.caller.name}"
            acted = act(open_desk(connection, registry(), served.clock.now(), actor, because))
            return Answer({"id": acted.id, "state": acted.state, "changed": acted.changed})

        return done_once(served.store, request, key, do)

    def acting(act: str) -> Callable[[Decide], Decide]:
        return calls.writes(
            "POST",
            f"/api/sagas/{{saga_id}}/{act}",
            ActedTold,
            SAGAS,
            refusals=(404, 409),
            responses={200: REPLAYED_HEADER},
        )

    @acting("retry")
    def retry_saga(request: Request, saga_id: SagaId, wanted: Because, key: Key = None) -> JSONResponse:
        """Go on with a saga that waits for a person; one that was undone begins anew, as a new generation."""
        return decided(request, key, wanted.because, lambda desk: desk.retry(saga_id))

    @acting("cancel")
    def cancel_saga(request: Request, saga_id: SagaId, wanted: Because, key: Key = None) -> JSONResponse:
        """Stop a saga: what it has done is undone, as long as there is a way back."""
        return decided(request, key, wanted.because, lambda desk: desk.cancel(saga_id))

    @acting("compensate")
    def compensate_saga(request: Request, saga_id: SagaId, wanted: Because, key: Key = None) -> JSONResponse:
        """Undo a saga, also a completed one, as long as its undo data is kept."""
        return decided(request, key, wanted.because, lambda desk: desk.compensate(saga_id))
