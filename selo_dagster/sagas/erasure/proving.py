"""The proof from outside: a fresh look at the database, and at the report, by nobody who took part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.people.erased_tables import erased_people
from selo_dagster.people.erasure_key import ErasureKey
from selo_dagster.people.footprint import Footprint
from selo_dagster.sagas.erasure.report import is_genuine, read_report


@dataclass(frozen=True)
class Proof:
    """What a look found. rows: of the person, by table; tables: in which it was looked; report: the signed text."""

    rows: dict[str, int]
    tables: int
    report: str | None
    genuine: bool
    compacted: bool

    @property
    def holds(self) -> bool:
        """Whether everything is as the report of a whole erasure says."""
        return not self.rows and self.genuine and self.compacted

    @property
    def deleted(self) -> dict[str, int]:
        """How many rows the report says were deleted, by table."""
        return {} if self.report is None else dict(read_report(self.report)[0]["deleted"])

    @property
    def sentence(self) -> str:
        """Say what holds and what does not."""
        if self.rows:
            told = ", ".join(f"{table} ({number})" for table, number in sorted(self.rows.items()))
            return f"there are rows of this person in {told}"
        if self.report is None:
            return "there is no report"
        if not self.genuine:
            return "the report is not as it was signed"
        if not self.compacted:
            return "no row is left, and the database's files still wait to be compacted"
        return f"no row is left in any of {self.tables} tables, and the report is as it was signed"


def prove(connection: Connection, key: ErasureKey, user_id: str) -> Proof:
    """Look for a person in every table, and at the report of their erasure, in the caller's transaction.

    Raises SeloError `erasure_key` for a report under another key.
    """
    footprint = Footprint.of(connection)
    digest = key.digest(user_id)
    report: str | None = connection.execute(
        select(erased_people.c.report).where(erased_people.c.digest == digest)
    ).scalar()
    told: dict[str, Any] = {} if report is None else read_report(report)[0]
    return Proof(
        rows=footprint.count(connection, user_id),
        tables=len(footprint.tables),
        report=report,
        genuine=report is not None and told.get("person") == digest and is_genuine(key, report),
        compacted=bool(told.get("compacted")),
    )
