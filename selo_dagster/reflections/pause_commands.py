"""`selo pause` and `selo resume`: holding a kind, or everything about a person, back."""

from __future__ import annotations

import click

from selo_dagster.clock import clock_at
from selo_dagster.errors import SeloError
from selo_dagster.output import instant, json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.kinds import kind_named
from selo_dagster.reflections.pauses import Pause, open_pauses, pause, resume
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("pause", short_help="Hold a kind or a person back; without either, list what is on hold.")
@click.argument("kind", required=False)
@click.option("--user", "user", metavar="ID", help="Only this person; of every kind unless KIND is given.")
@click.option("--because", "because", metavar="WHY", help="Why; shown wherever the pause is.")
@now_option
@json_option
def pause_command(*, kind: str | None, user: str | None, because: str | None, now: str | None, as_json: bool) -> int:
    """Hold KIND, or a person, back until `selo resume`. What becomes due meanwhile is not made up later."""
    moment = clock_at(now).now()
    with open_store(process_settings()) as store:
        if kind is None and user is None:
            with store.read() as connection:
                _print_open(open_pauses(connection), as_json=as_json)
            return 0
        if not (because or "").strip():
            raise SeloError("wrong_use", "--because is needed: whoever comes after you wants to know why")
        name = None if kind is None else kind_named(kind).name
        with store.write() as connection:
            user_id = None if user is None else person(connection, user)[0]
            began = pause(connection, kind=name, user_id=user_id, because=str(because).strip(), now=moment)
    _tell("paused", name, user_id, changed=began, as_json=as_json)
    return 0


@click.command("resume")
@click.argument("kind", required=False)
@click.option("--user", "user", metavar="ID", help="Only this person; of every kind unless KIND is given.")
@click.option("--because", "because", metavar="WHY", help="Why; kept beside why it began.")
@now_option
@json_option
def resume_command(*, kind: str | None, user: str | None, because: str | None, now: str | None, as_json: bool) -> int:
    """Let KIND, or a person, go on. What became due while it was paused stays `skipped(paused)`."""
    if kind is None and user is None:
        raise SeloError("wrong_use", "name a KIND or a --user: `selo pause` lists what is on hold")
    moment = clock_at(now).now()
    name = None if kind is None else kind_named(kind).name
    with open_store(process_settings()) as store, store.write() as connection:
        user_id = None if user is None else person(connection, user)[0]
        ended = resume(connection, kind=name, user_id=user_id, now=moment, because=because)
    _tell("resumed", name, user_id, changed=ended, as_json=as_json)
    return 0


def _tell(what: str, kind: str | None, user_id: str | None, *, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({what: {"kind": kind, "user": user_id}, "changed": changed})
        return
    whom = " of ".join(name for name in (kind, user_id) if name)
    click.echo(f"{whom} is {what}" if changed else f"{whom} was {what} already")


def _print_open(found: list[Pause], *, as_json: bool) -> None:
    if as_json:
        rows = [{"kind": one.kind, "user": one.user_id, "since": one.since, "because": one.because} for one in found]
        print_json({"paused": rows})
    elif not found:
        click.echo("nothing is on hold")
    else:
        print_table(
            f"{len(found)} on hold",
            ("kind", "user", "since", "because"),
            [(one.kind or "every kind", one.user_id or "everybody", instant(one.since), one.because) for one in found],
        )
