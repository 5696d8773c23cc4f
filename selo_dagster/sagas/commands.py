"""`selo saga`: start, look at, carry out, and decide about sagas."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import click

from selo_dagster.clock import SystemClock
from selo_dagster.errors import SeloError
from selo_dagster.output import instant, json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.sagas.check import missing_definitions
from selo_dagster.sagas.desk import Acted, Desk
from selo_dagster.sagas.desk_opening import open_desk
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.shown import saga_list, saga_shown
from selo_dagster.sagas.start import random_id, start
from selo_dagster.sagas.states import NEEDS_A_PERSON
from selo_dagster.sagas.traced import trace_of
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

INPUT_LIMIT: Final = 1 << 20
"""Bytes of a saga's input."""

Command = TypeVar("Command", bound=Callable[..., Any])


def why_option(command: Command) -> Command:
    """Add --by and --because."""
    command = click.option("--because", "because", default="asked on the command line", help="Why; kept beside it.")(
        command
    )
    return click.option("--by", "actor", metavar="NAME", help="Who; without it, the account on this machine.")(command)


@click.group("saga")
def saga() -> None:
    """Changes in several steps that are either completed or truthfully undone."""


@saga.command("start")
@click.argument("type_name", metavar="TYPE")
@click.option("--user", "user", required=True, metavar="ID", help="For whom.")
@click.option(
    "--input", "source", required=True, metavar="FILE", help="Its input as a JSON object; - reads standard input."
)
@click.option("--key", "key", metavar="KEY", help="The same key starts once; without it, each start is a new one.")
@json_option
def start_command(*, type_name: str, user: str, source: str, key: str | None, as_json: bool) -> int:
    """Ask for a saga of TYPE; a run takes it within seconds, or `selo saga run` here."""
    definition = registry().type(type_name)
    given = _read(source)
    with open_store(process_settings()) as store, store.write() as connection:
        user_id = person(connection, user)[0]
        started = start(
            connection,
            definition,
            user_id=user_id,
            key=key or uuid4().hex,
            given=given,
            now=SystemClock().now(),
            new_id=random_id,
        )
    if as_json:
        print_json({"id": started.id, "state": started.state, "existing": started.existing})
    else:
        was = "is there already" if started.existing else "is asked for"
        click.echo(f"{type_name} {started.id} {was}: {started.state}")
    return 0


