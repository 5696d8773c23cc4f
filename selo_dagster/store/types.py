"""Column types and expressions that differ between SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, cast

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, String, Text, types
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

ID_LENGTH = 200

Identifier = String(ID_LENGTH).with_variant(String(ID_LENGTH, collation="C"), "postgresql")
"""An id: compared and ordered byte by byte on both databases, so that keyset pages agree."""

REF_LENGTH = ID_LENGTH + 40
Reference = String(REF_LENGTH).with_variant(String(REF_LENGTH, collation="C"), "postgresql")
"""An id with something added to it."""

Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
LongText = Text()
Serial = BigInteger().with_variant(Integer, "sqlite")
"""A growing number; SQLite numbers rows only in a column declared INTEGER."""

SQLITE_INSTANT = "????-??-??T??:??:??.??????Z"
"""The one text form of an instant in SQLite, as a GLOB pattern: sorts as it means."""


class UTCDateTime(types.TypeDecorator[datetime]):
    """An instant. TIMESTAMPTZ on PostgreSQL, `2026-11-22T21:04:00.000000Z` on SQLite. Naive values are refused."""

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        """Return the type that the database stores."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turn an aware instant into what the database stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value if dialect.name == "postgresql" else instant_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Turn what the database stores into an aware instant in UTC."""
        if value is None:
            return None
        if dialect.name == "postgresql":
            return cast("datetime", value).astimezone(timezone.utc)
        return datetime.fromisoformat(f"{value[:26]}+00:00")


def instant_text(value: datetime) -> str:
    """Return the fixed text form of an aware instant, in UTC, with microseconds."""
    return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat("T", "microseconds") + "Z"


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as a SQL function
    """The database's own clock plus `seconds`: leases and heartbeats, never the domain's time."""

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, seconds: float = 0.0) -> None:
        from sqlalchemy import bindparam

        super().__init__(bindparam(None, float(seconds), type_=types.Float()))


class seconds_between(FunctionElement[float]):  # noqa: N801 - reads as a SQL function
    """Seconds from one instant to a later one; NULL if one of them is."""

    type = types.Float()
    inherit_cache = True


@compiles(seconds_between, "postgresql")
def _postgresql_between(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    first, last = element.clauses
    return f"extract(epoch FROM {compiler.process(last, **kw)} - {compiler.process(first, **kw)})"


@compiles(seconds_between, "sqlite")
def _sqlite_between(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    first, last = element.clauses
    return f"(julianday({compiler.process(last, **kw)}) - julianday({compiler.process(first, **kw)})) * 86400.0"


@compiles(database_now, "postgresql")
def _postgresql_now(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    (offset,) = element.clauses
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(offset, **kw)}))"


@compiles(database_now, "sqlite")
def _sqlite_now(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    (offset,) = element.clauses
    return f"strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', {compiler.process(offset, **kw)} || ' seconds')"
