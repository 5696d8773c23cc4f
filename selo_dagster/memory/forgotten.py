"""Memories that were forgotten: only a hash of the id, so that a file read again does not bring one back."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from sqlalchemy import Column, Connection, ForeignKey, String, Table, Text, select

from selo_dagster.people.history import chunked
from selo_dagster.store.base import metadata
from selo_dagster.store.types import Identifier, UTCDateTime

forgotten_memories = Table(
    "forgotten_memories",
    metadata,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the person's id and the memory's"),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("actor", String(200), nullable=False, comment="who asked for it"),
    Column("because", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    comment="keeps a forgotten memory out; goes with the person",
)


def digest_of(user_id: str, memory_id: str) -> str:
    """Return what is kept of the id of a forgotten memory."""
    return hashlib.sha256(f"{user_id}\x00{memory_id}".encode()).hexdigest()


def forgotten_among(connection: Connection, ids: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of these, each a person's id and a memory's, were forgotten. One small query where nothing was."""
    if not ids or connection.execute(select(forgotten_memories.c.digest).limit(1)).scalar() is None:
        return set()
    digests = {digest_of(*one): one for one in ids}
    return {
        digests[digest]
        for part in chunked(sorted(digests))
        for digest in connection.execute(
            select(forgotten_memories.c.digest).where(forgotten_memories.c.digest.in_(part))
        ).scalars()
    }
