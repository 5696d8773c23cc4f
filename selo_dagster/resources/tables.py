"""Tables of the resource guard: samples by the database's clock, and the one row that says what holds."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Integer, String, Table

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, Serial, UTCDateTime, database_now

resource_samples = Table(
    "resource_samples",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", UTCDateTime, nullable=False, default=database_now(), index=True),
    Column("cpu", Float, comment="percent of all cores used by others than this project; NULL: could not tell"),
    Column("memory", Float, comment="percent"),
    Column("disk", Float, comment="percent of the disk that holds SELO_HOME"),
    Column("model", Float, comment="percent of the model server's slots in use; NULL: it does not say"),
    sqlite_autoincrement=True,
)

resource_guard = Table(
    "resource_guard",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("state", String(8), nullable=False),
    Column("reasons", Document, nullable=False, comment="[{metric, percent, limit}]: why it is closed or unknown"),
    Column("since", UTCDateTime, nullable=False, comment="in this state since, by the database's clock"),
    Column("looked_at", UTCDateTime, nullable=False),
    Column("streak", Integer, nullable=False, comment="samples in a row that ask for the other state"),
    CheckConstraint("id = 1", name="only_one"),
    CheckConstraint("state IN ('open', 'closed', 'unknown')", name="state_known"),
)
