"""Episodes: stories of a stretch of time, what they rest on, and the words under which they are found."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from selo_dagster.store.base import metadata, tainted, unit_interval
from selo_dagster.store.types import Document, Identifier, Reference, UTCDateTime

LEAST_WORDS: Final = 15
MOST_WORDS: Final = 315
"""Words of a narrative that is accepted (the predecessor's bounds)."""

episodes = Table(
    "episodes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("saga_id", String(32), nullable=False, comment="the saga that told it"),
    Column("title", Text, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("emotion", String(80), nullable=False),
    Column("themes", Document, nullable=False),
    Column("importance", Float, nullable=False),
    Column("citations", Document, comment="[{source, quote, start, end}]; NULL: from before quotes were kept"),
    Column("words", Integer, nullable=False),
    Column("begins_at", UTCDateTime, nullable=False, comment="of the first source"),
    Column("ends_at", UTCDateTime, nullable=False, comment="of the last source"),
    Column("model", String(200), nullable=False),
    tainted(),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    unit_interval("importance"),
    Index("ix_episodes_user", "user_id", "ends_at"),
    Index("ix_episodes_saga", "saga_id"),
)

episode_sources = Table(
    "episode_sources",
    metadata,
    Column("episode_id", String(32), ForeignKey("episodes.id", ondelete="CASCADE"), primary_key=True),
    Column("source", String(16), primary_key=True, comment="message, memory or reflection"),
    Column("source_id", Reference, primary_key=True),
    Index("ix_episode_sources_source", "source", "source_id"),
)

episode_terms = Table(
    "episode_terms",
    metadata,
    Column("episode_id", String(32), ForeignKey("episodes.id", ondelete="CASCADE"), primary_key=True),
    Column("term", String(80), primary_key=True, comment="a word or theme, in lower case"),
    Column("weight", Float, nullable=False),
    Index("ix_episode_terms_term", "term"),
    comment="the index by which episodes are found; goes with its episode",
)
