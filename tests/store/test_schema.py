"""The schema is what the tables say, or the command that mends it is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

import selo_dagster.llm.budgets.tables
import selo_dagster.llm.evaluations
import selo_dagster.llm.tables
import selo_dagster.memory.episodes
import selo_dagster.memory.forgotten
import selo_dagster.memory.learnings
import selo_dagster.memory.summaries
import selo_dagster.memory.tables
import selo_dagster.operations.alerts.tables
import selo_dagster.operations.http.tables
import selo_dagster.people.erased_tables
import selo_dagster.people.evolution_tables
import selo_dagster.people.goals
import selo_dagster.people.tables
import selo_dagster.reflections.audits.tables
import selo_dagster.reflections.questions.tables
import selo_dagster.reflections.retired
import selo_dagster.reflections.tables
import selo_dagster.resources.tables
import selo_dagster.sagas.notices
import selo_dagster.sagas.tables
import selo_dagster.store.alert_signals
import selo_dagster.store.heartbeats
import selo_dagster.store.job_runs
import selo_dagster.triggers.tables  # noqa: F401 - each room registers its tables
from selo_dagster.errors import SeloError
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.store.schema import HEAD, VERSION_TABLE, current_revision, require_schema, upgrade

DIALECTS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def refusal(url: str) -> SeloError:
    """Return what opening refuses."""
    store = Store(url)
    try:
        with pytest.raises(SeloError) as caught:
            require_schema(store)
    finally:
        store.close()
    return caught.value


@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_the_migrated_database_and_the_tables_agree(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "table" or name != VERSION_TABLE,
            },
        )
        differences = compare_metadata(context, metadata)
    # SQLite's index on an expression cannot be reflected; PostgreSQL's can, and is compared.
    blind = {"ix_reflection_ledger_ready"} if store.dialect == "sqlite" else set()
    assert [one for one in differences if getattr(one[-1], "name", None) not in blind] == []


def test_the_newest_revision_is_the_one_that_the_code_asks_for() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "selo_dagster:store/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrating_twice_changes_nothing(store: Store) -> None:
    assert upgrade(store) == (HEAD, HEAD)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_empty_database_names_the_command_that_mends_it(dialect: str, empty_store_url: Callable[[str], str]) -> None:
    assert "selo db upgrade" in refusal(empty_store_url(dialect)).message


@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_projects_database_is_refused_and_left_as_it_is(
    dialect: str, empty_store_url: Callable[[str], str]
) -> None:
    url = empty_store_url(dialect)
    store = Store(url)
    with store.write() as connection:
        connection.execute(text("CREATE TABLE users (id INTEGER)"))
    assert refusal(url).code == "foreign_database"
    with pytest.raises(SeloError, match="another project"):
        upgrade(store)
    with store.write() as connection:
        connection.execute(text("DROP TABLE users"))
    assert current_revision(store) is None
    store.close()


def test_a_database_of_newer_code_is_refused(store: Store) -> None:
    with store.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SeloError, match="newer than this code"):
        require_schema(store)


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    refused = refusal("postgresql://selo:planted-secret@127.0.0.1:1/none")
    assert refused.code == "database_unreachable"
    assert "127.0.0.1:1" in refused.message
    assert "planted-secret" not in refused.message


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgres://u@h/d", "postgresql+psycopg2"),
        ("postgresql://u@h/d", "postgresql+psycopg2"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg2"),
        ("sqlite:////tmp/x.db", "sqlite+pysqlite"),
    ],
)
def test_addresses_are_normalised_to_the_installed_driver(given: str, driver: str) -> None:
    assert normalised_url(given).drivername == driver


@pytest.mark.parametrize("given", ["mysql://u@h/d", "sqlite://", "not an address", "postgresql"])
def test_an_address_that_cannot_be_used_is_refused_without_being_shown(given: str) -> None:
    with pytest.raises(SeloError) as caught:
        normalised_url(given)
    assert caught.value.code == "database_url"
