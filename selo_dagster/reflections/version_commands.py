"""`selo versions`, and what `selo show --diff` prints."""

from __future__ import annotations

from typing import Any

import click

from selo_dagster.errors import SeloError
from selo_dagster.output import checked_date, instant, json_option, print_json, print_table, printable
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.kinds import kind_named
from selo_dagster.reflections.states import Reason
from selo_dagster.reflections.versions import held_back, listed
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

HASH_SHOWN = 12
"""Digits of an input's hash that people compare."""


@click.command("versions")
@click.argument("user", required=False)
@click.option("--kind", "kind", metavar="KIND", help="Only this kind.")
@click.option("--on", "on", metavar="DATE", help="Only of this local date.")
@click.option("--limit", "limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest first.")
@json_option
def versions_command(*, user: str | None, kind: str | None, on: str | None, limit: int, as_json: bool) -> int:
    """List the versions of USER's reflections: which one holds, what each was made of, and why one does not hold.

    Without USER: whose new version was held back and waits for somebody to decide.
    """
    name = None if kind is None else kind_named(kind).name
    day = checked_date(on, "--on")
    if user is None:
        if name is not None or day is not None:
            raise SeloError("wrong_use", "--kind and --on are about one USER")
        with open_store(process_settings()) as store, store.read() as connection:
            _print_held(held_back(connection, limit), as_json=as_json)
        return 0
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = person(connection, user)[0]
        found = listed(connection, user_id, kind=name, on=day, limit=limit)
    if as_json:
        print_json({"user": user_id, "versions": found})
    elif not found:
        click.echo(f"there is no reflection like that: `selo why {user_id}` says why")
    else:
        numbers = {one["id"]: one["version"] for one in found}
        print_table(
            f"{len(found)} versions of {user_id}'s reflections",
            ("kind", "on", "version", "holds", "model", "made", "input", "to replace", "decided"),
            [
                (
                    one["kind"],
                    one["on"],
                    one["version"],
                    "yes" if one["head"] else "",
                    one["model"],
                    instant(one["created_at"]),
                    one["input_hash"][:HASH_SHOWN],
                    ", ".join(str(numbers.get(parent, parent)) for parent in one["parents"]),
                    "; ".join(decided(each) for each in one["moves"]),
                )
                for one in found
            ],
        )
    return 0


def _print_held(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"held": found})
    elif not found:
        click.echo("no new version is held back")
    else:
        print_table(
            f"{len(found)} new versions are held back: `selo show USER --diff`, then `selo rollback` if it is to hold",
            ("user", "kind", "on", "version", "loses", "made"),
            [
                (
                    one["user"],
                    one["kind"],
                    one["on"],
                    one["version"],
                    f"{one['lost']} of {one['live']} insights",
                    instant(one["at"]),
                )
                for one in found
            ],
        )


def decided(move: dict[str, Any]) -> str:
    """Return what was decided of a version, in words."""
    if move["reason"] == Reason.LOSS_GUARD:
        return f"held back: loses {move['lost']} of {move['live']} insights ({move['by']})"
    if move["because"] is not None:
        return f"{move['by']}: {move['because']}"
    return f"took its place, {move['live'] - move['lost']} of {move['live']} insights kept ({move['by']})"


def print_difference(found: dict[str, Any], *, as_json: bool) -> None:
    """Print how two versions differ."""
    if as_json:
        print_json(found)
        return
    one, other = found["from"], found["to"]
    click.echo(f"{found['kind']} {found['on']}: {_called(one)}, {_called(other)}")
    click.echo("made of the same input" if found["same_input"] else "made of different inputs")
    for line in found["content"] or ["the text is the same"]:
        click.echo(printable(line.replace("\n", " ")))
    for name in ("themes", "actions"):
        if found[name]["from"] != found[name]["to"]:
            click.echo(f"{name}: {_joined(found[name]['from'])} -> {_joined(found[name]['to'])}")
    insights = found["insights"]
    for pair in insights["kept"]:
        click.echo(f"kept insight: {_told(pair['from'])} -> {_told(pair['to'])}")
    for name in ("lost", "new"):
        for insight in insights[name]:
            click.echo(f"{name} insight: {_told(insight)}")
    for insight in insights["gone"]:
        click.echo(f"insight that rests on nothing any more: {_told(insight)}")
    if found["loses_too_much"]:
        click.echo("it loses more of the live insights than a new version may")


def _called(one: dict[str, Any]) -> str:
    return f"version {one['version']} ({one['model']}{', holds' if one['head'] else ''})"


def _told(insight: dict[str, Any]) -> str:
    return printable(f"{insight['text']}  [{', '.join(insight['evidence'])}]".replace("\n", " "))


def _joined(texts: list[str]) -> str:
    return printable("; ".join(texts).replace("\n", " "))
