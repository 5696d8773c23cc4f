"""What was stored for a case, as it is judged: the reflection of each person, kind and date that holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.reflections.cadences.latest import Latest
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import DEFERRED, DONE, REJECTED, SETTLED, SKIPPED, UNCHANGED
from selo_dagster.reflections.tables import mantras, reflection_ledger, reflection_sources, reflections

Place = tuple[str, str, date]
"""A person's id, a kind, a local date."""

MADE, REFUSED, NOTHING, OPEN = "made", "refused", "nothing", "open"
"""What became of an obligation: made; refused by the checks, or waiting for what was; nothing to make; not measured."""


@dataclass(frozen=True)
class Stored:
    """One reflection. insights: the sources that each rests on; a daily that is cited is "daily:<date>".

    sources: everything that was read for it. texts: what stands in it, by part. traits: name -> wished change.
    """

    insights: tuple[tuple[str, ...], ...]
    sources: frozenset[str]
    texts: dict[str, tuple[str, ...]]
    traits: dict[str, float]
    row: dict[str, Any]


@dataclass(frozen=True)
class Everything:
    """All that was stored, and what became of each obligation. cut_short: it was not played to its end."""

    reflections: dict[Place, Stored]
    outcomes: dict[Place, str]
    mantras: dict[str, tuple[str, ...]]
    cut_short: bool

    def outcome(self, place: Place) -> str:
        """Return what became of an obligation; one that nobody enrolled came to nothing, or its day never came."""
        return self.outcomes.get(place, OPEN if self.cut_short else NOTHING)


def everything(connection: Connection, *, cut_short: bool) -> Everything:
    """Read a store that was played on."""
    days = {row.id: f"daily:{row.on}" for row in connection.execute(select(reflections.c.id, reflections.c.on))}
    read: dict[str, set[str]] = {}
    for row in connection.execute(select(reflection_sources)):
        read.setdefault(row.reflection_id, set()).add(_named(row.source, row.source_id, days))
    newest: dict[Place, Stored] = {}
    for made in connection.execute(select(reflections).order_by(reflections.c.version)).mappings():
        if made.get("head") is False:
            # Where versions have a head, what does not hold is not what was made of the day.
            continue
        place: Place = (made["user_id"], made["kind"], made["on"])
        newest[place] = _stored(dict(made), frozenset(read.get(made["id"], ())), days)
    lines: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(select(mantras.c.user_id, mantras.c.text)):
        lines[row.user_id] = (*lines.get(row.user_id, ()), row.text)
    ledger = reflection_ledger.c
    rows = connection.execute(select(ledger.user_id, ledger.kind, ledger.on, ledger.state))
    states: dict[Place, str] = {(row.user_id, row.kind, row.on): row.state for row in rows}
    return Everything(newest, {place: _outcome(place, states) for place in states}, lines, cut_short)


def _outcome(place: Place, states: Mapping[Place, str]) -> str:
    state = states[place]
    if state == DONE:
        return MADE
    if state in {UNCHANGED, SKIPPED}:
        return NOTHING
    return REFUSED if state == REJECTED or (state == DEFERRED and _waits_for_refused(place, states)) else OPEN


def _waits_for_refused(place: Place, states: Mapping[Place, str]) -> bool:
    """Tell whether all that it still waits for was refused: it waits until somebody looks, whatever a server does."""
    user_id, kind, on = place
    cadence = KINDS[kind].cadence
    if not isinstance(cadence, Latest) or cadence.after is None:
        return False
    before = [(user_id, cadence.after.name, on - timedelta(days=back)) for back in range(cadence.days)]
    waits_for = {states[one] for one in before if one in states and states[one] not in SETTLED}
    return waits_for == {REJECTED}


def _stored(row: dict[str, Any], sources: frozenset[str], days: dict[str, str]) -> Stored:
    insights = row["insights"]
    feeling = row["emotional_state"]
    return Stored(
        insights=tuple(tuple(_cited(one, days) for one in insight["evidence"]) for insight in insights),
        sources=sources,
        texts={
            "content": (row["content"],),
            "themes": tuple(row["themes"]),
            "insights": tuple(one["text"] for one in insights),
            "actions": tuple(row["actions"]),
            "feeling": (feeling["primary"], *feeling["secondary"]),
        },
        traits={one["name"]: one["delta"] for one in row["trait_changes"]},
        row=row,
    )


def _cited(evidence: str, days: dict[str, str]) -> str:
    source, _, source_id = evidence.partition(":")
    return _named(source, source_id, days)


def _named(source: str, source_id: str, days: dict[str, str]) -> str:
    return days.get(source_id, f"{source}:{source_id}") if source == "reflection" else f"{source}:{source_id}"
