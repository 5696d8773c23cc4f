"""`selo rollback`: letting another version of a reflection hold."""

from __future__ import annotations

from typing import Any

import click

from selo_dagster.clock import clock_at
from selo_dagster.errors import SeloError
from selo_dagster.output import json_option, now_option, print_json, read_date
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.heads import RolledBack, roll_back
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import kind_named
from selo_dagster.reflections.shapes.reflection import REFLECTION
from selo_dagster.sagas.commands import account
from selo_dagster.sagas.desk import require_reason
from selo_dagster.sagas.downstream import Asked, Downstream, asked_by
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("rollback")
@click.argument("user")
@click.argument("kind")
@click.argument("on", metavar="DATE")
@click.option(
    "--to", "version", type=click.IntRange(1), required=True, metavar="N", help="The version that is to hold."
)
@click.option("--because", "because", metavar="WHY", help="Why; kept beside it.")
@click.option("--by", "actor", metavar="NAME", help="Who; without it, the account on this machine.")
@click.option("--evolve", is_flag=True, help="Undo what the other versions asked for, and ask for its own again.")
@now_option
@json_option
def rollback_command(
    *,
    user: str,
    kind: str,
    on: str,
    version: int,
    because: str | None,
    actor: str | None,
    evolve: bool,
    now: str | None,
    as_json: bool,
) -> int:
    """Let version N of USER's reflection of KIND on DATE hold: an earlier one, or one that was held back."""
    chosen = _with_versions(kind_named(kind))
    day = read_date(on, "DATE")
    if not (because or "").strip():
        raise SeloError("wrong_use", "--because is needed: whoever comes after you wants to know why")
    who, why = actor or account(), str(because).strip()
    require_reason(who, why)
    settings, moment = process_settings(), clock_at(now).now()
    with open_store(settings) as store, store.write() as connection:
        user_id = person(connection, user)[0]
        done = roll_back(
            connection, user_id=user_id, kind=chosen.name, on=day, version=version, actor=who, because=why, now=moment
        )
        if evolve:
            Downstream(registry(), settings).instead(connection, done.present[1], moment, who, why)
        asked = asked_by(connection, user_id, [done.former[1]] if done.changed else [])
        asked += asked_by(connection, user_id, [done.present[1]])
    if as_json:
        print_json(_document(user_id, chosen.name, on, done, asked, evolve=evolve))
    else:
        _print(f"{chosen.name} of {user_id} on {day}", done, asked, evolve=evolve)
    return 0


def _with_versions(kind: Kind) -> Kind:
    if kind.shape is not REFLECTION or not kind.cadence.dated:
        raise SeloError("no_versions", f"{kind.name} has no versions of which one holds: its latest is what counts")
    return kind


def _document(
    user_id: str, kind: str, on: str, done: RolledBack, asked: list[Asked], *, evolve: bool
) -> dict[str, Any]:
    return {
        "user": user_id,
        "kind": kind,
        "on": on,
        "from": {"version": done.former[0], "id": done.former[1]},
        "to": {"version": done.present[0], "id": done.present[1]},
        "changed": done.changed,
        "evolve": evolve,
        "asked": [
            {"reflection": one.reflection, "what": one.what, "id": one.id, "state": one.state, "command": one.command}
            for one in asked
        ],
    }


def _print(what: str, done: RolledBack, asked: list[Asked], *, evolve: bool) -> None:
    (former, former_id), (present, present_id) = done.former, done.present
    if done.changed:
        click.echo(f"{what}: version {present} holds, instead of version {former}")
    else:
        click.echo(f"{what}: version {present} held already")
    numbers = {former_id: former, present_id: present}
    for one in asked:
        click.echo(f"  version {numbers[one.reflection]} asked for {one.what} {one.id}: {one.state}")
        right = one.in_force == (one.reflection == present_id)
        if not right and not evolve and one.command:
            click.echo(f"    left as it is: `{one.command}` {'undoes it' if one.in_force else 'does it again'}")
    if evolve:
        click.echo("  the next runs carry it out, or `selo saga run` here")
