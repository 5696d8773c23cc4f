"""Stored audits, and what an operator makes of their proposals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from selo_dagster.errors import SeloError
from selo_dagster.reflections.audits.audit import Report
from selo_dagster.reflections.audits.tables import answer_audits, memory_retirements
from selo_dagster.store.upsert import insert_missing

audits = answer_audits


def store_audit(
    connection: Connection, *, user_id: str, on: date, report: Report, now: datetime, new_id: Callable[[], str]
) -> str:
    """Store a report as the next version of its date; returns its id."""
    newest = connection.execute(
        select(func.max(audits.c.version)).where(audits.c.user_id == user_id, audits.c.on == on)
    ).scalar()
    made = new_id()
    connection.execute(
        insert(audits).values(
            id=made,
            user_id=user_id,
            on=on,
            version=int(newest or 0) + 1,
            answers=report.answers,
            tags=report.tags,
            merges=[asdict(merge) | {"retire": list(merge.retire)} for merge in report.merges],
            created_at=now,
        )
    )
    return made


def latest(connection: Connection, user_id: str) -> dict[str, Any] | None:
    """Return a person's newest audit, ready for JSON, each proposal with what of it is applied."""
    row = connection.execute(
        select(audits).where(audits.c.user_id == user_id).order_by(audits.c.on.desc(), audits.c.version.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    retired = set(
        connection.execute(
            select(memory_retirements.c.memory_id).where(memory_retirements.c.audit_id == row.id)
        ).scalars()
    )
    return {
        "id": row.id,
        "user": row.user_id,
        "on": row.on,
        "version": row.version,
        "answers": row.answers,
        "tags": row.tags,
        "merges": [
            {"number": number, **merge, "applied": bool(merge["retire"]) and retired.issuperset(merge["retire"])}
            for number, merge in enumerate(row.merges, start=1)
        ],
        "created_at": row.created_at,
    }


def apply(connection: Connection, audit_id: str, now: datetime, numbers: Sequence[int] | None = None) -> list[str]:
    """Apply proposed merges; returns the memories that were retired by it, none the second time.

    numbers: counted from 1; None: all of them. A retired memory stays as it is and is read no more.
    Raises SeloError `unknown_audit` and `unknown_merge`.
    """
    retired: list[str] = []
    for merge in _merges(connection, audit_id, numbers):
        for memory in merge["retire"]:
            row = {
                "memory_id": memory,
                "merged_into": merge["keep"],
                "audit_id": audit_id,
                "because": merge["because"],
                "at": now,
            }
            if insert_missing(connection, memory_retirements, [row]):
                retired.append(memory)
    return retired


def undo(connection: Connection, audit_id: str, numbers: Sequence[int] | None = None) -> list[str]:
    """Let what was retired by an audit be read again; returns those memories. Raises what `apply` raises."""
    named = [memory for merge in _merges(connection, audit_id, numbers) for memory in merge["retire"]]
    back = connection.execute(
        delete(memory_retirements)
        .where(memory_retirements.c.audit_id == audit_id, memory_retirements.c.memory_id.in_(named))
        .returning(memory_retirements.c.memory_id)
    ).scalars()
    return sorted(back)


def _merges(connection: Connection, audit_id: str, numbers: Sequence[int] | None) -> list[dict[str, Any]]:
    row = connection.execute(select(audits.c.merges).where(audits.c.id == audit_id)).one_or_none()
    if row is None:
        raise SeloError("unknown_audit", f"there is no audit {audit_id[:80]!r}")
    proposed: list[dict[str, Any]] = row.merges
    if numbers is None:
        return proposed
    for number in numbers:
        if not 1 <= number <= len(proposed):
            raise SeloError("unknown_merge", f"this audit proposes {len(proposed)} merges: there is no number {number}")
    return [proposed[number - 1] for number in numbers]
