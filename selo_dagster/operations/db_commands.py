"""`selo db`."""

from __future__ import annotations

import click

from selo_dagster.clock import SystemClock
from selo_dagster.output import json_option, print_json
from selo_dagster.sagas.check import require_definitions
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade


@click.group("db")
def db() -> None:
    """The project's own database."""


@db.command("upgrade")
@json_option
def upgrade_command(*, as_json: bool) -> None:
    """Migrate the database to what this code needs. Safe to repeat.

    Refuses to go on when a saga that is under way, or could still be undone, needs a definition that is gone.
    """
    store = Store(process_settings().store_url)
    try:
        before, after = upgrade(store)
        with store.read() as connection:
            require_definitions(connection, registry(), SystemClock().now())
    finally:
        store.close()
    if as_json:
        print_json({"before": before, "after": after})
    elif before == after:
        click.echo(f"the database is at {after} already")
    else:
        click.echo(f"the database was {'empty' if before is None else f'at {before}'} and is at {after} now")
