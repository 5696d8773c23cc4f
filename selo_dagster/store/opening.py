"""Opens this installation's database, checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import require_schema


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """Yield the store named by the settings; closes it at the end.

    Raises SeloError `database_url`, `database_unreachable`, `schema_behind`, `schema_unknown` or
    `foreign_database` before anything is read.
    """
    store = Store(settings.store_url)
    try:
        require_schema(store)
        yield store
    finally:
        store.close()
