"""`selo housekeeping`."""

from __future__ import annotations

import click

from selo_dagster.clock import clock_at
from selo_dagster.operations.housekeeping import keep_house
from selo_dagster.output import json_option, now_option, print_json
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("housekeeping")
@click.option("--older-than", "days", type=click.IntRange(2, 3_650), help="Days; without it, SELO_EVENT_KEEP_DAYS.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@now_option
@json_option
def housekeeping_command(*, days: int | None, dry_run: bool, now: str | None, as_json: bool) -> None:
    """Delete events of the stream that every reader has read and that are older than their retention.

    Messages, memories and reflections stay; so do events that are parked.
    """
    settings = process_settings()
    keep_days = days or settings.event_keep_days
    with open_store(settings) as store:
        done = keep_house(store, clock_at(now).now(), keep_days, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "keep_days": keep_days, "deleted": {"events": done.events}})
    else:
        click.echo(f"{done.events} events older than {keep_days} days {'would go' if dry_run else 'are gone'}")
