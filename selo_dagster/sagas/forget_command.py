"""`selo forget`: one memory, and what was made of it alone."""

from __future__ import annotations

from typing import Any

import click

from selo_dagster.clock import clock_at
from selo_dagster.errors import SeloError
from selo_dagster.output import json_option, now_option, print_json
from selo_dagster.reflections.answers import person
from selo_dagster.sagas.commands import account
from selo_dagster.sagas.desk import require_reason
from selo_dagster.sagas.forget import forget
from selo_dagster.sagas.forgotten import Forgotten
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("forget")
@click.argument("user")
@click.argument("memory")
@click.option("--because", "because", metavar="WHY", help="Why; kept beside it.")
@click.option("--by", "actor", metavar="NAME", help="Who; without it, the account on this machine.")
@now_option
@json_option
def forget_command(
    *, user: str, memory: str, because: str | None, actor: str | None, now: str | None, as_json: bool
) -> int:
    """Forget one MEMORY of USER for good, and what was made of it alone; the rest is made anew. There is no undo."""
    if not (because or "").strip():
        raise SeloError("wrong_use", "--because is needed: whoever comes after you wants to know why")
    who, why = actor or account(), str(because).strip()
    require_reason(who, why)
    moment = clock_at(now).now()
    with open_store(process_settings()) as store, store.write() as connection:
        user_id = person(connection, user)[0]
        done = forget(connection, user_id, memory, actor=who, because=why, now=moment)
    if as_json:
        print_json(_document(user_id, done))
    else:
        _print(user_id, done)
    return 0


def _document(user_id: str, done: Forgotten) -> dict[str, Any]:
    return {
        "user": user_id,
        "memory": done.memory,
        "existing": done.existing,
        "deleted": {table: number for table, number in sorted(done.deleted.items()) if number},
        "changed": {table: number for table, number in sorted(done.changed.items()) if number},
        "again": [{"kind": kind, "key": key} for kind, key in done.again],
        "merged": done.merged,
        "evolutions": done.evolutions,
    }


def _print(user_id: str, done: Forgotten) -> None:
    document = _document(user_id, done)
    if not done.existing:
        click.echo(f"{done.memory} of {user_id} was forgotten already")
        return
    click.echo(f"{done.memory} of {user_id} is forgotten")
    for name in ("deleted", "changed"):
        if document[name]:
            click.echo(f"  {name}: " + ", ".join(f"{table} ({number})" for table, number in document[name].items()))
    for kind, key in done.again:
        click.echo(f"  {kind} {key} is made anew by the next run, or `selo night` here")
    for memory in done.merged:
        click.echo(f"  {memory} had been merged into it and is read again: forget it too if it says the same")
    for evolution in done.evolutions:
        click.echo(f"  the persona stays as it moved it: `selo persona revert {evolution}` takes that back")
