"""`selo night`: everything that is due for everyone, here and now, in order."""

from __future__ import annotations

import time

import click

from selo_dagster.clock import clock_at
from selo_dagster.output import json_option, now_option, print_json, print_table
from selo_dagster.reflections.due import waiting_count
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import BROKEN, DEFERRED, DONE, OUTCOMES
from selo_dagster.reflections.told import Told
from selo_dagster.reflections.work_commands import until_nothing_is_due, work_here
from selo_dagster.resources.guard import verdict_now
from selo_dagster.store.engine import Store
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.reader import look_for_triggers


@click.command("night")
@now_option
@json_option
def night_command(*, now: str | None, as_json: bool) -> int:
    """Do everything that is due for everyone now, in order, until nothing is due."""
    clock = clock_at(now)
    started = time.monotonic()
    calls = runs = 0
    kinds: dict[str, dict[str, int]] = {}
    with work_here() as (settings, store, instance):
        _warn_of_the_guard(store)
        look_for_triggers(store, catalogue(), clock.now(), catchup_days=settings.catchup_days)
        for kind in KINDS.values():
            told = Told(kind.name)
            for ran in until_nothing_is_due(store, instance, settings, clock, kind, now):
                told.add_run(store, ran)
                runs += 1
            kinds[kind.name] = told.counts()
            with store.read() as connection:
                # They wait for another kind: no run of this night could take them.
                kinds[kind.name][DEFERRED] += waiting_count(connection, kind)
            calls += told.model_calls
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        print_json({"kinds": kinds, "model_calls": calls, "runs": runs, "seconds": seconds})
    else:
        # What happened to nobody needs no column; a night in which nothing was due still names every kind.
        happened = [one for one in OUTCOMES if any(counts[one] for counts in kinds.values())] or [DONE]
        print_table(
            f"night: {runs} runs, {calls} model calls, {seconds:.1f} s",
            ("kind", *happened),
            [(name, *(counts[one] for one in happened)) for name, counts in kinds.items()],
        )
    return int(any(counts[outcome] for counts in kinds.values() for outcome in BROKEN))


def _warn_of_the_guard(store: Store) -> None:
    with store.read() as connection:
        verdict = verdict_now(connection)
    if verdict is not None and verdict.holds_back:
        click.echo(
            f"the resource guard holds scheduled work back ({verdict.sentence}): going on, since you asked", err=True
        )
