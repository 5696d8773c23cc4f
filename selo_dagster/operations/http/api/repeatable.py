"""Writes that may be sent again: the key, the answer and the write itself are one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import Header
from sqlalchemy import Connection, select, update
from starlette.requests import Request
from starlette.responses import JSONResponse

from selo_dagster.errors import SeloError
from selo_dagster.operations.http.api.guard import Caller
from selo_dagster.operations.http.tables import idempotency_keys
from selo_dagster.store.engine import Store
from selo_dagster.store.upsert import insert_missing

keys = idempotency_keys

REPLAYED: Final = "Idempotency-Replayed"

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern="^[ -~]+$",
        description="The same key and request is done once and answered again as it was. Keys belong to their token.",
    ),
]

REPLAYED_HEADER: Final = {
    "headers": {
        REPLAYED: {
            "description": "true: it had been done before, and this is the answer of then.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    }
}


@dataclass(frozen=True)
class Answer:
    """What a write answers. document: ids, states and counts, ready for JSON."""

    document: dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Do = Callable[[Connection], Answer]


def done_once(store: Store, request: Request, key: str | None, do: Do) -> JSONResponse:
    """Do a write in one transaction, and answer.

    A key that is known with the same request does nothing and answers as it did then; what is refused keeps no key.
    Raises SeloError `idempotency_key_reused` for a key that is known with another request, and what `do` raises.
    """
    with store.write() as connection:
        if key is None:
            return _response(do(connection))
        caller: Caller = request.state.caller
        digest: str = request.state.digest
        mine = (keys.c.caller == caller.name, keys.c.key == key)
        # Of two at once one waits here for the other, and then finds the key taken or free.
        row = {"caller": caller.name, "key": key, "request": digest, "status": 0, "answer": {}}
        if not insert_missing(connection, keys, [row]):
            there = connection.execute(select(keys).where(*mine)).one()
            if there.request != digest:
                raise SeloError("idempotency_key_reused", "this Idempotency-Key belongs to another request")
            return _response(_kept(there.status, there.answer), {REPLAYED: "true"})
        answer = do(connection)
        kept = {"document": answer.document, "headers": answer.headers}
        connection.execute(update(keys).where(*mine).values(status=answer.status, answer=kept))
    return _response(answer)


def _kept(status: int, answer: dict[str, Any]) -> Answer:
    return Answer(answer["document"], status, answer["headers"])


def _response(answer: Answer, more: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(answer.document, answer.status, headers=answer.headers | (more or {}))
