"""Fixtures: every test that takes `store` runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.store.schema import upgrade
from tests.support.postgres import temporary_postgres
from tests.support.quick import quick_folder

_numbers = count()


def pytest_configure() -> None:
    """Keep the tests' folders in memory; what a power failure would leave is nothing that they ask about."""
    folder = quick_folder()
    if folder is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """Read each chain of migrations once: Dagster reads all of its own anew for the event log of every run."""
    read = ScriptDirectory.from_config
    known: dict[str | None, ScriptDirectory] = {}

    def once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        return known[place] if place in known else known.setdefault(place, read(config))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ScriptDirectory, "from_config", once)
        yield


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give each test a home of its own and none of the caller's settings."""
    # SELO_TEST_… steers the suite and is read when it is collected; to the product it would be a typing error.
    for variable in list(os.environ):
        if variable.startswith(("SELO_", "REFLECTION_", "DAGSTER_", "OTEL_")) or variable == "DATABASE_URL":
            monkeypatch.delenv(variable)
    monkeypatch.setenv("SELO_HOME", str(tmp_path / "selo"))
    # How busy the machine is that runs the tests must not decide what they find; the guard has tests of its own.
    monkeypatch.setenv("SELO_RESOURCE_GUARD", "0")
    process_settings.cache_clear()
    yield
    process_settings.cache_clear()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A server for the session, without a database's name."""
    with temporary_postgres() as address:
        yield address


def _administer(server: str, statement: str) -> None:
    engine = create_engine(normalised_url(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A migrated database to clone from: 0.1 s instead of a migration per test."""
    _administer(postgres_server, "CREATE DATABASE selo_template")
    store = Store(f"{postgres_server}/selo_template")
    upgrade(store)
    store.close()
    return postgres_server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "selo.db"
    store = Store(f"sqlite:///{path}")
    upgrade(store)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return path


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of a database without any table."""
    name = f"empty_{next(_numbers)}"
    _administer(postgres_server, f"CREATE DATABASE {name}")
    yield f"{postgres_server}/{name}"
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    """The address of a migrated PostgreSQL database of this test's own."""
    name = f"test_{next(_numbers)}"
    # Copying the files is cheaper than writing them through the log, and so is dropping them afterwards.
    _administer(postgres_template, f"CREATE DATABASE {name} TEMPLATE selo_template STRATEGY FILE_COPY")
    yield f"{postgres_template}/{name}"
    _administer(postgres_template, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a migrated SQLite file of this test's own."""
    path = tmp_path / "selo.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database, once per dialect."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A migrated, empty store, once per dialect."""
    opened = Store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def empty_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Return the address of a database without any table, for a dialect."""

    def address(dialect: str) -> str:
        if dialect == "sqlite":
            return f"sqlite:///{tmp_path / 'empty.db'}"
        url: str = request.getfixturevalue("empty_postgres_url")
        return url

    return address
