"""`selo due`, `selo why`, `selo show`, `selo dead`: reading what reflections know."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import select

from selo_dagster.clock import clock_at
from selo_dagster.errors import SeloError
from selo_dagster.output import checked_date, instant, json_option, now_option, print_json, print_table
from selo_dagster.people.local_days import last_ended
from selo_dagster.reflections.answers import person, why
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.dead import DeadLetter, dead_letters, replay
from selo_dagster.reflections.kinds import KINDS, kind_named
from selo_dagster.reflections.look import look
from selo_dagster.reflections.printing import print_mind, print_reflection
from selo_dagster.reflections.show import shown
from selo_dagster.reflections.version_commands import print_difference
from selo_dagster.reflections.versions import difference
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

ROWS_FOR_PEOPLE = 200


@click.command("due")
@now_option
@json_option
def due_command(*, now: str | None, as_json: bool) -> None:
    """List who is due now, by their own clock."""
    settings, clock = process_settings(), clock_at(now)
    with open_store(settings) as store:
        for kind in KINDS.values():
            look(store, kind, clock.now(), settings.catchup_days)
        with store.read() as connection:
            rows = connection.execute(
                select(ledger.c.user_id, ledger.c.kind, ledger.c.on, ledger.c.since, ledger.c.state)
                .where(ledger.c.ready_at <= clock.now())
                .order_by(ledger.c.on.desc(), ledger.c.user_id, ledger.c.kind)
            ).all()
    if as_json:
        print_json({"due": [{"user": r.user_id, "kind": r.kind, "on": r.on, "since": r.since} for r in rows]})
        return
    if not rows:
        click.echo("nobody is due")
        return
    print_table(
        f"{len(rows)} due",
        ("user", "kind", "on", "since", "state"),
        [(r.user_id, r.kind, r.on, instant(r.since), r.state) for r in rows[:ROWS_FOR_PEOPLE]],
    )
    if len(rows) > ROWS_FOR_PEOPLE:
        click.echo(f"… and {len(rows) - ROWS_FOR_PEOPLE} more: --json lists them all")


@click.command("why")
@click.argument("user")
@click.option("--on", "on", metavar="DATE", help="A local date; without it, the last one that ended.")
@now_option
@json_option
def why_command(*, user: str, on: str | None, now: str | None, as_json: bool) -> None:
    """Say why USER was or was not reflected on a date."""
    settings, clock = process_settings(), clock_at(now)
    asked = checked_date(on, "--on")
    with open_store(settings) as store:
        for kind in KINDS.values():
            look(store, kind, clock.now(), settings.catchup_days)
        with store.read() as connection:
            user_id, _, zones = person(connection, user)
            if not zones:
                raise SeloError("bad_zone", f"{user_id} has a time zone that does not exist: state the user anew")
            day = asked or last_ended(zones, clock.now())
            kinds = {kind.name: why(connection, kind, user_id, zones, day, clock.now()) for kind in KINDS.values()}
    if as_json:
        found = {
            name: {"outcome": one.outcome, "reason": one.reason, "detail": one.detail} for name, one in kinds.items()
        }
        print_json({"user": user_id, "on": day, "kinds": found})
        return
    click.echo(f"{user_id} on {day}")
    for name, one in kinds.items():
        click.echo(f"  {name}: {one.outcome}{f' ({one.reason})' if one.reason else ''}. {one.detail}")


@click.command("show")
@click.argument("user")
@click.option("--kind", "kind", metavar="KIND", help="Only this kind.")
@click.option("--on", "on", metavar="DATE", help="Only of this local date.")
@click.option(
    "--version", "versions", type=click.IntRange(1), multiple=True, metavar="N", help="This version, whether it holds."
)
@click.option("--diff", "diff", is_flag=True, help="Compare two versions: the newest, or --version, with what holds.")
@click.option("--limit", "limit", type=click.IntRange(1, 1_000), default=5, show_default=True, help="Newest first.")
@json_option
def show_command(
    *, user: str, kind: str | None, on: str | None, versions: tuple[int, ...], diff: bool, limit: int, as_json: bool
) -> None:
    """Show USER's reflections with their evidence, and what followed: persona, goals, episodes and more."""
    name = None if kind is None else kind_named(kind).name
    day = checked_date(on, "--on")
    with open_store(process_settings()) as store, store.read() as connection:
        user_id, key, _ = person(connection, user)
        if diff:
            print_difference(difference(connection, user_id, kind=name, on=day, versions=versions), as_json=as_json)
            return
        document = shown(connection, user_id, key, kind=name, limit=limit, on=day, versions=versions)
    if as_json:
        print_json(document)
        return
    if not document["reflections"]:
        click.echo(f"there is no reflection on {user_id} yet: `selo why {user_id}` says why")
    for one in document["reflections"]:
        print_reflection(one)
    print_mind(document)


@click.command("dead", short_help="List dead letters; --replay makes them due again.")
@click.option("--kind", "kind", metavar="KIND", help="Only this kind.")
@click.option("--user", "user", metavar="ID", help="Only this person.")
@click.option("--replay", "again", is_flag=True, help="Make what is listed due again, with all its tries.")
@now_option
@json_option
def dead_command(*, kind: str | None, user: str | None, again: bool, now: str | None, as_json: bool) -> int:
    """List obligations that no try is left for, with what they died of; --replay makes them due again."""
    settings, clock = process_settings(), clock_at(now)
    name = None if kind is None else kind_named(kind).name
    with open_store(settings) as store:
        with store.read() as connection:
            user_id = None if user is None else person(connection, user)[0]
            letters = dead_letters(connection, kind=name, user=user_id)
        replayed = replay(store, letters, clock.now(), settings.catchup_days) if again else 0
    if as_json:
        print_json({"dead": [_document(letter) for letter in letters], "replayed": replayed})
        return 0
    if not letters:
        click.echo("no dead letters")
        return 0
    print_table(
        f"{len(letters)} dead letters",
        ("user", "kind", "on", "outcome", "reason", "attempts", "lost"),
        [
            (one.user, one.kind, one.on, one.outcome, one.reason, one.attempts, one.lost)
            for one in letters[:ROWS_FOR_PEOPLE]
        ],
    )
    if replayed:
        click.echo(f"{replayed} are due again: the next tick or `selo night` takes them")
    return 0


def _document(letter: DeadLetter) -> dict[str, Any]:
    return {
        "user": letter.user,
        "kind": letter.kind,
        "on": letter.on,
        "outcome": letter.outcome,
        "reason": letter.reason,
        "codes": list(letter.codes),
        "attempts": letter.attempts,
        "lost": letter.lost,
        "at": letter.at,
    }
