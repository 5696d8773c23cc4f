"""`selo audit`: what the answer audits found, and applying what they propose."""

from __future__ import annotations

import click

from selo_dagster.clock import clock_at
from selo_dagster.output import json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.audits.store import apply, latest, undo
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.group("audit", short_help="Answers that say the same, and merging them.")
def audit() -> None:
    """Show what the last audit of a person's answers found; apply or undo the merges that it proposes."""


@audit.command("show")
@click.argument("user")
@json_option
def show_command(*, user: str, as_json: bool) -> int:
    """Show USER's newest audit."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id, _, _ = person(connection, user)
        found = latest(connection, user_id)
    if as_json:
        print_json({"user": user_id, "audit": found})
    elif found is None:
        click.echo(f"the answers of {user_id} were not audited yet")
    else:
        click.echo(f"audit {found['id']} of {found['on']}: {found['answers']} answers")
        print_table(
            f"{len(found['merges'])} proposed merges",
            ("number", "keep", "retire", "because", "likeness", "applied"),
            [
                (one["number"], one["keep"], ", ".join(one["retire"]), one["because"], one["likeness"], one["applied"])
                for one in found["merges"]
            ],
        )
    return 0


@audit.command("apply")
@click.argument("id")
@click.option("--merge", "numbers", type=int, multiple=True, metavar="N", help="Only this proposal; may be repeated.")
@now_option
@json_option
def apply_command(*, id: str, numbers: tuple[int, ...], now: str | None, as_json: bool) -> int:  # noqa: A002
    """Apply what the audit ID proposes: the retired memories are kept, and read no more."""
    with open_store(process_settings()) as store, store.write() as connection:
        retired = apply(connection, id, clock_at(now).now(), numbers or None)
    if as_json:
        print_json({"id": id, "retired": retired})
    else:
        click.echo(f"{len(retired)} memories retired; `selo audit undo {id}` lets them be read again")
    return 0


@audit.command("undo")
@click.argument("id")
@click.option("--merge", "numbers", type=int, multiple=True, metavar="N", help="Only this proposal; may be repeated.")
@json_option
def undo_command(*, id: str, numbers: tuple[int, ...], as_json: bool) -> int:  # noqa: A002
    """Let what was retired by the audit ID be read again."""
    with open_store(process_settings()) as store, store.write() as connection:
        back = undo(connection, id, numbers or None)
    if as_json:
        print_json({"id": id, "restored": back})
    else:
        click.echo(f"{len(back)} memories are read again")
    return 0
