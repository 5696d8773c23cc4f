"""Which version of a reflection holds, in a sentence for whoever asks why."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.reflections.states import DONE, Reason
from selo_dagster.reflections.tables import reflection_head_moves as moves
from selo_dagster.reflections.tables import reflections


def version_sentence(connection: Connection, row: Any) -> str | None:
    """Return what is to be said beside the outcome of a row of the ledger; None where nothing is."""
    if row.version == 1:
        return None
    theirs = (
        reflections.c.user_id == row.user_id,
        reflections.c.kind == row.kind,
        reflections.c.key == row.key,
    )
    holds = connection.execute(select(reflections.c.version).where(*theirs, reflections.c.head)).scalar()
    last = connection.execute(
        select(moves, reflections.c.version.label("version"))
        .join(reflections, reflections.c.id == moves.c.reflection_id)
        .where(*theirs)
        .order_by(moves.c.id.desc())
        .limit(1)
    ).one_or_none()
    if holds is None:
        return None
    if last is not None and row.reason == Reason.LOSS_GUARD:
        return (
            f"Version {last.version} was made and is kept, but says nothing of {last.lost} of the {last.live} insights "
            f"of version {holds} that still rest on something: version {holds} holds. `selo show {row.user_id} --diff` "
            "compares them, `selo rollback` lets the new one hold."
        )
    if last is not None and last.because is not None:
        because = last.because.rstrip(".")
        return f"Version {holds} holds since {last.at:%Y-%m-%d %H:%M}Z, as {last.actor} decided: {because}."
    return None if row.state == DONE else f"Version {holds} holds on."
