"""Totals of obligations whose rows are gone, so that counters never fall."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, String, Table

from selo_dagster.store.base import metadata

retired_obligations = Table(
    "retired_obligations",
    metadata,
    Column("kind", String(40), primary_key=True),
    Column("state", String(20), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("model_calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    comment="added to in the transaction that deletes the rows",
)
