"""`selo persona`: traits, how they came along, and what people say of evolutions."""

from __future__ import annotations

from typing import Any

import click

from selo_dagster.clock import SystemClock
from selo_dagster.output import instant, json_option, print_json, print_table
from selo_dagster.people.persona_reading import evolutions_shown, history_of, persona_shown
from selo_dagster.reflections.answers import person
from selo_dagster.sagas.commands import account, why_option
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.review import approve, lock, revert
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.group("persona")
def persona() -> None:
    """The companion's persona towards a person: traits, evolutions, review."""


@persona.command("show")
@click.argument("user", metavar="USER")
@json_option
def show_command(*, user: str, as_json: bool) -> None:
    """Show somebody's traits, where each is at home, and what has come to an end of its scale."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = person(connection, user)[0]
        found = persona_shown(connection, user_id)
    if as_json:
        print_json({"user": user_id, **found})
        return
    print_table(
        f"persona towards {user_id}: {found['health'].replace('_', ' ')}",
        ("trait", "category", "value", "home", "changes", "locked"),
        [
            (one["name"], one["category"], f"{one['value']:.3f}", one["home"], one["version"] - 1, _mark(one["locked"]))
            for one in found["traits"]
        ],
    )


@persona.command("history")
@click.argument("user", metavar="USER")
@click.option("--trait", "trait", metavar="NAME", help="Only this one.")
@json_option
def history_command(*, user: str, trait: str | None, as_json: bool) -> None:
    """Show how somebody's traits came along, a point for each evolution and each undo."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = person(connection, user)[0]
        points = history_of(connection, user_id, trait)
    if as_json:
        shown = [{"trait": one.trait, "at": one.at, "value": one.value, "evolution": one.because} for one in points]
        print_json({"user": user_id, "points": shown})
    elif not points:
        click.echo("nothing has changed yet")
    else:
        print_table(
            f"{len(points)} changes",
            ("at", "trait", "value", "", "evolution"),
            [
                (instant(one.at), one.trait, f"{one.value:.3f}", "#" * round(one.value * 20), one.because)
                for one in points
            ],
        )


@persona.command("evolutions")
@click.option("--user", "user", metavar="ID", help="Only of this person.")
@click.option("--unreviewed", is_flag=True, help="Only those that nobody has judged.")
@click.option("--limit", "limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest first.")
@json_option
def evolutions_command(*, user: str | None, unreviewed: bool, limit: int, as_json: bool) -> None:
    """List evolutions with what was wished for and what was applied."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = None if user is None else person(connection, user)[0]
        rows = evolutions_shown(connection, user_id=user_id, unreviewed=unreviewed, limit=limit)
    if as_json:
        print_json({"evolutions": rows})
    elif not rows:
        click.echo("there is no evolution like that")
    else:
        print_table(
            f"{len(rows)} evolutions",
            ("id", "user", "from", "changes", "state", "review", "created"),
            [
                (
                    one["id"],
                    one["user"],
                    one["source"],
                    ", ".join(f"{each['trait']} {each['applied']:+.3f}" for each in one["changes"]),
                    one["state"],
                    one["review"],
                    instant(one["created_at"]),
                )
                for one in rows
            ],
        )


@persona.command("approve")
@click.argument("evolution_id", metavar="ID")
@why_option
@json_option
def approve_command(*, evolution_id: str, actor: str | None, because: str, as_json: bool) -> None:
    """Say that an evolution is right."""
    with open_store(process_settings()) as store, store.write() as connection:
        state = approve(connection, evolution_id, actor=actor or account(), because=because, now=SystemClock().now())
    _told(evolution_id, "approved", state, as_json=as_json)


@persona.command("reject")
@click.argument("evolution_id", metavar="ID")
@why_option
@json_option
def reject_command(*, evolution_id: str, actor: str | None, because: str, as_json: bool) -> None:
    """Say that an evolution is wrong, and take it back with what was learned by it."""
    _revert(evolution_id, actor, because, as_json=as_json, reject=True)


@persona.command("revert")
@click.argument("evolution_id", metavar="ID")
@why_option
@json_option
def revert_command(*, evolution_id: str, actor: str | None, because: str, as_json: bool) -> None:
    """Take an evolution back; what others have changed since stays."""
    _revert(evolution_id, actor, because, as_json=as_json, reject=False)


def _revert(evolution_id: str, actor: str | None, because: str, *, as_json: bool, reject: bool) -> None:
    with open_store(process_settings()) as store, store.write() as connection:
        state = revert(
            connection,
            registry(),
            evolution_id,
            actor=actor or account(),
            because=because,
            now=SystemClock().now(),
            reject=reject,
        )
    _told(evolution_id, "rejected" if reject else "taken back", state, as_json=as_json)


@persona.command("lock")
@click.argument("user", metavar="USER")
@click.argument("trait", metavar="TRAIT")
@click.option("--off", is_flag=True, help="Let it change again.")
@json_option
def lock_command(*, user: str, trait: str, off: bool, as_json: bool) -> None:
    """Let no evolution change a trait any more; one from before can still be taken back."""
    with open_store(process_settings()) as store, store.write() as connection:
        user_id = person(connection, user)[0]
        lock(connection, user_id, trait, locked=not off)
    document: dict[str, Any] = {"user": user_id, "trait": trait, "locked": not off}
    if as_json:
        print_json(document)
    else:
        click.echo(f"{trait} of {user_id} {'may change again' if off else 'is locked'}")


def _told(evolution_id: str, what: str, state: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": evolution_id, "what": what, "state": state})
    else:
        later = ": the next run undoes it, or `selo saga run` here" if state == "compensating" else ""
        click.echo(f"evolution {evolution_id}: {what}, {state}{later}")


def _mark(value: object) -> str:
    return "yes" if value else ""
