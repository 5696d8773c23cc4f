"""The last nights: what became of each date's obligations, and which of them has waited longest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import (
    BROKEN,
    CLAIMED,
    DEAD,
    DEFERRED,
    DONE,
    DUE,
    FAILED,
    REJECTED,
    SKIPPED,
    UNCHANGED,
)

NIGHTS: Final = 14

OPEN: Final = "open"
"""Due or claimed: nobody has said anything of it yet."""

OUTCOMES: Final = (DONE, UNCHANGED, SKIPPED, DEFERRED, OPEN, REJECTED, FAILED, DEAD)

_OUTCOME_OF: Final = {DUE: OPEN, CLAIMED: OPEN}
_WITH_A_REASON: Final = (SKIPPED, DEFERRED, *BROKEN)

# The first and the last place on earth where a date ends.
_EAST: Final = timedelta(hours=14)
_WEST: Final = timedelta(hours=-12)


@dataclass(frozen=True)
class KindNight:
    """What became of one kind on one local date. reasons: outcome -> reason or class of error -> number."""

    on: date
    kind: str
    outcomes: Counter[str]
    reasons: dict[str, Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """The obligation of a kind that has waited longest. number: how many of the kind wait."""

    kind: str
    on: date
    since: datetime
    state: str
    number: int


@dataclass(frozen=True)
class NightHistory:
    """`dates`, oldest first; the last is the newest night. `rows` also hold later dates: days that still run."""

    dates: tuple[date, ...]
    rows: tuple[KindNight, ...]
    oldest: tuple[Waiting, ...]

    @property
    def tonight(self) -> date:
        """The newest local date that has ended, and of which something came due."""
        return self.dates[-1]

    def of(self, on: date) -> list[KindNight]:
        """Return the kinds of one date, in the order in which a night works through them."""
        return [one for one in self.rows if one.on == on]

    def later(self) -> list[KindNight]:
        """Return what belongs to days that still run: what moments and activity have asked for."""
        return [one for one in self.rows if one.on > self.tonight]


def total(rows: Iterable[KindNight]) -> Counter[str]:
    """Return the numbers by outcome over several rows."""
    found: Counter[str] = Counter()
    for one in rows:
        found.update(one.outcomes)
    return found


def night_history(connection: Connection, now: datetime, nights: int = NIGHTS) -> NightHistory:
    """Return the last `nights` local dates up to the newest that has ended. Numbers, dates and codes; nobody's id.

    A date that has ended only in a part of the world is the newest as soon as it has an obligation; one that has
    ended everywhere is there without any, so that a night in which nothing came due shows as empty.
    """
    ended = _before(now + _WEST)
    rows = _rows(connection, ended - timedelta(days=nights - 1))
    begun = {one.on for one in rows if KINDS[one.kind].cadence.dated and ended < one.on <= _before(now + _EAST)}
    last = max(begun, default=ended)
    dates = tuple(last - timedelta(days=back) for back in reversed(range(nights)))
    return NightHistory(dates, tuple(one for one in rows if one.on >= dates[0]), _oldest(connection, now))


def _before(moment: datetime) -> date:
    return moment.date() - timedelta(days=1)


def _rows(connection: Connection, first: date) -> list[KindNight]:
    # Counting needs the index alone; only rows with a reason are read themselves, and those are few.
    within = (ledger.c.kind.in_(KINDS), ledger.c.on >= first)
    found: dict[tuple[date, str], KindNight] = {}
    for row in connection.execute(
        select(ledger.c.kind, ledger.c.on, ledger.c.state, func.count().label("n"))
        .where(*within)
        .group_by(ledger.c.kind, ledger.c.on, ledger.c.state)
    ):
        night = found.setdefault((row.on, row.kind), KindNight(row.on, row.kind, Counter()))
        night.outcomes[_OUTCOME_OF.get(row.state, row.state)] += row.n
    for row in connection.execute(
        select(ledger.c.kind, ledger.c.on, ledger.c.state, ledger.c.reason, func.count().label("n"))
        .where(*within, ledger.c.state.in_(_WITH_A_REASON), ledger.c.reason.is_not(None))
        .group_by(ledger.c.kind, ledger.c.on, ledger.c.state, ledger.c.reason)
    ):
        found[row.on, row.kind].reasons.setdefault(row.state, Counter())[row.reason] += row.n
    order = {name: place for place, name in enumerate(KINDS)}
    return [found[key] for key in sorted(found, key=lambda key: (key[0], order[key[1]]))]


def _oldest(connection: Connection, now: datetime) -> tuple[Waiting, ...]:
    ranked = (
        select(
            ledger.c.kind,
            ledger.c.on,
            ledger.c.since,
            ledger.c.state,
            func.row_number().over(partition_by=ledger.c.kind, order_by=(ledger.c.since, ledger.c.id)).label("place"),
            func.count().over(partition_by=ledger.c.kind).label("number"),
        )
        .where(ledger.c.kind.in_(KINDS), ledger.c.ready_at <= now)
        .subquery("ranked")
    )
    rows = connection.execute(select(ranked).where(ranked.c.place == 1).order_by(ranked.c.since))
    return tuple(Waiting(row.kind, row.on, row.since, row.state, row.number) for row in rows)
