"""Ingest lines for tests, and what a database holds."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.errors import SeloError
from selo_dagster.memory.ingest import IngestReport, ingest
from selo_dagster.memory.lines import parse_line
from selo_dagster.memory.tables import conversations, events, memories, messages
from selo_dagster.people.tables import user_statements, users
from selo_dagster.store.engine import Store

SECRET = "planted-secret-9f2c"
"""Stands in every text of these builders: it must never come back in a reason."""

TABLES = (users, user_statements, conversations, messages, memories, events)


def user(id: str = "ana", **changes: Any) -> dict[str, Any]:  # noqa: A002 - a field's name
    return {"type": "user", "id": id, "name": f"Ana {SECRET}", "timezone": "Europe/Lisbon", **changes}


def message(id: str = "c1-1", **changes: Any) -> dict[str, Any]:  # noqa: A002
    return {
        "type": "message",
        "id": id,
        "user": "ana",
        "conversation": "c1",
        "role": "user",
        "content": f"I like rain. {SECRET}",
        "at": "2026-11-22T21:04:00+00:00",
        **changes,
    }


def memory(id: str = "m1", **changes: Any) -> dict[str, Any]:  # noqa: A002
    return {
        "type": "memory",
        "id": id,
        "user": "ana",
        "kind": "fact",
        "content": f"Likes rain. {SECRET}",
        "importance": 0.8,
        "confidence": 0.9,
        "at": "2026-11-22T21:05:00Z",
        "tags": ["work"],
        **changes,
    }


def event(id: str = "e1", **changes: Any) -> dict[str, Any]:  # noqa: A002
    return {
        "type": "event",
        "id": id,
        "user": "ana",
        "event": "emotional_spike",
        "at": "2026-11-22T21:06:00Z",
        "payload": {"emotion": SECRET, "intensity": 0.8},
        **changes,
    }


def without(line: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in fields}


def jsonl(*lines: dict[str, Any] | bytes) -> bytes:
    return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)


def take(store: Store, *lines: dict[str, Any] | bytes, **options: Any) -> IngestReport:
    """Ingest lines and check what holds for every report: the numbers add up and no text comes back."""
    report = ingest(store, io.BytesIO(jsonl(*lines)), **options)
    assert SECRET not in repr(report)
    good = sum(report.accepted.values()) + report.updated + report.unchanged
    assert good + report.rejected_total + report.withheld == report.lines
    return report


def reasons(report: IngestReport) -> dict[int, str]:
    return dict(report.rejected)


def codes(report: IngestReport) -> dict[int, str]:
    return {number: reason.partition(":")[0] for number, reason in report.rejected}


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that ingest touches."""
    with store.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr) for table in TABLES
        }


def refusal(line: dict[str, Any]) -> tuple[str, str]:
    """Return code and sentence of a line that is refused; the sentence holds no text of the line."""
    with pytest.raises(SeloError) as refused:
        parse_line(line)
    assert SECRET not in refused.value.message
    return refused.value.code, refused.value.message
