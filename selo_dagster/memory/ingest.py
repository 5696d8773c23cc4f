"""Ingest: JSON Lines into the store, in batches, safe to repeat and to run twice at the same time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from selo_dagster.errors import SeloError
from selo_dagster.memory.lines import LINES, parse_line
from selo_dagster.memory.reading import Line, read_lines
from selo_dagster.memory.settling import Numbered, Settled, settle
from selo_dagster.people.erased import Door
from selo_dagster.people.keys import Token, random_key
from selo_dagster.people.registry import Registry
from selo_dagster.store.engine import Store
from selo_dagster.store.waiting import gave_way

BATCH_LINES: Final = 10_000
BATCH_BYTES: Final = 4 << 20
"""A batch ends at either bound: what is in memory does not depend on how long the lines are."""

REJECTED_SHOWN: Final = 1_000
"""Rejected lines that a report names; it counts them all."""

_LOCK: Final = 0x5E10_0002
_TRIES: Final = 4
_SQLITE_CACHE_KIB: Final = 32 << 10
_SQLITE_CHECKPOINT_PAGES: Final = 4_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestReport:
    """What became of a file. lines: those that are not blank.

    accepted: new rows per type; rejected: (physical line number, reason), the first 1 000 of rejected_total;
    withheld: good lines that --strict did not keep because others were rejected. The numbers add up to lines.
    """

    lines: int
    accepted: dict[str, int]
    updated: int
    unchanged: int
    rejected: tuple[tuple[int, str], ...]
    rejected_total: int
    withheld: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the document that `selo ingest --json` prints."""
        return {
            "lines": self.lines,
            "accepted": dict(self.accepted),
            "updated": self.updated,
            "unchanged": self.unchanged,
            "rejected": [{"line": number, "reason": reason} for number, reason in self.rejected],
            "rejected_total": self.rejected_total,
            "withheld": self.withheld,
        }


def ingest(
    store: Store,
    stream: BinaryIO,
    *,
    strict: bool = False,
    pseudonymous: bool = False,
    token: Token = random_key,
    readmit: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Take a stream of JSON Lines into the store; bad lines are reported and the good ones kept.

    strict: all in one transaction, which is rolled back at the end if any line was rejected; it keeps other
    ingests, on SQLite every writer, waiting. readmit: people who were erased come in again, as new ones.
    on_progress: called with the lines dealt with after each batch.

    Raises SeloError `database_failed` if the database fails on the way: what was reported by on_progress is
    kept unless strict, and the same file can be ingested again.
    """
    tally = _Tally()

    def registry() -> Registry:
        return Registry(pseudonymous=pseudonymous, token=token, door=Door(readmit=readmit))

    try:
        if strict:
            _ingest_strictly(store, stream, registry, tally, on_progress)
        else:
            for batch in _batches(stream):
                tally.add(_settle_alone(store, batch, registry))
                if on_progress:
                    on_progress(tally.lines)
    except DBAPIError as failed:
        kept = "nothing is" if strict else f"the first {tally.lines} lines are"
        raise SeloError(
            "database_failed",
            f"the database failed ({type(failed.orig).__name__}): {kept} kept, ingest the same file again",
        ) from None
    return tally.report()


class _NothingKeptError(Exception):
    """Ends a strict transaction in which a line was rejected."""


def _ingest_strictly(
    store: Store,
    stream: BinaryIO,
    registry: Callable[[], Registry],
    tally: _Tally,
    on_progress: Callable[[int], None] | None,
) -> None:
    try:
        with store.write() as connection:
            _prepare(connection)
            for batch in _batches(stream):
                tally.add(batch.settled(connection, registry))
                if on_progress:
                    on_progress(tally.lines)
            tally.require_nothing_rejected()
    except _NothingKeptError:
        tally.withhold()


@dataclass
class _Tally:
    verdicts: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    withheld: int = 0

    @property
    def lines(self) -> int:
        return sum(self.verdicts.values())

    @property
    def rejected_total(self) -> int:
        return self.verdicts["rejected"]

    def add(self, settled: list[Settled]) -> None:
        for one in settled:
            self.verdicts[one.verdict] += 1
            if one.verdict == "accepted":
                self.accepted[one.kind] += 1
            elif one.reason is not None and len(self.rejected) < REJECTED_SHOWN:
                self.rejected.append((one.number, one.reason))

    def require_nothing_rejected(self) -> None:
        if self.rejected_total:
            raise _NothingKeptError

    def withhold(self) -> None:
        self.withheld = self.lines - self.rejected_total
        self.verdicts = Counter(rejected=self.rejected_total)
        self.accepted.clear()

    def report(self) -> IngestReport:
        return IngestReport(
            lines=self.lines + self.withheld,
            accepted={kind: self.accepted[kind] for kind in LINES},
            updated=self.verdicts["updated"],
            unchanged=self.verdicts["unchanged"],
            rejected=tuple(self.rejected),
            rejected_total=self.rejected_total,
            withheld=self.withheld,
        )


@dataclass
class _Unsettled:
    """Lines that were read and checked, outside of any transaction."""

    good: list[Numbered] = field(default_factory=list)
    faulty: list[Settled] = field(default_factory=list)
    size: int = 0

    def add(self, line: Line) -> None:
        self.size += line.size
        fault = line.fault
        if line.record is not None:
            try:
                self.good.append(Numbered(line.number, parse_line(line.record)))
            except SeloError as refused:
                fault = f"{refused.code}: {refused.message}"
        if fault is not None:
            self.faulty.append(Settled(line.number, "", "rejected", fault))

    @property
    def full(self) -> bool:
        return len(self.good) + len(self.faulty) >= BATCH_LINES or self.size >= BATCH_BYTES

    def settled(self, connection: Connection, registry: Callable[[], Registry]) -> list[Settled]:
        found = settle(connection, self.good, registry) if self.good else []
        return sorted(found + self.faulty) if self.faulty else found


def _batches(stream: BinaryIO) -> Iterator[_Unsettled]:
    batch = _Unsettled()
    for line in read_lines(stream):
        batch.add(line)
        if batch.full:
            yield batch
            batch = _Unsettled()
    if batch.size:
        yield batch


def _settle_alone(store: Store, batch: _Unsettled, registry: Callable[[], Registry]) -> list[Settled]:
    if not batch.good:
        return batch.faulty
    for left in reversed(range(_TRIES)):
        try:
            with store.write() as connection:
                _prepare(connection)
                return batch.settled(connection, registry)
        except DBAPIError as failed:
            # Another program that writes the same rows in another order: the database made us give way.
            if not left or not gave_way(failed):
                raise
            log.warning("a batch gave way to another writer and is tried again")
    raise AssertionError


def _prepare(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # One ingest writes at a time, so that what was compared still holds when it is written. SQLite's
        # write transaction does it by itself.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    else:
        # The indexes of a large file are hit all over: with the default of 2 MB every batch reads them again.
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_SQLITE_CACHE_KIB}")
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {_SQLITE_CHECKPOINT_PAGES}")
