"""Each person's zone history, read in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, islice

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.people.local_days import Zones, ZoneSpan
from selo_dagster.people.tables import user_statements, users
from selo_dagster.people.zones import canonical_zone

IN_LIST = 500
"""Values in one IN list: far below every driver's limit, and few enough statements."""


def chunked(values: Iterable[str], size: int = IN_LIST) -> Iterable[list[str]]:
    """Yield lists of at most `size` values."""
    iterator = iter(values)
    while part := list(islice(iterator, size)):
        yield part


def zones_of(connection: Connection, user_ids: Sequence[str]) -> dict[str, Zones]:
    """Return the zone history of each of these people; those who do not exist are left out.

    A person whose stored zone is not a zone (a row written by others) is left out too: see `bad_zones`.
    """
    found: dict[str, Zones] = {}
    for part in chunked(user_ids):
        rows = connection.execute(
            select(user_statements.c.user_id, user_statements.c.since, user_statements.c.zone)
            .where(user_statements.c.user_id.in_(part))
            .order_by(user_statements.c.user_id, user_statements.c.since)
        ).all()
        for user_id, statements in groupby(rows, key=lambda row: str(row.user_id)):
            spans = _spans([(row.since, row.zone) for row in statements])
            if spans:
                found[user_id] = spans
        for row in connection.execute(
            select(users.c.id, users.c.created_at, users.c.zone).where(users.c.id.in_(set(part) - found.keys()))
        ):
            # Somebody who was inserted without a statement lives where the row says.
            if spans := _spans([(row.created_at, row.zone)]):
                found[str(row.id)] = spans
    return found


def _spans(statements: list[tuple[object, str]]) -> Zones:
    spans: list[ZoneSpan] = []
    for since, zone in statements:
        if not is_zone(zone):
            return ()
        if not spans or spans[-1].zone != zone:
            spans.append(ZoneSpan(since=since, zone=zone))  # type: ignore[arg-type]
    return tuple(spans)


def is_zone(name: str) -> bool:
    """Tell whether a stored zone is usable as it stands."""
    try:
        return canonical_zone(name) == name
    except SeloError:
        return False


def bad_zones(connection: Connection) -> list[str]:
    """Return stored zone names that are no zones: rows that another writer put in."""
    return sorted(zone for (zone,) in connection.execute(select(users.c.zone).distinct()) if not is_zone(zone))
