"""`selo schedule`, `selo unschedule`, `selo scheduled`: reflections asked for at a time."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import click

from selo_dagster.clock import clock_at, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.output import instant, json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.one_offs import due_at, listed, schedule, unschedule
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("schedule")
@click.argument("user")
@click.argument("kind")
@click.option("--at", "at", metavar="ISO", help="At this ISO-8601 instant.")
@click.option("--in", "delay", metavar="DELAY", help="After this delay, such as 90s, 10m, 2h or 3d.")
@click.option("--memory", "memories", multiple=True, metavar="ID", help="A memory that is read; may be repeated.")
@click.option("--context", "context", metavar="JSON", help="A JSON object given to the model as data.")
@now_option
@json_option
def schedule_command(
    *,
    user: str,
    kind: str,
    at: str | None,
    delay: str | None,
    memories: tuple[str, ...],
    context: str | None,
    now: str | None,
    as_json: bool,
) -> int:
    """Ask for one reflection on USER at a time.

    KIND is one_off, a rule of the triggered kind (memory, emotional, knowledge), or any kind that is made for
    dates, which is then done as `selo reflect KIND --user USER` would do it at that time.
    """
    moment = clock_at(now).now()
    due = due_at(None if at is None else parse_instant(at), delay, moment)
    with open_store(process_settings()) as store, store.write() as connection:
        user_id, _, _ = person(connection, user)
        made = schedule(
            connection,
            user_id=user_id,
            kind=kind,
            due_at=due,
            now=moment,
            new_id=lambda: uuid4().hex,
            memory_ids=memories,
            context=_context(context),
        )
    if as_json:
        print_json({"id": made, "due": due})
    else:
        click.echo(f"{kind} on {user_id} is due at {instant(due)}; `selo unschedule {made}` takes it back")
    return 0


@click.command("unschedule")
@click.argument("id")
@now_option
@json_option
def unschedule_command(*, id: str, now: str | None, as_json: bool) -> int:  # noqa: A002 - what the argument is called
    """Take back the one-off ID, as long as no run has taken it."""
    with open_store(process_settings()) as store, store.write() as connection:
        taken_back = unschedule(connection, id, clock_at(now).now())
    if as_json:
        print_json({"id": id, "cancelled": True, "changed": taken_back})
    else:
        click.echo(f"{id} is taken back" if taken_back else f"{id} had been taken back before")
    return 0


@click.command("scheduled")
@click.argument("user", required=False)
@click.option("--limit", "limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Newest first.")
@json_option
def scheduled_command(*, user: str | None, limit: int, as_json: bool) -> int:
    """List one-offs, of USER or of everybody, with how late each was placed."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = None if user is None else person(connection, user)[0]
        rows = listed(connection, user_id=user_id, limit=limit)
    if as_json:
        print_json({"scheduled": rows})
    elif not rows:
        click.echo("nothing is scheduled")
    else:
        print_table(
            f"{len(rows)} one-offs",
            ("id", "user", "kind", "due", "state", "outcome", "late"),
            [_line(row) for row in rows],
        )
    return 0


def _line(row: dict[str, Any]) -> tuple[object, ...]:
    late = "" if row["late_s"] is None else f"{row['late_s']:.0f} s"
    return row["id"], row["user"], row["kind"], instant(row["due"]), row["state"], row["outcome"] or "", late


def _context(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise SeloError("bad_payload", "--context is not one JSON document") from None
    if not isinstance(document, dict):
        raise SeloError("bad_payload", '--context must be a JSON object such as {"topic": "the move"}')
    return document