@saga.command("list")
@click.option("--type", "type_name", metavar="TYPE", help="Only this type.")
@click.option("--user", "user", metavar="ID", help="Only this person.")
@click.option("--state", "state", metavar="STATE", help="Only in this state.")
@click.option("--limit", "limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest first.")
@json_option
def list_command(*, type_name: str | None, user: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List sagas."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = None if user is None else person(connection, user)[0]
        rows = saga_list(connection, type_name=type_name, user_id=user_id, state=state, limit=limit)
    if as_json:
        print_json({"sagas": rows})
    elif not rows:
        click.echo("no saga is like that")
    else:
        print_table(
            f"{len(rows)} sagas",
            ("id", "type", "user", "state", "direction", "reason", "created"),
            [
                (
                    one["id"],
                    one["type"],
                    one["user"],
                    one["state"],
                    one["direction"],
                    one["reason"],
                    instant(one["created_at"]),
                )
                for one in rows
            ],
        )


@saga.command("show")
@click.argument("saga_id", metavar="ID")
@json_option
def show_command(*, saga_id: str, as_json: bool) -> None:
    """Show one saga: its steps, and everything that happened to it. Inputs and outputs are private and left out."""
    with open_store(process_settings()) as store, store.read() as connection:
        document = saga_shown(connection, registry(), saga_id) | {"trace": trace_of(connection, saga_id)}
    if as_json:
        print_json(document)
        return
    click.echo(
        f"{document['type']} {document['id']} of {document['user']}: {document['state']}, {document['direction']}, "
        f"generation {document['generation']}{_error(document['error'])}"
    )
    print_table(
        "steps",
        ("step", "state", "tries", "undo tries", "seconds"),
        [
            (one["name"], one["state"], one["attempts"], one.get("undo_attempts", 0), _seconds(one.get("seconds")))
            for one in document["steps"]
        ],
    )
    for one in document["timeline"]:
        who = f" by {one['actor']}: {one['because']}" if "actor" in one else ""
        click.echo(f"  {instant(one['at'])}  {one['what']} {one.get('step') or ''}{who}")


@saga.command("run")
@click.option("--type", "type_name", metavar="TYPE", help="Only this type.")
@now_option
@json_option
def run_command(*, type_name: str | None, now: str | None, as_json: bool) -> int:
    """Work off what waits, in both directions, here; waits until it is done.

    The exit status is 1 if any saga needs a person or waits for another try.
    """
    from selo_dagster.sagas.launch import work_off

    done = work_off(None if type_name is None else registry().type(type_name).name, now)
    if as_json:
        print_json({"counts": done.counts, "runs": done.runs})
    elif not done.runs:
        click.echo("no saga waits")
    else:
        print_table(f"{done.runs} runs", ("state", "sagas"), sorted(done.counts.items()))
    return int(any(done.counts.get(state) for state in (*NEEDS_A_PERSON, "waiting", "compensating")))


@saga.command("check")
@json_option
def check_command(*, as_json: bool) -> int:
    """Check that every definition that a saga still needs is there, unchanged; exit status 1 if not."""
    known = registry()
    with open_store(process_settings()) as store, store.read() as connection:
        missing = missing_definitions(connection, known, SystemClock().now())
    if as_json:
        print_json(
            {
                "ok": not missing,
                "definitions": [{"type": name, "version": version} for name, version in known.by_version],
                "missing": [
                    {"type": one.type, "version": one.version, "why": one.why, "sagas": one.sagas} for one in missing
                ],
            }
        )
    else:
        for one in missing:
            click.echo(f"! {one.sentence}")
        if not missing:
            click.echo(f"{len(known.by_version)} definitions, none is missing")
    return int(bool(missing))


def _act(saga_id: str, actor: str | None, because: str, as_json: bool, act: Callable[[Desk], Acted]) -> int:
    with open_store(process_settings()) as store, store.write() as connection:
        acted = act(open_desk(connection, registry(), SystemClock().now(), actor or account(), because))
    if as_json:
        print_json({"id": acted.id, "state": acted.state, "changed": acted.changed})
    else:
        click.echo(f"{saga_id} is {acted.state}" + ("" if acted.changed else ": there was nothing to change"))
    return 0


def account() -> str:
    """Return who is logged in on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


ACTS: Final = {
    "retry": "Go on with a saga that waits for a person; one that was undone begins anew, as a new generation.",
    "cancel": "Stop a saga: what it has done is undone, as long as there is a way back.",
    "compensate": "Undo a saga, also a completed one, as long as its undo data is kept.",
    "pause": "Let a saga rest where it is, in either direction.",
    "resume": "Go on with a saga that was paused.",
}


def _act_command(name: str, says: str) -> click.Command:
    @click.command(name, help=says)
    @click.argument("saga_id", metavar="ID")
    @why_option
    @json_option
    def command(*, saga_id: str, actor: str | None, because: str, as_json: bool) -> int:
        return _act(saga_id, actor, because, as_json, lambda desk: getattr(desk, name)(saga_id))

    return command


for _name, _says in ACTS.items():
    saga.add_command(_act_command(_name, _says))


@saga.command("waive")
@click.argument("saga_id", metavar="ID")
@click.argument("step")
@click.option("--by", "actor", required=True, metavar="NAME", help="Who says so.")
@click.option("--because", "because", required=True, metavar="WHY", help="Why the undo is not needed any more.")
@json_option
def waive_command(*, saga_id: str, step: str, actor: str, because: str, as_json: bool) -> int:
    """Say of STEP that its undo is not needed any more, or was done by hand; the way back goes on without it."""
    return _act(saga_id, actor, because, as_json, lambda desk: desk.waive(saga_id, step))


def _read(source: str) -> dict[str, Any]:
    try:
        data = sys.stdin.buffer.read(INPUT_LIMIT + 1) if source == "-" else Path(source).read_bytes()
    except OSError as refused:
        raise SeloError("bad_input", f"{source[:200]} cannot be read: {refused.strerror}") from None
    if len(data) > INPUT_LIMIT:
        raise SeloError("bad_input", "the input is longer than 1 MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise SeloError("bad_input", "the input is not one JSON document in UTF-8") from None
    if not isinstance(document, dict):
        raise SeloError("bad_input", "the input must be a JSON object")
    return document


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _error(error: dict[str, Any] | None) -> str:
    return "" if error is None else f" ({error.get('step', '')} {error.get('class', '')})".replace("( )", "")
