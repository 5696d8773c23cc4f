"""`selo status`."""

from __future__ import annotations

from typing import Any

import click
import dagster as dg

from selo_dagster.clock import SystemClock
from selo_dagster.home import prepare_home
from selo_dagster.operations.self_check import self_check
from selo_dagster.operations.status import status
from selo_dagster.output import json_option, print_json, print_table
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("status")
@json_option
def status_command(*, as_json: bool) -> int:
    """Health in one look; exit status 1 when something needs a person."""
    settings = process_settings()
    prepare_home(settings)
    with open_store(settings) as store, store.read() as connection, dg.DagsterInstance.get() as instance:
        found = status(connection, SystemClock().now(), settings, self_check(connection, instance))
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
    if found["jobs"]:
        shown = ("job", "last_start", "last_finish", "seconds", "total", "succeeded", "skipped", "failed", "error")
        rows = [[one[name] for name in shown] for one in found["jobs"]]
        print_table("last runs", [name.replace("_", " ") for name in shown], rows)
    for line in _held(found):
        click.echo(line)
    for problem in found["problems"]:
        click.echo(f"! {problem['message']} ({problem['runbook']})")
    click.echo("all well" if found["ok"] else f"{len(found['problems'])} problems need a person")
    return int(not found["ok"])


def _held(found: dict[str, Any]) -> list[str]:
    """Say what is on hold, what waits for its time, and what is switched off."""
    guard = found["guard"]
    lines = [f"paused: {one['kind'] or 'every kind'} of {one['user'] or 'everybody'}" for one in found["paused"]]
    if guard is not None and guard["holds_back"]:
        lines.append(f"resource guard: {guard['sentence']}")
    if found["one_offs"]["waiting"]:
        lines.append(f"one-offs: {found['one_offs']['waiting']} wait for their time")
    if found["self_check"]["switched_off"]:
        lines.append(f"switched off: {', '.join(found['self_check']['switched_off'])}")
    return lines
