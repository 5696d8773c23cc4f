"""One-offs, to ask for and to take back."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import Path
from pydantic import ConfigDict, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse

from selo_dagster.api_tokens import ONE_OFFS
from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.fields import ActedTold, Asked, At, Id, Instant, OneOf, Text, Told
from selo_dagster.operations.http.api.repeatable import REPLAYED_HEADER, Answer, Key, done_once
from selo_dagster.output import instant
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.kinds import FLAVOURS, KINDS
from selo_dagster.reflections.one_offs import DELAY, MOST_MEMORIES, due_at, schedule, unschedule
from selo_dagster.reflections.states import CANCELLED

ONE_OFF_ID: Final = "b7e1d0c2f3a4459687a0b1c2d3e4f506"
"""An example."""

OneOffId = Annotated[Text, Path(description="The id of a one-off.", examples=[ONE_OFF_ID])]

EXAMPLE: Final[dict[str, Any]] = {
    "user": "ana",
    "kind": "one_off",
    "in": "2h",
    "memories": ["m1"],
    "context": {"topic": "the move"},
}


class OneOff(Asked):
    """A reflection that is asked for. Either `at` or `in` is given."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    user: Id = Field(description="For whom.")
    kind: Annotated[str, OneOf((*KINDS, *FLAVOURS))] = Field(description="A kind, or a rule of the triggered one.")
    at: At | None = Field(None, description="At this instant.")
    delay: str | None = Field(None, alias="in", pattern=f"^{DELAY.pattern}$", description="After 90s, 10m, 2h or 3d.")
    memories: list[Id] = Field([], max_length=MOST_MEMORIES, description="Memories of that person that are read.")
    context: dict[str, Any] | None = Field(None, description="Given to the model as data.")


class OneOffTold(Told):
    """What was asked for."""

    id: str
    due: Instant


def add(calls: Calls) -> None:
    """Add the calls that ask for one-offs."""
    served = calls.served

    @calls.writes(
        "POST",
        "/api/one-offs",
        OneOffTold,
        ONE_OFFS,
        status=201,
        refusals=(404, 409),
        responses={201: REPLAYED_HEADER},
    )
    def ask_for_one_off(request: Request, wanted: OneOff, key: Key = None) -> JSONResponse:
        """Ask for one reflection at a time, as `selo schedule` does."""
        now = served.clock.now()
        due = due_at(wanted.at, wanted.delay, now)

        def do(connection: Connection) -> Answer:
            made = schedule(
                connection,
                user_id=person(connection, wanted.user)[0],
                kind=wanted.kind,
                due_at=due,
                now=now,
                new_id=lambda: uuid4().hex,
                memory_ids=wanted.memories,
                context=wanted.context,
            )
            return Answer({"id": made, "due": instant(due)}, 201)

        return done_once(served.store, request, key, do)

    @calls.writes(
        "DELETE",
        "/api/one-offs/{one_off_id}",
        ActedTold,
        ONE_OFFS,
        refusals=(404, 409),
        responses={200: REPLAYED_HEADER},
    )
    def take_back_one_off(request: Request, one_off_id: OneOffId, key: Key = None) -> JSONResponse:
        """Take a one-off back, as long as no run has taken it."""

        def do(connection: Connection) -> Answer:
            changed = unschedule(connection, one_off_id, served.clock.now())
            return Answer({"id": one_off_id, "state": CANCELLED, "changed": changed})

        return done_once(served.store, request, key, do)
