"""The companion's mind: evolutions of a persona, learnings, summaries, episodes, and who was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
REFERENCE = sa.String(240).with_variant(sa.String(240, collation="C"), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "erased_people",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="HMAC-SHA256 of the id"),
        sa.Column(
            "key_id", sa.String(length=16), nullable=False, comment="which key: the beginning of its own SHA-256"
        ),
        sa.Column("saga_id", sa.String(length=32), nullable=False),
        sa.Column("erased_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.Column("report", sa.Text(), nullable=False, comment="signed: counts and times, nothing of anybody"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erased_people")),
    )
    op.create_table(
        "episodes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("saga_id", sa.String(length=32), nullable=False, comment="the saga that told it"),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("narrative", sa.Text(), nullable=False),
        sa.Column("emotion", sa.String(length=80), nullable=False),
        sa.Column("themes", DOCUMENT, nullable=False),
        sa.Column("importance", sa.Float(), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("begins_at", UTCDateTime(), nullable=False, comment="of the first source"),
        sa.Column("ends_at", UTCDateTime(), nullable=False, comment="of the last source"),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.CheckConstraint("importance >= 0 AND importance <= 1", name=op.f("ck_episodes_importance_range")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_episodes_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_episodes")),
    )
    op.create_index("ix_episodes_saga", "episodes", ["saga_id"])
    op.create_index("ix_episodes_user", "episodes", ["user_id", "ends_at"])
    op.create_table(
        "learnings",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("saga_id", sa.String(length=32), nullable=False, comment="the saga that kept it"),
        sa.Column("source", sa.String(length=240), nullable=False, comment="reflection:ID or conversation:ID"),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("domain", sa.String(length=40), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("importance", sa.Float(), nullable=False),
        sa.Column("evidence", DOCUMENT, nullable=False, comment="sources that it rests on: [memory:ID, …]"),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), server_default=sa.text("'kept'"), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.CheckConstraint("state IN ('kept', 'superseded')", name=op.f("ck_learnings_state_known")),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_learnings_confidence_range")),
        sa.CheckConstraint("importance >= 0 AND importance <= 1", name=op.f("ck_learnings_importance_range")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_learnings_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learnings")),
    )
    op.create_index("ix_learnings_saga", "learnings", ["saga_id"])
    op.create_index("ix_learnings_user", "learnings", ["user_id", "created_at"])
    op.create_table(
        "persona_evolutions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column(
            "saga_id",
            sa.String(length=32),
            nullable=True,
            comment="the saga that carried it out; NULL: the direct path",
        ),
        sa.Column("source", sa.String(length=200), nullable=False, comment="what it came from, such as reflection:ID"),
        sa.Column("evidence", DOCUMENT, nullable=False, comment="sources that it rests on: [memory:ID, …]"),
        sa.Column("confidence", sa.Float(), nullable=False, comment="0-1"),
        sa.Column("impact", sa.Float(), nullable=False, comment="0-1: the sum of what was applied, without signs"),
        sa.Column("model", sa.String(length=200), nullable=False, comment="who wished for it"),
        sa.Column("prompt_version", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), server_default=sa.text("'applied'"), nullable=False),
        sa.Column("review", sa.String(length=16), server_default=sa.text("'unreviewed'"), nullable=False),
        sa.Column("reviewed_by", sa.String(length=200), nullable=True),
        sa.Column("because", sa.Text(), nullable=True, comment="why it was approved or rejected"),
        sa.Column("reviewed_at", UTCDateTime(), nullable=True, comment="by the domain's clock"),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.Column("reversed_at", UTCDateTime(), nullable=True, comment="by the domain's clock"),
        sa.CheckConstraint(
            "review IN ('unreviewed', 'approved', 'rejected')", name=op.f("ck_persona_evolutions_review_known")
        ),
        sa.CheckConstraint("state IN ('applied', 'reversed')", name=op.f("ck_persona_evolutions_state_known")),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_persona_evolutions_confidence_range")),
        sa.CheckConstraint("impact >= 0 AND impact <= 1", name=op.f("ck_persona_evolutions_impact_range")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_persona_evolutions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_persona_evolutions")),
        comment="kept after an undo, and marked reversed",
    )
    op.create_index("ix_persona_evolutions_saga", "persona_evolutions", ["saga_id"])
    op.create_index("ix_persona_evolutions_user", "persona_evolutions", ["user_id", "created_at"])
    op.create_table(
        "stale_marks",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column(
            "derived", sa.String(length=80), nullable=False, comment="what rests on something undone: reflection:ID, …"
        ),
        sa.Column("because", sa.String(length=80), nullable=False, comment="what was undone: evolution:ID"),
        sa.Column("marked_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_stale_marks_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "derived", "because", name=op.f("pk_stale_marks")),
        comment="derived later from what was undone since; to be looked at, or made again",
    )
    op.create_table(
        "conversation_summaries",
        sa.Column("conversation_id", IDENTIFIER, nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("topics", DOCUMENT, nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False, comment="messages that it covers"),
        sa.Column("version", sa.Integer(), nullable=False, comment="changes so far"),
        sa.Column("saga_id", sa.String(length=32), nullable=False, comment="the saga that wrote this version"),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_conversation_summaries_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_conversation_summaries_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_conversation_summaries")),
    )
    op.create_index("ix_conversation_summaries_user", "conversation_summaries", ["user_id"])
    op.create_table(
        "episode_sources",
        sa.Column("episode_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False, comment="message, memory or reflection"),
        sa.Column("source_id", REFERENCE, nullable=False),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["episodes.id"], name=op.f("fk_episode_sources_episode_id_episodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("episode_id", "source", "source_id", name=op.f("pk_episode_sources")),
    )
    op.create_index("ix_episode_sources_source", "episode_sources", ["source", "source_id"])
    op.create_table(
        "episode_terms",
        sa.Column("episode_id", sa.String(length=32), nullable=False),
        sa.Column("term", sa.String(length=80), nullable=False, comment="a word or theme, in lower case"),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["episodes.id"], name=op.f("fk_episode_terms_episode_id_episodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("episode_id", "term", name=op.f("pk_episode_terms")),
        comment="the index by which episodes are found; goes with its episode",
    )
    op.create_index("ix_episode_terms_term", "episode_terms", ["term"])
    op.create_table(
        "persona_changes",
        sa.Column("evolution_id", sa.String(length=32), nullable=False),
        sa.Column("trait", sa.String(length=80), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("before", sa.Float(), nullable=True, comment="NULL: the trait was made"),
        sa.Column("requested", sa.Float(), nullable=False),
        sa.Column("applied", sa.Float(), nullable=False, comment="after limits, the clamp and locks"),
        sa.Column("after", sa.Float(), nullable=False),
        sa.Column("made", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "locked", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment="nothing was applied"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="private"),
        sa.ForeignKeyConstraint(
            ["evolution_id"],
            ["persona_evolutions.id"],
            name=op.f("fk_persona_changes_evolution_id_persona_evolutions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("evolution_id", "trait", name=op.f("pk_persona_changes")),
    )
    op.add_column(
        "goals",
        sa.Column(
            "evidence", DOCUMENT, server_default=sa.text("'[]'"), nullable=False, comment="what else asked for it"
        ),
    )
    op.add_column(
        "persona_traits",
        sa.Column(
            "stability",
            sa.Float(),
            server_default=sa.text("0.5"),
            nullable=False,
            comment="0-1: how little it drifts home",
        ),
    )
    op.add_column(
        "persona_traits",
        sa.Column(
            "locked", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment="nothing changes it"
        ),
    )
    op.add_column(
        "persona_traits",
        sa.Column(
            "version", sa.Integer(), server_default=sa.text("1"), nullable=False, comment="changes so far, and one"
        ),
    )
    op.add_column(
        "persona_traits",
        sa.Column(
            "made_by",
            sa.String(length=32),
            nullable=True,
            comment="the evolution that made it; NULL: it was there from the beginning",
        ),
    )
    op.add_column(
        "reflection_ledger",
        sa.Column(
            "evolve",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="a new version undoes what the former one asked for, and asks for its own",
        ),
    )
    op.add_column(
        "sagas",
        sa.Column("shown_by", sa.String(length=64), nullable=True, comment="the run that showed its end in Dagster"),
    )
    unshown = sa.text("ended_at IS NOT NULL AND shown_by IS NULL")
    op.create_index("ix_sagas_unshown", "sagas", ["type", "place"], postgresql_where=unshown, sqlite_where=unshown)
