"""Who waits for a lock of PostgreSQL's."""

from __future__ import annotations

from sqlalchemy import text

from selo_dagster.store.engine import Store


def waiting_for_a_lock(store: Store) -> int:
    """Return how many connections to the store's database do."""
    asked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with store.read() as connection:
        return int(connection.execute(asked).scalar_one())
