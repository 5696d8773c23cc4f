"""Dead letters: obligations that no try is left for. Listed with what they died of, and replayable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import click
from sqlalchemy import Connection, and_, or_, select

from selo_dagster.clock import clock_at
from selo_dagster.output import json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS, kind_named
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.states import DEAD, REJECTED
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.opening import open_store

LINES_FOR_PEOPLE = 200
REPLAY = "replay"


@dataclass(frozen=True)
class DeadLetter:
    """One obligation without a try left. reason: class of the last error, or the first violation code."""

    user: str
    kind: str
    on: date
    outcome: str
    reason: str | None
    codes: tuple[str, ...]
    attempts: int
    lost: int
    at: datetime | None


def dead_letters(connection: Connection, *, kind: str | None = None, user: str | None = None) -> list[DeadLetter]:
    """Return dead obligations and rejected ones that wait for a person, newest date first."""
    chosen = [
        *([] if kind is None else [ledger.c.kind == kind]),
        *([] if user is None else [ledger.c.user_id == user]),
    ]
    rows = connection.execute(
        select(ledger)
        .where(or_(ledger.c.state == DEAD, and_(ledger.c.state == REJECTED, ledger.c.ready_at.is_(None))), *chosen)
        .order_by(ledger.c.on.desc(), ledger.c.user_id)
    )
    return [
        DeadLetter(
            row.user_id,
            row.kind,
            row.on,
            row.state,
            row.reason,
            tuple(row.codes or ()),
            row.attempts,
            row.lost,
            row.settled_at,
        )
        for row in rows
    ]


def replay(store: Store, letters: Sequence[DeadLetter], now: datetime, catchup_days: int) -> int:
    """Make dead obligations due again, with all their tries; returns how many."""
    by_date: dict[tuple[str, date], list[str]] = {}
    for letter in letters:
        by_date.setdefault((letter.kind, letter.on), []).append(letter.user)
    for (kind, on), users in by_date.items():
        place(store, KINDS[kind], Wish(REPLAY, tuple(users), on), now, catchup_days)
    return len(letters)


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
            for one in letters[:LINES_FOR_PEOPLE]
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
