"""`selo reflect`: doing one kind, here and now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import click
import dagster as dg

from selo_dagster.clock import Clock, clock_at
from selo_dagster.errors import SeloError
from selo_dagster.home import prepare_home
from selo_dagster.output import checked_date, json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.due import ready_count
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import kind_named
from selo_dagster.reflections.launch import Ran, run_here
from selo_dagster.reflections.look import look
from selo_dagster.reflections.plan import Planned, planned
from selo_dagster.reflections.progress import progress
from selo_dagster.reflections.report import settled_any
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.spending import why_left
from selo_dagster.reflections.told import LINES_FOR_PEOPLE, Told
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.opening import open_store

LONGEST_RANGE = 400
"""Days that one --from --to may span; more is a typing error more often than not."""


@click.command("reflect")
@click.argument("kind")
@click.option("--user", "users", multiple=True, metavar="ID", help="Only this person; may be repeated.")
@click.option("--on", "on", metavar="DATE", help="This local date, also one further back than the catch-up.")
@click.option("--from", "first", metavar="DATE", help="Every local date from here …")
@click.option("--to", "last", metavar="DATE", help="… to here, both included, oldest first.")
@click.option("--force", is_flag=True, help="Make a new version of what is already done.")
@click.option("--evolve", is_flag=True, help="With --force: undo what the former version asked for, and ask anew.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@now_option
@json_option
def reflect_command(
    *,
    kind: str,
    users: tuple[str, ...],
    on: str | None,
    first: str | None,
    last: str | None,
    force: bool,
    evolve: bool,
    dry_run: bool,
    now: str | None,
    as_json: bool,
) -> int:
    """Run the Dagster job of KIND here and wait; without --user for everyone who is due."""
    chosen = kind_named(kind)
    clock = clock_at(now)
    dates = _dates(chosen, on, first, last)
    if force and not users and dates == [None]:
        raise SeloError("wrong_use", "--force needs --user or --on: it would repeat what is already done for everyone")
    if evolve and not force:
        raise SeloError("wrong_use", "--evolve needs --force: a first version asks for what follows from it anyway")
    with work_here() as (settings, store, instance):
        with store.read() as connection:
            ids = tuple(dict.fromkeys(person(connection, who)[0] for who in users)) if users else None
        if dry_run:
            plan = planned(store, chosen, ids, dates, force=force, now=clock.now(), catchup_days=settings.catchup_days)
            return _print_plan(chosen, plan, as_json=as_json)
        told = Told(chosen.name)
        if first is not None:
            plan = planned(store, chosen, ids, dates, force=force, now=clock.now(), catchup_days=settings.catchup_days)
            calls = 0 if chosen.shape.task is None else len(plan.would)
            click.echo(f"{chosen.name}: {len(plan.would)} to do on {len(dates)} dates, {calls} model calls", err=True)
        for day in dates:
            wish = Wish(uuid4().hex, ids, day, force, evolve)
            _reflect_on(store, instance, settings, clock, chosen, wish, now=now, told=told)
    return told.print(as_json=as_json)


@contextmanager
def work_here() -> Iterator[tuple[Settings, Store, dg.DagsterInstance]]:
    """Yield what a command needs that runs jobs here: the settings, the store and this home's Dagster instance."""
    settings = process_settings()
    prepare_home(settings)
    with open_store(settings) as store, dg.DagsterInstance.get() as instance:
        yield settings, store, instance


def until_nothing_is_due(
    store: Store, instance: dg.DagsterInstance, settings: Settings, clock: Clock, kind: Kind, now: str | None
) -> Iterator[Ran]:
    """Run the job of a kind until its rows are done, put off or parked; yields each run that ended."""
    while True:
        look(store, kind, clock.now(), settings.catchup_days)
        with store.read() as connection:
            before = ready_count(connection, kind, clock.now())
        if not before:
            return
        with progress(store, kind, clock):
            ran = run_here(store, instance, kind, _config(now=now))
        yield ran
        with store.read() as connection:
            after = ready_count(connection, kind, clock.now())
            settled = settled_any(connection, ran.run_id)
        if why_left(store, settings, kind, clock.now()):
            return
        if after >= before and not settled:
            # A run that settles nothing would be repeated for ever. One that did may find more than before: another
            # machine is lost, and what it held has come back meanwhile.
            raise SeloError("stuck", f"{after} rows of {kind.name} stay due: {ran.failure or 'no run could take them'}")


def _reflect_on(
    store: Store,
    instance: dg.DagsterInstance,
    settings: Settings,
    clock: Clock,
    kind: Kind,
    wish: Wish,
    *,
    now: str | None,
    told: Told,
) -> None:
    if wish.users is None and wish.on is None:
        for ran in until_nothing_is_due(store, instance, settings, clock, kind, now):
            told.add_run(store, ran)
        told.tell_parked(why_left(store, settings, kind, clock.now()))
        return
    told.replies += place(store, kind, wish, clock.now(), settings.catchup_days)
    with progress(store, kind, clock):
        told.add_run(store, run_here(store, instance, kind, _config(now=now, request=wish.request_id)))
    told.tell_parked(why_left(store, settings, kind, clock.now()))


def _print_plan(kind: Kind, plan: Planned, *, as_json: bool) -> int:
    if as_json:
        would = [{"user": user_id, "on": on} for user_id, on in plan.would]
        calls = 0 if kind.shape.task is None else len(would)
        document = {"kind": kind.name, "dry_run": True, "would": would, "count": len(would), "model_calls": calls}
        print_json(document)
    elif not plan.would:
        click.echo(f"{kind.name}: nothing would be done")
    else:
        print_table(
            f"{kind.name}: {len(plan.would)} would be worked on, "
            f"{0 if kind.shape.task is None else len(plan.would)} model calls at least",
            ("user", "on"),
            plan.would[:LINES_FOR_PEOPLE],
        )
    return 0


def _config(**given: str | None) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _dates(kind: Kind, on: str | None, first: str | None, last: str | None) -> list[date | None]:
    if on and (first or last):
        raise SeloError("wrong_use", "--on and --from/--to exclude each other")
    if bool(first) != bool(last):
        raise SeloError("wrong_use", "--from and --to belong together")
    start, end = checked_date(first, "--from"), checked_date(last, "--to")
    if start is None or end is None:
        return [checked_date(on, "--on")]
    days = (end - start).days + 1
    if not 1 <= days <= LONGEST_RANGE:
        raise SeloError("wrong_use", f"--from {start} --to {end} is not a range of 1 to {LONGEST_RANGE} days")
    every = [start + timedelta(days=number) for number in range(days)]
    # Of a kind that is made once a week, the dates that carry one.
    carried = [day for day in every if kind.cadence.occurrence(day) == day]
    if not carried:
        raise SeloError("bad_date", f"there is no date of {kind.name} from {start} to {end}")
    return list(carried)
