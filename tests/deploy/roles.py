"""A database that is set up as for production: by the administrator, the migration, and the grants after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.store.schema import upgrade
from tests.deploy.files import DEPLOY

ADMINISTRATOR = "postgres"
MIGRATE, RUN, COMPANION, READ = "selo_migrate", "selo_run", "selo_companion", "selo_read"


def run_file(url: str, name: str) -> None:
    """Run a file under deploy/postgres/ as whoever `url` names."""
    engine = create_engine(normalised_url(url), isolation_level="AUTOCOMMIT")
    # The driver's own cursor, without parameters: a percent sign in a file is one.
    connection = engine.raw_connection()
    try:
        connection.cursor().execute((DEPLOY / "postgres" / name).read_text(encoding="utf-8"))
        connection.commit()
    finally:
        connection.close()
        engine.dispose()


@dataclass(frozen=True)
class Roles:
    """The stores of one database, by role; `urls`: their addresses."""

    stores: Mapping[str, Store]
    urls: Mapping[str, str]


@contextmanager
def set_up(url: str) -> Iterator[Roles]:
    """Set up the empty database at `url`, which names the administrator."""
    run_file(url, "roles.sql")
    urls = {
        name: make_url(url).set(username=name).render_as_string(hide_password=False)
        for name in (ADMINISTRATOR, MIGRATE, RUN, COMPANION, READ)
    }
    stores = {name: Store(one, pool_size=2) for name, one in urls.items()}
    try:
        upgrade(stores[MIGRATE])
        run_file(urls[MIGRATE], "grants.sql")
        yield Roles(stores, urls)
    finally:
        for store in stores.values():
            store.close()
