"""Whether the database has the schema that this code expects, and the command that mends it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from selo_dagster.errors import SeloError
from selo_dagster.store.engine import Store

HEAD: Final = "0018"
"""The newest revision. Kept here, since loading the code location must not import alembic."""

VERSION_TABLE: Final = "selo_schema_version"
"""A name of our own: Dagster's storages keep an alembic_version in the same database."""

OUR_TABLES: Final = ("users", "messages", "memories", "events", "reflections")


def require_schema(store: Store) -> None:
    """Raise SeloError `schema_behind`, `schema_unknown` or `database_unreachable` unless the schema is HEAD."""
    found = current_revision(store)
    if found == HEAD:
        return
    if found is None:
        raise SeloError("schema_behind", "the database has no schema yet: run `selo db upgrade`")
    if found < HEAD:
        raise SeloError("schema_behind", f"the database is at {found}, this code needs {HEAD}: run `selo db upgrade`")
    raise SeloError("schema_unknown", f"the database is at {found}, newer than this code ({HEAD}): update selo_dagster")


def current_revision(store: Store) -> str | None:
    """Return the database's revision, None where there is none.

    Raises SeloError `database_unreachable`, or `foreign_database` where another project's tables are in the way.
    """
    try:
        with store.read() as connection:
            tables = set(inspect(connection).get_table_names())
            if VERSION_TABLE in tables:
                return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    except DBAPIError as refused:
        raise unreachable(store, refused) from None
    taken = sorted(tables.intersection(OUR_TABLES))
    if taken:
        raise SeloError(
            "foreign_database",
            f"this database belongs to another project (it already has {', '.join(taken)}): "
            "point DATABASE_URL to an empty database",
        )
    return None


def unreachable(store: Store, refused: DBAPIError) -> SeloError:
    """Return the error for a database that cannot be used; says which one, without user or password."""
    where = store.url.database if store.dialect == "sqlite" else f"{store.url.host}:{store.url.port or 5432}"
    why = str(refused.orig).strip().splitlines()[0] if refused.orig else type(refused).__name__
    return SeloError("database_unreachable", f"the database at {where} cannot be used: {why}")


def upgrade(store: Store) -> tuple[str | None, str]:
    """Migrate to HEAD; returns the revision before and after. Refuses another project's database."""
    from alembic import command
    from alembic.config import Config

    before = current_revision(store)
    if before is not None and before > HEAD:
        require_schema(store)
    config = Config()
    config.set_main_option("script_location", "selo_dagster:store/migrations")
    config.attributes["store"] = store
    command.upgrade(config, "head")
    return before, HEAD
