"""`selo demo`: the main job end to end on the bundled fictional people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from importlib import resources
from io import BytesIO
from typing import Any, Final

import click
import dagster as dg
from sqlalchemy import select

from selo_dagster.clock import clock_at
from selo_dagster.errors import SeloError
from selo_dagster.home import prepare_home
from selo_dagster.memory.ingest import ingest
from selo_dagster.output import json_option, print_json, print_table
from selo_dagster.people.history import zones_of
from selo_dagster.people.local_days import window
from selo_dagster.people.tables import users
from selo_dagster.people.zones import local_label
from selo_dagster.reflections.answers import person, why
from selo_dagster.reflections.commands import print_reflection
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.show import shown
from selo_dagster.reflections.states import BROKEN, DONE
from selo_dagster.reflections.told import Told
from selo_dagster.reflections.work_commands import until_nothing_is_due
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.opening import open_store
from selo_dagster.store.schema import upgrade

NOW: Final = "2026-09-07T12:00:00Z"
"""By then 6 September 2026 has ended everywhere, Honolulu last."""

LAST_DAY: Final = date(2026, 9, 6)
PICTURED: Final = "camila"
"""Lives in Santiago, where 6 September 2026 began at one o'clock."""


@click.command("demo")
@json_option
def demo_command(*, as_json: bool) -> int:
    """Ingest the bundled people, reflect on their last day, show what came of it."""
    settings = process_settings()
    prepare_home(settings)
    store = Store(settings.store_url)
    try:
        upgrade(store)
    finally:
        store.close()
    clock = clock_at(NOW)
    with open_store(settings) as store, dg.DagsterInstance.get() as instance:
        _refuse_strangers(store)
        report = ingest(store, BytesIO(_bundled()))
        made: dict[str, dict[str, int]] = {}
        for kind in KINDS.values():
            told = Told(kind.name)
            for ran in until_nothing_is_due(store, instance, settings, clock, kind, NOW):
                told.add_run(store, ran)
            made[kind.name] = told.counts()
        rows = _last_day(store)
        with store.read() as connection:
            user_id, key, _ = person(connection, PICTURED)
            pictured = shown(connection, user_id, key, kind=DAILY.name, limit=1)
    if as_json:
        document = {"ingest": report.as_json(), "on": LAST_DAY, "people": rows, "counts": made[DAILY.name]}
        print_json(document | {"kinds": made})
    else:
        _print(report.as_json(), rows, pictured)
        _print_night(made)
    return int(any(counts[outcome] for counts in made.values() for outcome in BROKEN))


def _bundled() -> bytes:
    return (resources.files("selo_dagster.demo") / "people.jsonl").read_bytes()


def _demo_people() -> set[str]:
    lines = (json.loads(line) for line in _bundled().splitlines())
    return {line["id"] for line in lines if line["type"] == "user"}


def _refuse_strangers(store: Store) -> None:
    with store.read() as connection:
        there = set(connection.execute(select(users.c.id)).scalars())
    if there - _demo_people():
        raise SeloError(
            "not_a_demo",
            "this home already holds other people: run the demo in another, for example SELO_HOME=/tmp/demo selo demo",
        )


def _last_day(store: Store) -> list[dict[str, Any]]:
    rows = []
    with store.read() as connection:
        people = connection.execute(select(users.c.id, users.c.name).order_by(users.c.id)).all()
        zones = zones_of(connection, [row.id for row in people])
        for row in people:
            lived = window(zones[row.id], LAST_DAY)
            answer = why(connection, DAILY, row.id, zones[row.id], LAST_DAY, clock_at(NOW).now())
            newest = shown(connection, row.id, row.id, kind=DAILY.name, limit=1)["reflections"]
            there = answer.outcome == DONE and bool(newest)
            rows.append(
                {
                    "user": row.id,
                    "name": row.name,
                    "zone": "" if lived is None else lived.zone,
                    "day": "" if lived is None else _span(lived.zone, lived.start, lived.end),
                    "outcome": answer.outcome,
                    "reason": answer.reason,
                    "themes": newest[0]["themes"] if there else [],
                    "feeling": newest[0]["emotional_state"]["primary"] if there else "",
                }
            )
    return rows


def _span(zone: str, start: Any, end: Any) -> str:
    hours = (end - start).total_seconds() / 3600
    return f"{local_label(zone, start)}-{local_label(zone, end)} ({hours:g} h)"


def _print(report: dict[str, Any], rows: Sequence[dict[str, Any]], pictured: dict[str, Any]) -> None:
    accepted = report["accepted"]
    click.echo(
        f"{report['lines']} lines read: {accepted['user']} people, {accepted['message']} messages, "
        f"{accepted['memory']} memories, {accepted['event']} events are new; {report['unchanged']} were there already."
    )
    print_table(
        f"What each of them left behind on {LAST_DAY:%A} {LAST_DAY.day} {LAST_DAY:%B %Y}, by their own clocks",
        ("who", "where", "their day", "outcome", "themes", "feeling"),
        [
            (
                row["name"],
                row["zone"],
                row["day"],
                row["outcome"] + (f": {row['reason']}" if row["reason"] else ""),
                ", ".join(row["themes"]),
                row["feeling"],
            )
            for row in rows
        ],
    )
    for one in pictured["reflections"]:
        click.echo(f"\nOne of them, {PICTURED}, with the evidence that each insight rests on:")
        print_reflection(one)
    if pictured["mantra"] is not None:
        click.echo(f"\nThe mantra that followed from it: {pictured['mantra']['text']}")
    for question in pictured["questions"]:
        day = question["available_at"]
        click.echo(f"A question for {PICTURED}, from {day.day} {day:%B}: {question['question']}")


def _print_night(made: dict[str, dict[str, int]]) -> None:
    done = ", ".join(f"{counts[DONE]} {kind}" for kind, counts in made.items() if counts[DONE])
    click.echo(f"\nMade in this night, each after what it waits for: {done}.")
    click.echo("\nSee it in the web UI: make up, then open http://127.0.0.1:3000 (Assets, one cell for each person).")
