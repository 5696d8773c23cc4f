"""Taint: what was made from something that tried to give an order, or came from an untrusted writer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MADE_FROM = "made from what tried to give an order, or is untrusted"
DERIVED = (
    "reflections",
    "mantras",
    "relationship_questions",
    "learnings",
    "episodes",
    "conversation_summaries",
    "goals",
    "persona_evolutions",
)


def upgrade() -> None:
    """Apply. What is there already counts as untainted: nobody looked."""
    for table, comment in (("reflection_ledger", "what it made is"), *((name, MADE_FROM) for name in DERIVED)):
        op.add_column(
            table,
            sa.Column("tainted", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment=comment),
        )
    op.create_index(
        "ix_reflection_ledger_tainted",
        "reflection_ledger",
        ["settled_at"],
        postgresql_where=sa.text("tainted"),
        sqlite_where=sa.text("tainted"),
    )
