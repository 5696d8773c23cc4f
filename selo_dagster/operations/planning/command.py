"""`selo plan`."""

from __future__ import annotations

from collections.abc import Iterator

import click
import dagster as dg

from selo_dagster.clock import clock_at
from selo_dagster.home import prepare_home
from selo_dagster.operations.planning.night_plan import NightPlan, document, night_plan, sentence
from selo_dagster.operations.planning.shed import MOST_SLOTS
from selo_dagster.operations.planning.simulate import round_late
from selo_dagster.operations.planning.ways import ways_of
from selo_dagster.output import json_option, now_option, print_json, print_table
from selo_dagster.reflections.days import fold_stream
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

MOST_HOURS = 168


@click.command("plan")
@click.option("--hours", type=click.IntRange(1, MOST_HOURS), default=24, show_default=True, help="How far to look.")
@click.option("--slots", type=click.IntRange(1, MOST_SLOTS), help="Calls at once in a run, instead of SELO_LLM_SLOTS.")
@now_option
@json_option
def plan_command(*, hours: int, slots: int | None, now: str | None, as_json: bool) -> int:
    """Will it fit: what comes due by the hour, how long it takes, and what would be late. Exit status 1 if not."""
    settings, clock = process_settings(), clock_at(now)
    prepare_home(settings)
    with open_store(settings) as store, dg.DagsterInstance.get() as instance:
        fold_stream(store)
        with store.read() as connection:
            plan = night_plan(connection, settings, clock.now(), hours, ways_of(settings, instance, slots))
    if as_json:
        print_json(document(plan))
    else:
        _print(plan)
    return int(not plan.fits)


def _print(plan: NightPlan) -> None:
    kinds = [name for name in plan.course.courses if plan.number(name)]
    hours = [hour for hour in plan.course.hours if any(hour.due.values()) or any(hour.done.values())]
    if hours:
        print_table(
            f"due and done by the hour, UTC; {plan.ways.slots} slots a run, {plan.ways.runs} runs at once, "
            f"{plan.ways.runs_of_a_kind} of a kind",
            ("from", *kinds, "seconds", "tokens"),
            [
                (
                    f"{hour.start:%m-%d %H:%M}",
                    *(_due_and_done(hour.due.get(name, 0), hour.done.get(name, 0.0)) for name in kinds),
                    round(sum(number * plan.costs[name].seconds for name, number in hour.due.items())),
                    round(sum(number * plan.costs[name].tokens for name, number in hour.due.items())),
                )
                for hour in hours
            ],
        )
        print_table(
            "by kind",
            (
                "kind",
                "due",
                "of them likely",
                "s each",
                "tokens each",
                "measured",
                "done at",
                "longest lag",
                "target",
                "late",
                "would shed",
            ),
            [_kind_row(plan, name) for name in kinds],
        )
    for line in _notes(plan):
        click.echo(line)
    click.echo(sentence(plan))


def _due_and_done(due: int, done: float) -> str | None:
    return f"{due} / {round(done)}" if due or done else None


def _kind_row(plan: NightPlan, name: str) -> tuple[object, ...]:
    told = document(plan)["kinds"][name]
    course = plan.course.courses[name]
    return (
        name,
        told["due"],
        told["likely"] or None,
        f"{told['seconds_each']:.2f}",
        round(told["tokens_each"]),
        told["measured"] or "no",
        "never" if course.done_at is None else f"{course.done_at:%m-%d %H:%M}",
        f"{course.lag_s / 3600:.1f} h",
        f"{told['lag_target_s'] // 3600} h",
        round_late(course.late) or None,
        told["would_shed"] or None,
    )


def _notes(plan: NightPlan) -> Iterator[str]:
    """Yield what is left out, guessed or too late already."""
    due = plan.due
    if due.kinds_on_hold:
        yield f"left out, on hold: {', '.join(due.kinds_on_hold)}"
    if due.people_on_hold:
        yield f"left out, on hold: {due.people_on_hold} people"
    if due.bad_zones:
        yield f"left out, in a zone that does not exist: {due.people_in_bad_zones} people ({', '.join(due.bad_zones)})"
    guessed = [
        f"{name} {plan.costs[name].seconds:g} s"
        for name in plan.course.courses
        if plan.number(name) and not plan.costs[name].number
    ]
    if guessed:
        yield f"nothing was settled lately of these, so a default was taken: {', '.join(guessed)}"
    overdue = sum(one.overdue for one in plan.course.courses.values())
    if overdue:
        yield f"{overdue} are beyond their target already: they count from now on"
    if waiting := plan.put_off():
        counted = ", ".join(f"{number} {name}" for name, number in waiting.items())
        yield f"no room in the budget of a day, so they wait for the next: {counted}"
    if plan.shed:
        yield f"to be on time with the rest, put off {', '.join(f'{n} {name}' for name, n in plan.shed.items())}"
