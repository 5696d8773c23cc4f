"""`selo db`."""

from __future__ import annotations

import click

from selo_dagster.output import json_option, print_json
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade


@click.group("db")
def db() -> None:
    """The project's own database."""


@db.command("upgrade")
@json_option
def upgrade_command(*, as_json: bool) -> None:
    """Migrate the database to what this code needs. Safe to repeat."""
    store = Store(process_settings().store_url)
    try:
        before, after = upgrade(store)
    finally:
        store.close()
    if as_json:
        print_json({"before": before, "after": after})
    elif before == after:
        click.echo(f"the database is at {after} already")
    else:
        click.echo(f"the database was {'empty' if before is None else f'at {before}'} and is at {after} now")
