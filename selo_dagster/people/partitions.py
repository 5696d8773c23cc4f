"""Keeps Dagster's `users` partitions in step with the store, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import select

from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.store.engine import Store

PARTITIONS: Final = "users"
KEYS_A_CALL: Final = 5_000


class PartitionRegistry(Protocol):
    """The part of a Dagster instance that this room needs."""

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """Return every key of a dynamic partitions definition."""
        ...

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Add keys; those that exist stay."""
        ...


@dataclass(frozen=True)
class Synced:
    """What one synchronisation found. people: active ones; added: new keys; retired: keys of nobody active."""

    people: int
    added: int
    retired: int


def sync_partitions(store: Store, registry: PartitionRegistry) -> Synced:
    """Add a partition for every active person that has none; returns what was found.

    Keys are never deleted: a run or a backfill may hold the end of a range, and deleting it breaks them. The
    key of somebody who is gone stays as a tombstone, for which nothing is due.
    """
    with store.read() as connection:
        keys = list(
            connection.execute(
                select(users.c.key).where(users.c.state == ACTIVE).order_by(users.c.created_at, users.c.id)
            ).scalars()
        )
    known = set(registry.get_dynamic_partitions(PARTITIONS))
    missing = [key for key in keys if key not in known]
    for start in range(0, len(missing), KEYS_A_CALL):
        registry.add_dynamic_partitions(PARTITIONS, missing[start : start + KEYS_A_CALL])
    return Synced(len(keys), len(missing), len(known - set(keys)))
