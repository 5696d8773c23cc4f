"""Tables of the budgets: what was spent by day, and the calls under way."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    text,
)

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Identifier, Reference, UTCDateTime

FLEET: Final = "fleet"
KIND: Final = "kind"
USER: Final = "user"

NANO: Final = "in billionths"


def _number(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"), comment=comment)


def _spent() -> list[Column[int]]:
    return [
        _number("calls", "that ended, answered or not"),
        _number("tokens", "read and written, as far as anybody may have to pay for them"),
        _number("cost", NANO),
        _number("beyond", "tokens that calls used beyond what they could have been asked for"),
        _number("unheard_tokens", "reserved by calls that were lost: what of it was used nobody knows"),
        _number("unheard_cost", NANO),
    ]


spending_days = Table(
    "spending_days",
    metadata,
    Column("day", Date, primary_key=True, comment="in UTC, by the domain's clock"),
    Column("scope", String(8), primary_key=True),
    Column("subject", String(80), primary_key=True, comment="a kind of reflection or type of saga; empty: the fleet"),
    *_spent(),
    Column("refused", Integer, nullable=False, server_default=text("0"), comment="calls in a row, for want of room"),
    Column("refused_tokens", BigInteger, comment="the least that one of them needed"),
    Column("refused_cost", BigInteger, comment=NANO),
    CheckConstraint(f"scope IN ('{FLEET}', '{KIND}')", name="scope_known"),
    comment="what models used of the fleet's and the kinds' budgets",
)

spending_people = Table(
    "spending_people",
    metadata,
    Column("day", Date, primary_key=True, comment="in UTC, by the domain's clock"),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    *_spent(),
    Index("ix_spending_people_user_id", "user_id"),
    comment="the same for people, while their budgets are bounded",
)

spending_calls = Table(
    "spending_calls",
    metadata,
    Column("owner", Reference, primary_key=True, comment="whose call it is: reflection/row/epoch, or a saga's try"),
    Column("number", Integer, primary_key=True, comment="calls of one owner, from 1"),
    Column("day", Date, nullable=False),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(80), nullable=False),
    Column("tokens", BigInteger, nullable=False, comment="at most"),
    Column("cost", BigInteger, nullable=False, comment=f"at most, {NANO}"),
    Column(
        "lost_at",
        UTCDateTime,
        nullable=False,
        comment="by the database's clock: from then on the call is taken for lost",
    ),
    comment="calls under way: what they may cost is reserved",
)
