"""What the steps of an erasure hand on: numbers, times and digests, nothing of anybody."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from selo_dagster.sagas.handed import Handed


class Erasure(Handed):
    """What is asked for. key_id: the key of whoever asks; a machine with another one must not carry it out."""

    key_id: str | None = None


Rows = dict[str, int]
"""Table → number of rows."""


class Ended(Handed):
    """What was ended, and what there is to delete.

    counted: the person's rows. sagas, reflections, one_offs: work that was under way or queued. handed_over:
    conversations in which others write too, and which are theirs now. key_is_id: Dagster's partition key is the id.
    key_id: the key under which the person is to be known.
    """

    counted: Rows
    sagas: int
    reflections: int
    one_offs: int
    handed_over: int
    key_is_id: bool
    key_id: str


class Removing(Handed):
    """What is to be deleted, as it was counted."""

    counted: Rows


class Removed(Handed):
    """What was deleted so far."""

    deleted: Rows


class Forgetting(Ended):
    """What the report tells of the steps before."""

    deleted: Rows


class Forgotten(Handed):
    """The person is gone. report: as it was signed; at: by the database's clock; transaction: of PostgreSQL."""

    deleted: Rows
    report: dict[str, Any]
    at: datetime
    transaction: str | None


class Compacting(Handed):
    """What is compacted: the tables that lost rows, once nobody can see these any more.

    at, transaction: when and in which one the last of them were deleted.
    """

    deleted: Rows
    at: datetime
    transaction: str | None


class Compacted(Handed):
    """What was done to the files. at: when it began, by the database's clock; see `compacting`."""

    database: str
    at: datetime
    free_pages: int | None = None
    tables: int | None = None


class Certifying(Handed):
    """What the last report says."""

    report: dict[str, Any]
    database: str
    at: datetime
    free_pages: int | None
    tables: int | None


class Certified(Handed):
    """The signed report, as text."""

    report: str
