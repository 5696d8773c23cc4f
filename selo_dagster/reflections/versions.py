"""The versions of a person's reflections, and how two of them differ."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from difflib import unified_diff
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from selo_dagster.errors import SeloError
from selo_dagster.reflections.loss import compared
from selo_dagster.reflections.states import Reason
from selo_dagster.reflections.tables import reflection_head_moves as moves
from selo_dagster.reflections.tables import reflection_ledger as ledger
from selo_dagster.reflections.tables import reflections

_SENTENCES: Final = re.compile(r"(?<=[.!?…。！？])\s+|\n+")
_TWO: Final = 2


def listed(
    connection: Connection, user_id: str, *, kind: str | None, on: date | None, limit: int
) -> list[dict[str, Any]]:
    """Return the versions of a person's reflections, newest date first, with what was decided of each."""
    rows = connection.execute(
        select(reflections)
        .where(*_chosen(user_id, kind, on))
        .order_by(reflections.c.on.desc(), reflections.c.kind, reflections.c.key, reflections.c.version.desc())
        .limit(limit)
    ).all()
    decided = _decided(connection, user_id, [row.id for row in rows])
    return [_version(row) | {"moves": decided.get(row.id, [])} for row in rows]


def held_back(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Return what was made again, of anybody, and waits beside the version that holds until somebody decides."""
    every = reflections.alias()
    newest = (
        select(func.max(every.c.version))
        .where(every.c.user_id == ledger.c.user_id, every.c.kind == ledger.c.kind, every.c.key == ledger.c.key)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            ledger.c.user_id, ledger.c.kind, ledger.c.on, reflections.c.version, moves.c.live, moves.c.lost, moves.c.at
        )
        .select_from(ledger)
        .join(
            reflections,
            and_(
                reflections.c.user_id == ledger.c.user_id,
                reflections.c.kind == ledger.c.kind,
                reflections.c.key == ledger.c.key,
                reflections.c.version == newest,
            ),
        )
        .join(moves, and_(moves.c.reflection_id == reflections.c.id, ~moves.c.moved))
        .where(ledger.c.reason == Reason.LOSS_GUARD)
        .order_by(ledger.c.on.desc(), ledger.c.user_id, ledger.c.kind)
        .limit(limit)
    )
    return [
        {
            "user": row.user_id,
            "kind": row.kind,
            "on": row.on,
            "version": row.version,
            "live": row.live,
            "lost": row.lost,
            "at": row.at,
        }
        for row in rows
    ]


def difference(
    connection: Connection, user_id: str, *, kind: str | None, on: date | None, versions: Sequence[int]
) -> dict[str, Any]:
    """Return how two versions of one reflection differ, ready for JSON.

    Without `versions`: the newest against the one that holds, or against the one that it was to replace if it holds
    itself; with one: that one against the one that holds; with two: the second against the first. Without a kind or
    a date: of the reflection that was made again last. Raises SeloError `no_versions`, `unknown_version`, `wrong_use`.
    """
    there = _made_again(connection, user_id, kind, on)
    one, other = _two(there, versions)
    found = compared(connection, user_id, one.insights, other.insights)
    return {
        "user": user_id,
        "kind": one.kind,
        "on": one.on,
        "from": _version(one),
        "to": _version(other),
        "same_input": one.input_hash == other.input_hash,
        "content": _lines(one.content, other.content, f"version {one.version}", f"version {other.version}"),
        "themes": {"from": one.themes, "to": other.themes},
        "actions": {"from": one.actions, "to": other.actions},
        "insights": {
            "kept": [{"from": _insight(was), "to": _insight(now)} for was, now in found.kept],
            "lost": [_insight(each) for each in found.lost],
            "gone": [_insight(each) for each in found.gone],
            "new": [_insight(each) for each in found.new],
        },
        "loses_too_much": found.too_much,
    }


def _chosen(user_id: str, kind: str | None, on: date | None) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = [reflections.c.user_id == user_id]
    chosen += [] if kind is None else [reflections.c.kind == kind]
    chosen += [] if on is None else [reflections.c.on == on]
    return chosen


def _made_again(connection: Connection, user_id: str, kind: str | None, on: date | None) -> Sequence[Row[Any]]:
    """Return all versions of the reflection that was made again last, oldest first."""
    last = connection.execute(
        select(reflections.c.kind, reflections.c.key)
        .where(*_chosen(user_id, kind, on), reflections.c.version > 1)
        .order_by(reflections.c.created_at.desc(), reflections.c.on.desc(), reflections.c.version.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        of = " ".join(str(part) for part in (kind or "reflection", "" if on is None else f"of {on}") if part)
        raise SeloError("no_versions", f"no {of} was made again: there is nothing to compare")
    return connection.execute(
        select(reflections)
        .where(*_chosen(user_id, last.kind, None), reflections.c.key == last.key)
        .order_by(reflections.c.version)
    ).all()


def _two(there: Sequence[Row[Any]], versions: Sequence[int]) -> tuple[Row[Any], Row[Any]]:
    if len(versions) > _TWO:
        raise SeloError("wrong_use", "two versions can be compared, not more")
    numbered = {row.version: row for row in there}
    for number in versions:
        if number not in numbered:
            known = ", ".join(map(str, numbered))
            raise SeloError("unknown_version", f"there is no version {number} of it: there is {known}")
    head = next(row for row in there if row.head)
    if len(versions) == _TWO:
        return numbered[versions[0]], numbered[versions[1]]
    asked = numbered[versions[0]] if versions else there[-1]
    if asked is not head:
        return head, asked
    replaced = next((row for row in there if row.id in head.parents), None)
    if replaced is None:
        raise SeloError("wrong_use", f"version {head.version} is the one that holds: name another beside it")
    return replaced, head


def _decided(connection: Connection, user_id: str, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(
        select(moves).where(moves.c.user_id == user_id, moves.c.reflection_id.in_(ids)).order_by(moves.c.id)
    ):
        found[row.reflection_id].append(
            {
                "moved": row.moved,
                "reason": row.reason,
                "former": row.former_id,
                "live": row.live,
                "lost": row.lost,
                "by": row.actor,
                "because": row.because,
                "at": row.at,
            }
        )
    return found


def _version(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "on": row.on,
        "key": row.key,
        "version": row.version,
        "head": row.head,
        "parents": row.parents,
        "model": row.model,
        "input_hash": row.input_hash,
        "insights": len(row.insights),
        "created_at": row.created_at,
    }


def _insight(one: Any) -> dict[str, Any]:
    return {"text": one["text"], "evidence": one["evidence"]}


def _lines(one: str, other: str, called: str, other_called: str) -> list[str]:
    first, second = ([line for line in _SENTENCES.split(text) if line] for text in (one, other))
    return list(unified_diff(first, second, called, other_called, lineterm="", n=1))
