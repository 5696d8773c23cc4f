"""What the steps of an erasure hand on: numbers, times and digests, nothing of anybody."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Frozen, nothing unknown, no value in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Nothing(Model):
    """An erasure is about its person and needs no input."""


Rows = dict[str, int]
"""Table → number of rows."""


class Ended(Model):
    """What was ended, and what there is to delete.

    counted: the person's rows. sagas, reflections, one_offs: work that was under way or queued. handed_over:
    conversations in which others write too, and which are theirs now. key_is_id: Dagster's partition key is the id.
    """

    counted: Rows
    sagas: int
    reflections: int
    one_offs: int
    handed_over: int
    key_is_id: bool


class Removing(Model):
    """What is to be deleted, as it was counted."""

    counted: Rows


class Removed(Model):
    """What was deleted so far."""

    deleted: Rows


class Forgetting(Ended):
    """What the report tells of the steps before."""

    deleted: Rows


class Forgotten(Model):
    """The person is gone. report: as it was signed; at: by the database's clock; transaction: of PostgreSQL."""

    deleted: Rows
    report: dict[str, Any]
    at: datetime
    transaction: str | None


class Compacting(Model):
    """What is compacted: the tables that lost rows, once nobody can see these any more.

    at, transaction: when and in which one the last of them were deleted.
    """

    deleted: Rows
    at: datetime
    transaction: str | None


class Compacted(Model):
    """What was done to the files. at: when it began, by the database's clock; see `compacting`."""

    database: str
    at: datetime
    free_pages: int | None = None
    tables: int | None = None


class Certifying(Model):
    """What the last report says."""

    report: dict[str, Any]
    database: str
    at: datetime
    free_pages: int | None
    tables: int | None


class Certified(Model):
    """The signed report, as text."""

    report: str
