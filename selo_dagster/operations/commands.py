"""`selo status`."""

from __future__ import annotations

import click

from selo_dagster.clock import SystemClock
from selo_dagster.operations.status import status
from selo_dagster.output import json_option, print_json, print_table
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("status")
@json_option
def status_command(*, as_json: bool) -> int:
    """Health in one look; exit status 1 when something needs a person."""
    with open_store(process_settings()) as store, store.read() as connection:
        found = status(connection, SystemClock().now())
    if as_json:
        print_json(found)
        return int(not found["ok"])
    click.echo(f"{found['people']['active']} people · {found['database']['dialect']} · {found['zone_rules']}")
    for name, kind in found["kinds"].items():
        counts = {state: number for state, number in kind["states"].items() if number}
        print_table(
            name,
            ("ready", "oldest since", "last settled", *counts),
            [(kind["ready"], kind["oldest_ready_since"], kind["last_settled_at"], *counts.values())],
        )
    for problem in found["problems"]:
        click.echo(f"! {problem['message']} ({problem['runbook']})")
    click.echo("all well" if found["ok"] else f"{len(found['problems'])} problems need a person")
    return int(not found["ok"])
