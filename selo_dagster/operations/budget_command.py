"""`selo budget`: what may be spent today, what is, and what waits for it; `selo budget release` tries again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from selo_dagster.clock import clock_at
from selo_dagster.llm.budgets.caps import budget_of
from selo_dagster.llm.budgets.standing import spenders
from selo_dagster.operations.budget_status import budget_status
from selo_dagster.output import json_option, now_option, print_json, print_table
from selo_dagster.reflections import spending
from selo_dagster.reflections.answers import person
from selo_dagster.sagas import paying
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.group("budget", invoke_without_command=True)
@now_option
@json_option
@click.pass_context
def budget_command(context: click.Context, *, now: str | None, as_json: bool) -> None:
    """Show the budgets of the day: caps, what is spent, what calls under way have reserved, and what waits."""
    if context.invoked_subcommand is not None:
        return
    settings, clock = process_settings(), clock_at(now)
    budget = budget_of(settings)
    with open_store(settings) as store, store.read() as connection:
        found = budget_status(connection, budget, clock.now())
        people = [] if budget is None else [one.document for one in spenders(connection, budget, clock.now())]
    if as_json:
        print_json({"budgets": None if found is None else found | {"people": people}})
        return
    if found is None:
        click.echo("nothing is bounded: set a SELO_BUDGET_… cap (the extractive model costs nothing anyway)")
        return
    print_table(
        f"budgets of {found['day']} (UTC), policy {found['policy']}",
        ("whose", "unit", "cap", "spent", "reserved", "left", "unheard of"),
        [row for one in [*found["lines"], *people] for row in _rows(one)],
    )
    for one in found["held_back"]:
        click.echo(f"{one['kind']}: {one['number']} wait: {one['because']}")


def _rows(one: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each unit that is bounded, or of which something is spent."""
    whose = one["subject"] or one["scope"]
    return [
        (
            whose,
            unit,
            one["cap"][unit],
            one["spent"][unit],
            one["reserved"][unit],
            one["left"][unit],
            one["unheard"][unit],
        )
        for unit in ("tokens", "cost")
        if one["cap"][unit] is not None or unit == "tokens"
    ]


@budget_command.command("release")
@click.option("--kind", "kind", metavar="KIND", help="Only this kind of reflection or type of saga.")
@click.option("--user", "user", metavar="ID", help="Only this person.")
@now_option
@json_option
def release_command(*, kind: str | None, user: str | None, now: str | None, as_json: bool) -> None:
    """Let what was put off for want of room try again at once, after a cap was raised."""
    settings, clock = process_settings(), clock_at(now)
    with open_store(settings) as store:
        with store.read() as connection:
            user_id = None if user is None else person(connection, user)[0]
        with store.write() as connection:
            obligations = spending.try_again(connection, clock.now(), kind=kind, user=user_id)
            sagas = paying.try_again(connection, clock.now(), kind=kind, user=user_id)
    if as_json:
        print_json({"obligations": obligations, "sagas": sagas})
        return
    click.echo(f"{obligations} obligations and {sagas} sagas may try again: the next tick or `selo night` takes them")
