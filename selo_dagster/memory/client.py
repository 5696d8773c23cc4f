"""For the companion's developer: people, messages, memories and events, written in a transaction of one's own.

    with store.write() as connection:
        write(connection, {"type": "event", "id": "e1", "user": "ana", "event": "emotional_spike",
                           "at": "2026-11-22T21:04:00Z", "payload": {"emotion": "grief", "intensity": 0.8}})

The rules are those of `selo ingest`, and so is the form. Plain SQL does as well: see docs/triggers.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from selo_dagster.errors import SeloError
from selo_dagster.memory.lines import AnyLine, parse_line
from selo_dagster.memory.settling import Numbered, settle
from selo_dagster.people.erased import Door
from selo_dagster.people.keys import Token, random_key
from selo_dagster.people.registry import Registry


def write(
    connection: Connection,
    *records: Mapping[str, Any],
    pseudonymous: bool = False,
    token: Token = random_key,
    readmit: bool = False,
) -> list[str]:
    """Write records, all or none of them, and leave the commit to the caller.

    readmit: people who were erased come in again, as new ones. Returns for each what became of it: accepted, updated,
    or unchanged where it was there already.
    Raises SeloError with the code and sentence that `selo ingest` would print for the first one that is refused;
    nothing of this call is kept then, and the caller's transaction goes on.
    """
    lines = [Numbered(number, _line(number, record)) for number, record in enumerate(records, start=1)]
    if not lines:
        return []
    undone = connection.begin_nested()

    def registry() -> Registry:
        return Registry(pseudonymous=pseudonymous, token=token, door=Door(readmit=readmit))

    settled = settle(connection, lines, registry)
    refused = next((one for one in settled if one.verdict == "rejected"), None)
    if refused is not None:
        undone.rollback()
        code, _, sentence = str(refused.reason).partition(": ")
        raise SeloError(code, f"record {refused.number}: {sentence}")
    undone.commit()
    return [one.verdict for one in settled]


def _line(number: int, record: Mapping[str, Any]) -> AnyLine:
    """Return a record as the line that it would be in a file; only what JSON can hold passes."""
    try:
        plain = json.loads(json.dumps(dict(record), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise SeloError("bad_payload", f"record {number}: it holds something that JSON cannot") from None
    if plain != record and any(not isinstance(name, str) for name in record):
        raise SeloError("bad_payload", f"record {number}: the names of the fields must be text")
    try:
        return parse_line(plain)
    except SeloError as refused:
        raise SeloError(refused.code, f"record {number}: {refused.message}") from None
