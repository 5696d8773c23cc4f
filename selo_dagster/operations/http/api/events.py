"""Events, to write: as `selo ingest` and the client take them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Body
from pydantic import BeforeValidator, WithJsonSchema
from starlette.requests import Request
from starlette.responses import JSONResponse

from selo_dagster.api_tokens import EVENTS
from selo_dagster.errors import SeloError
from selo_dagster.memory.client import write
from selo_dagster.memory.faults import RefusedError
from selo_dagster.memory.lines import EventLine
from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.fields import Told
from selo_dagster.operations.http.api.repeatable import REPLAYED_HEADER, Answer, Key, done_once

MOST: Final = 1_000

EXAMPLE: Final = {
    "type": "event",
    "id": "e1",
    "user": "ana",
    "event": "emotional_spike",
    "at": "2026-11-22T21:04:00Z",
    "payload": {"emotion": "grief", "intensity": 0.8},
}

EVENT: Final = EventLine.model_json_schema() | {"title": "Event", "examples": [EXAMPLE]}


def _records(given: Any) -> list[dict[str, Any]]:
    records = [given] if isinstance(given, dict) else given
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise RefusedError("wrong_type")
    if not 1 <= len(records) <= MOST:
        raise RefusedError("too_many" if records else "empty")
    return records


Given = Annotated[
    list[dict[str, Any]],
    BeforeValidator(_records),
    WithJsonSchema({"anyOf": [EVENT, {"type": "array", "minItems": 1, "maxItems": MOST, "items": EVENT}]}),
]
"""One event, or several."""


class EventsTold(Told):
    """What became of each event, in the order given: accepted, or unchanged where it was there already."""

    accepted: int
    unchanged: int
    outcomes: list[str]


def add(calls: Calls) -> None:
    """Add the call that writes events."""
    served = calls.served

    @calls.writes("POST", "/api/events", EventsTold, EVENTS, refusals=(404, 409), responses={200: REPLAYED_HEADER})
    def write_events(request: Request, given: Annotated[Given, Body()], key: Key = None) -> JSONResponse:
        """Write one event or up to 1 000, all or none of them. The same event again changes nothing."""
        for number, record in enumerate(given, start=1):
            if record.get("type") != "event":
                raise SeloError("bad_type", f"record {number}: type must be event")

        def do(connection: Any) -> Answer:
            outcomes = write(connection, *given, pseudonymous=served.settings.pseudonymous_keys)
            counts = {name: outcomes.count(name) for name in ("accepted", "unchanged")}
            return Answer({**counts, "outcomes": outcomes})

        return done_once(served.store, request, key, do)
