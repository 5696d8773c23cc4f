"""Budgets: what models used by day, and the calls under way."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from selo_dagster.store.types import Identifier, Reference, UTCDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NANO = "in billionths"
DAY = "in UTC, by the domain's clock"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "spending_days",
        sa.Column("day", sa.Date(), nullable=False, comment=DAY),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column(
            "subject",
            sa.String(length=80),
            nullable=False,
            comment="a kind of reflection or type of saga; empty: the fleet",
        ),
        *_spent(),
        sa.Column(
            "refused",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="calls in a row, for want of room",
        ),
        sa.Column("refused_tokens", sa.BigInteger(), nullable=True, comment="the least that one of them needed"),
        sa.Column("refused_cost", sa.BigInteger(), nullable=True, comment=NANO),
        sa.CheckConstraint("scope IN ('fleet', 'kind')", name=op.f("ck_spending_days_scope_known")),
        sa.PrimaryKeyConstraint("day", "scope", "subject", name=op.f("pk_spending_days")),
        comment="what models used of the fleet's and the kinds' budgets",
    )
    op.create_table(
        "spending_people",
        sa.Column("day", sa.Date(), nullable=False, comment=DAY),
        sa.Column("user_id", Identifier, nullable=False),
        *_spent(),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_spending_people_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("day", "user_id", name=op.f("pk_spending_people")),
        comment="the same for people, while their budgets are bounded",
    )
    op.create_index("ix_spending_people_user_id", "spending_people", ["user_id"])
    op.create_table(
        "spending_calls",
        sa.Column(
            "owner", Reference, nullable=False, comment="whose call it is: reflection/row/epoch, or a saga's try"
        ),
        sa.Column("number", sa.Integer(), nullable=False, comment="calls of one owner, from 1"),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user_id", Identifier, nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False, comment="at most"),
        sa.Column("cost", sa.BigInteger(), nullable=False, comment=f"at most, {NANO}"),
        sa.Column(
            "lost_at",
            UTCDateTime(),
            nullable=False,
            comment="by the database's clock: from then on the call is taken for lost",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_spending_calls_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "number", name=op.f("pk_spending_calls")),
        comment="calls under way: what they may cost is reserved",
    )
    op.create_index(op.f("ix_spending_calls_user_id"), "spending_calls", ["user_id"])


def _spent() -> list[sa.Column[Any]]:
    return [
        _number("calls", "that ended, answered or not"),
        _number("tokens", "read and written, as far as anybody may have to pay for them"),
        _number("cost", NANO),
        _number("beyond", "tokens that calls used beyond what they could have been asked for"),
        _number("unheard_tokens", "reserved by calls that were lost: what of it was used nobody knows"),
        _number("unheard_cost", NANO),
    ]


def _number(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False, comment=comment)
