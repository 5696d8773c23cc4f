"""Versions of reflections: which one holds, what it was to replace, what was decided; memories that were forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

LIST_OF = {"postgresql": "jsonb_build_array", "sqlite": "json_array"}


def upgrade() -> None:
    """Apply: until now the highest version of each was the one that everybody read."""
    op.add_column(
        "reflections",
        sa.Column(
            "head", sa.Boolean(), server_default=sa.text("true"), nullable=False, comment="the version that holds"
        ),
    )
    op.add_column(
        "reflections",
        sa.Column(
            "parents",
            DOCUMENT,
            server_default="[]",
            nullable=False,
            comment="ids of the versions that it was to replace",
        ),
    )
    same = "other.user_id = reflections.user_id AND other.kind = reflections.kind AND other.key = reflections.key"
    op.execute(
        f"UPDATE reflections SET head = false WHERE EXISTS "
        f"(SELECT 1 FROM reflections AS other WHERE {same} AND other.version > reflections.version)"
    )
    op.execute(
        f"UPDATE reflections SET parents = (SELECT {LIST_OF[op.get_bind().dialect.name]}(other.id) "
        f"FROM reflections AS other WHERE {same} AND other.version < reflections.version "
        f"ORDER BY other.version DESC LIMIT 1) WHERE EXISTS "
        f"(SELECT 1 FROM reflections AS other WHERE {same} AND other.version < reflections.version)"
    )
    op.create_index(
        "uq_reflections_head",
        "reflections",
        ["user_id", "kind", "key"],
        unique=True,
        postgresql_where=sa.text("head"),
        sqlite_where=sa.text("head"),
    )
    op.create_table(
        "reflection_head_moves",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("reflection_id", sa.String(length=32), nullable=False),
        sa.Column("former_id", sa.String(length=32), nullable=False, comment="the version that held until then"),
        sa.Column("moved", sa.Boolean(), nullable=False, comment="false: the former one holds on"),
        sa.Column("reason", sa.String(length=40), nullable=False, comment="new_version, loss_guard or rollback"),
        sa.Column(
            "live",
            sa.Integer(),
            nullable=True,
            comment="insights of the former one of which a source is still there",
        ),
        sa.Column("lost", sa.Integer(), nullable=True, comment="those of them that the new one says nothing of"),
        sa.Column("actor", sa.String(length=200), nullable=False, comment="who, or which run"),
        sa.Column("because", sa.Text(), nullable=True, comment="why, in the words of who did it"),
        sa.Column("at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["reflection_id"],
            ["reflections.id"],
            name=op.f("fk_reflection_head_moves_reflection_id_reflections"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reflection_head_moves_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reflection_head_moves")),
        sqlite_autoincrement=True,
        comment="what was decided of each version after the first: which one holds since, and why",
    )
    op.create_index("ix_reflection_head_moves_user_id", "reflection_head_moves", ["user_id"])
    op.create_index("ix_reflection_head_moves_reflection_id", "reflection_head_moves", ["reflection_id"])
    op.create_table(
        "forgotten_memories",
        sa.Column(
            "digest", sa.String(length=64), nullable=False, comment="SHA-256 of the person's id and the memory's"
        ),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False, comment="who asked for it"),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_forgotten_memories_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_forgotten_memories")),
        comment="keeps a forgotten memory out; goes with the person",
    )
    op.create_index("ix_forgotten_memories_user_id", "forgotten_memories", ["user_id"])
