"""The place of an evolution among those of its person: several may be made at one instant of the domain's clock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "persona_evolutions",
        sa.Column(
            "place",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="among those of the person, by the order in which they were made; from 1",
        ),
    )
    op.execute(
        "UPDATE persona_evolutions SET place = (SELECT count(*) FROM persona_evolutions AS other"
        " WHERE other.user_id = persona_evolutions.user_id"
        " AND (other.created_at, other.id) <= (persona_evolutions.created_at, persona_evolutions.id))"
    )
