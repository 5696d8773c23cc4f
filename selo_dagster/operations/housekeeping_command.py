"""`selo housekeeping`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import click

from selo_dagster.clock import clock_at
from selo_dagster.errors import SeloError
from selo_dagster.operations.housekeeping.groups import NAMES
from selo_dagster.operations.housekeeping.round import FOR_S, Budget, Round, keep_house
from selo_dagster.output import json_option, now_option, print_json, print_table
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.opening import open_store

DAGSTER: Final = "dagster_runs"
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0}


@click.command("housekeeping")
@click.option("--older-than", "days", type=click.IntRange(2, 3_650), help="Days; without it, SELO_EVENT_KEEP_DAYS.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--only", type=click.Choice([*NAMES, DAGSTER]), multiple=True, help="Only this group; may be repeated.")
@click.option("--for", "duration", metavar="DURATION", help="Stop after so long, such as 30m; without it, an hour.")
@now_option
@json_option
def housekeeping_command(
    *, days: int | None, dry_run: bool, only: tuple[str, ...], duration: str | None, now: str | None, as_json: bool
) -> None:
    """Delete what is older than its retention, in this project's tables and of Dagster's runs.

    Messages, memories and reflections stay, and so does what keeps anything from being done twice. --older-than is
    for events. It can be stopped at any time, and run while everything else runs.
    """
    settings = process_settings()
    moment = clock_at(now).now()
    budget = Budget(FOR_S if duration is None else seconds_of(duration))
    runs: dict[str, Any] | None = None
    with open_store(settings) as store:
        done = Round()
        if not only or set(only) - {DAGSTER}:
            done = keep_house(store, moment, settings, only=only, event_days=days, dry_run=dry_run, budget=budget)
        if not only or DAGSTER in only:
            runs = _runs(settings, moment, budget, dry_run=dry_run)
    finished = done.finished and (runs is None or runs["finished"])
    if as_json:
        deleted = {one.table: one.rows for one in done.done if not one.emptied}
        emptied = {one.table: one.rows for one in done.done if one.emptied}
        print_json(
            {
                "dry_run": dry_run,
                "keep_days": days or settings.event_keep_days,
                "deleted": deleted,
                "emptied": emptied,
                "tables": [one.shown for one in done.done],
                "dagster_runs": runs,
                "finished": finished,
            }
        )
        return
    rows: list[tuple[object, ...]] = [
        (one.group, one.table, one.rows, f"{one.keep_days} days", one.stays) for one in done.done
    ]
    if runs is not None:
        kept = f"{runs['keep_days']} days, {runs['failure_keep_days']} if they failed"
        stays = f"{runs['holding']} on which a partition's status rests"
        rows.append((DAGSTER, "runs", runs["deleted"], kept, stays))
    print_table("would go" if dry_run else "gone", ("group", "table", "rows", "kept for", "older ones that stay"), rows)
    if not finished:
        click.echo("time was up: what is left goes with the next round")


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 90s, 30m or 2h. Raises SeloError `bad_duration`."""
    found = re.fullmatch(r"(\d{1,6})([smh])", text.strip())
    if found is None:
        raise SeloError("bad_duration", f"--for: {text[:40]!r} is no duration such as 90s, 30m or 2h")
    return int(found[1]) * _UNITS[found[2]]


def _runs(settings: Settings, now: datetime, budget: Budget, *, dry_run: bool) -> dict[str, Any]:
    # Dagster is imported only where it is looked at.
    import dagster as dg

    from selo_dagster.home import prepare_home
    from selo_dagster.operations.housekeeping.dagster_runs import prune_runs

    prepare_home(settings)
    keep, failures = settings.dagster_run_keep_days, settings.dagster_failure_keep_days
    with dg.DagsterInstance.get() as instance:
        found = prune_runs(instance, now, keep, failures, dry_run=dry_run, budget=budget)
    return {
        "deleted": found.deleted,
        "holding": found.holding,
        "keep_days": keep,
        "failure_keep_days": failures,
        "finished": found.finished,
    }
