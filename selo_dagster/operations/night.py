"""`selo night`: everything that is due for everyone, here and now, in order."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from selo_dagster.clock import clock_at
from selo_dagster.operations.whole_night import work_through
from selo_dagster.output import json_option, now_option, print_json, print_table
from selo_dagster.reflections.states import DONE, OUTCOMES
from selo_dagster.reflections.work_commands import work_here
from selo_dagster.resources.guard import verdict_now
from selo_dagster.store.engine import Store


@click.command("night")
@now_option
@json_option
def night_command(*, now: str | None, as_json: bool) -> int:
    """Do everything that is due for everyone now, and what follows from it, in order, until nothing is due."""
    clock = clock_at(now)
    started = time.monotonic()
    with work_here() as (settings, store, instance):
        _warn_of_the_guard(store)
        night = work_through(store, instance, settings, clock, now)
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        print_json(
            {
                "kinds": night.kinds,
                "sagas": night.sagas,
                "model_calls": night.calls,
                "runs": night.runs,
                "seconds": seconds,
            }
        )
    else:
        # What happened to nobody needs no column; a night in which nothing was due still names every kind.
        happened = [one for one in OUTCOMES if any(counts[one] for counts in night.kinds.values())] or [DONE]
        print_table(
            f"night: {night.runs} runs, {night.calls} model calls for reflections, {seconds:.1f} s",
            ("kind", *happened),
            [(name, *(counts[one] for one in happened)) for name, counts in night.kinds.items()],
        )
        print_sagas(night.sagas)
    if night.parked is not None:
        click.echo(f"selo: {night.parked}", err=True)
    return int(night.needs_a_person)


def print_sagas(sagas: Mapping[str, Mapping[str, int]]) -> None:
    """Print what followed from the reflections of a night; nothing where nothing did."""
    if not sagas:
        return
    states = sorted({state for counts in sagas.values() for state in counts})
    print_table(
        "what followed from them",
        ("saga", *states),
        [(name, *(counts.get(state, 0) for state in states)) for name, counts in sorted(sagas.items())],
    )


def _warn_of_the_guard(store: Store) -> None:
    with store.read() as connection:
        verdict = verdict_now(connection)
    if verdict is not None and verdict.holds_back:
        click.echo(
            f"the resource guard holds scheduled work back ({verdict.sentence}): going on, since you asked", err=True
        )
