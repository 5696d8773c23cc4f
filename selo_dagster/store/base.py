"""The metadata that every room's tables join, with names that migrations can rely on."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, MetaData, text

from selo_dagster.store.types import SQLITE_INSTANT

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def unit_interval(column: str) -> CheckConstraint:
    """Refuse values outside 0–1, also from writers that know nothing of this project."""
    return CheckConstraint(f"{column} >= 0 AND {column} <= 1", name=f"{column}_range")


def sqlite_instant(column: str) -> CheckConstraint:
    """On SQLite, refuse an instant in any text form but the fixed one; elsewhere the type does it."""
    return CheckConstraint(f"{column} GLOB '{SQLITE_INSTANT}'", name=f"{column}_form").ddl_if(dialect="sqlite")


def tainted() -> Column[bool]:
    """Mark what was made from hostile or untrusted text; see docs/trust.md. A column of its own for each table."""
    return Column(
        "tainted",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="made from what tried to give an order, or is untrusted",
    )
