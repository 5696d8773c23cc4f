"""Reads the contexts of a whole chunk of people with a handful of statements, each kind by its own recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy import exc as faults

from selo_dagster.people.goals import open_goals
from selo_dagster.people.history import zones_of
from selo_dagster.people.persona import traits_of
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context, Material, packed
from selo_dagster.reflections.kind import Gathering, Kind
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import DEFERRED, SKIPPED, UNCHANGED, Reason
from selo_dagster.reflections.trusted import called, parted

_OF_THE_DATABASE: Final = (faults.OperationalError, faults.InterfaceError, faults.ProgrammingError, faults.TimeoutError)
"""Errors of a database that is away, busy, or not what was thought: they say nothing of anybody's rows."""

_NOT_UTF8: Final = "Could not decode to UTF-8"
"""How SQLite's driver begins to say that a text is none, by the class that elsewhere means a passing trouble."""


def gather(connection: Connection, kind: Kind, claims: Sequence[Claim], budget: int) -> dict[int, Context | Nothing]:
    """Return for each claim (by its ledger id) what its reflection reads, or why it reads nothing.

    budget: characters of sources that one prompt may hold.
    """
    user_ids = sorted({one.user_id for one in claims})
    people = {
        row.id: row
        for row in connection.execute(select(users.c.id, users.c.name, users.c.state).where(users.c.id.in_(user_ids)))
    }
    zones = zones_of(connection, user_ids)
    found: dict[int, Context | Nothing] = {}
    wanted = []
    for one in claims:
        if one.user_id not in people or people[one.user_id].state != ACTIVE:
            found[one.id] = Nothing(SKIPPED, Reason.INACTIVE)
        elif one.user_id not in zones:
            found[one.id] = Nothing(DEFERRED, Reason.COULD_NOT_LOOK)
        else:
            wanted.append(one)
    if not wanted:
        return found
    materials = kind.recipe(Gathering(connection, kind, wanted, zones, budget))
    traits, goals = traits_of(connection, user_ids), open_goals(connection, user_ids)
    for one in wanted:
        material = materials[one.id]
        if isinstance(material, Nothing):
            found[one.id] = material
            continue
        persona = {trait.name: trait.value for trait in traits[one.user_id]}
        found[one.id] = _context(one, people[one.user_id].name, material, persona, goals.get(one.user_id, ()), budget)
    return found


def unreadable(broken: Exception) -> bool:
    """Tell whether what `gather` raised is for what stands in somebody's rows, and not for the database."""
    if isinstance(broken, faults.OperationalError):
        return str(broken.orig).startswith(_NOT_UTF8)
    return not isinstance(broken, _OF_THE_DATABASE)


def _context(
    one: Claim, name: str, material: Material, persona: dict[str, float], goals: tuple[str, ...], budget: int
) -> Context | Nothing:
    sources, withheld = parted(material.sources)
    always, withheld_always = parted(material.always)
    withheld += withheld_always
    if withheld and not any(source.theirs for source in (*sources, *always)):
        # Nothing but orders, links and secrets was said.
        if material.read_upto is None:
            return Nothing(SKIPPED, Reason.NOTHING_NEW)
        return Nothing(UNCHANGED, Reason.NOTHING_NEW, material.read_upto)
    kept, dropped = packed(sources, budget, always=always)
    known_as, name_tainted = called(name)
    return Context(
        user_id=one.user_id,
        name=known_as,
        name_tainted=name_tainted,
        window=material.window,
        covers=material.covers,
        sources=kept,
        dropped=dropped,
        withheld=tuple(withheld),
        more=material.more,
        earlier=material.earlier,
        persona=persona,
        goals=goals,
        late_days=material.late_days,
        with_dates=material.with_dates,
        room=material.room,
        report=material.report,
        read_upto=material.read_upto,
    )
