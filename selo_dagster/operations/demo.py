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
from selo_dagster.operations.demo_undo import break_one
from selo_dagster.operations.night import print_sagas
from selo_dagster.operations.whole_night import Night, work_through
from selo_dagster.output import json_option, print_json, print_table
from selo_dagster.people.history import zones_of
from selo_dagster.people.local_days import window
from selo_dagster.people.tables import users
from selo_dagster.people.zones import local_label
from selo_dagster.reflections.answers import person, why
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.printing import print_reflection
from selo_dagster.reflections.show import shown
from selo_dagster.reflections.states import DONE
from selo_dagster.sagas.states import COMPENSATED
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
        night = work_through(store, instance, settings, clock, NOW)
        undone = break_one(store, instance, PICTURED, clock.now())
        rows = _last_day(store)
        with store.read() as connection:
            user_id, key, _ = person(connection, PICTURED)
            pictured = shown(connection, user_id, key, kind=DAILY.name, limit=3)
            pictured["reflections"] = pictured["reflections"][:1]
    if as_json:
        document = {"ingest": report.as_json(), "on": LAST_DAY, "people": rows, "counts": night.kinds[DAILY.name]}
        print_json(document | {"kinds": night.kinds, "sagas": night.sagas, "undone": undone})
    else:
        _print(report.as_json(), rows, pictured)
        _print_night(night)
        _print_undone(undone)
        click.echo(
            "\nSee it in the web UI: make up, then open http://127.0.0.1:3000 (Assets, one cell for each person)."
        )
    return int(night.needs_a_person or undone["state"] != COMPENSATED)


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
    _print_mind(pictured)
    if pictured["mantra"] is not None:
        click.echo(f"\nThe mantra that followed from it: {pictured['mantra']['text']}")
    for question in pictured["questions"]:
        day = question["available_at"]
        click.echo(f"A question for {PICTURED}, from {day.day} {day:%B}: {question['question']}")


def _print_mind(pictured: dict[str, Any]) -> None:
    moved = [one for one in pictured["persona"]["traits"] if one["version"] > 1]
    for one in moved:
        click.echo(f"Its persona towards {PICTURED}: {one['name']} is {one['value']:.3f} now (home {one['home']}).")
    for one in pictured["learnings"][:2]:
        click.echo(f"Learned for good: {one['content']} [{', '.join(one['evidence'])}]")
    for one in pictured["goals"][:1]:
        click.echo(f"A goal: {one['title']}")
    for one in pictured["episodes"][:1]:
        click.echo(f"A story of {one['words']} words: {one['title']}")


def _print_night(night: Night) -> None:
    done = ", ".join(f"{counts[DONE]} {kind}" for kind, counts in night.kinds.items() if counts[DONE])
    click.echo(f"\nMade in this night, each after what it waits for: {done or 'nothing, it was all there'}.")
    print_sagas(night.sagas)


def _print_undone(undone: dict[str, Any]) -> None:
    steps = ", ".join(f"{one['name']} {one['state'].replace('_', ' ')}" for one in undone["steps"])
    click.echo(
        f"\nOne saga was made to fail at its last step, and was undone: {undone['type']} {undone['id']} is "
        f"{undone['state']} ({steps}). Look at it: selo saga show {undone['id']}"
    )
