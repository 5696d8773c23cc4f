"""`selo triggers`: rules, requests, cooldowns, parked events, and what rules would have made of the past."""

from __future__ import annotations

from typing import Any

import click

from selo_dagster.clock import clock_at, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.output import instant, json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store
from selo_dagster.triggers.catalogue import Catalogue, catalogue
from selo_dagster.triggers.operator import cooldowns_shown, requests_shown, rules_shown
from selo_dagster.triggers.parked import DROPPED, PARKED, parked_events, settle_parked
from selo_dagster.triggers.reader import look_for_triggers
from selo_dagster.triggers.replay import replay, replay_parked
from selo_dagster.triggers.states import reset_cooldowns

ROWS_FOR_PEOPLE = 200


@click.group("triggers")
def triggers() -> None:
    """Rules that turn a strong moment into a reflection."""


@triggers.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """List the rules, and what became of the events that each had to see."""
    with open_store(process_settings()) as store, store.read() as connection:
        rules = rules_shown(connection, catalogue())
    if as_json:
        print_json({"rules": rules})
        return
    print_table(
        f"{len(rules)} rules",
        ("rule", "fires on", "cooldown", "outcomes"),
        [(one["rule"], one["says"], _span(one["cooldown_s"]), _numbers(one["counts"])) for one in rules],
    )


@triggers.command("look")
@now_option
@json_option
def look_command(*, now: str | None, as_json: bool) -> None:
    """Let the rules see what happened since the last look, as the sensor does every five seconds."""
    settings = process_settings()
    with open_store(settings) as store:
        looked = look_for_triggers(store, catalogue(), clock_at(now).now(), catchup_days=settings.catchup_days)
    document = {
        "events": looked.events,
        "seq": looked.seq,
        "parked": looked.parked,
        "outcomes": looked.by_outcome(),
        "people": len(looked.people),
    }
    if as_json:
        print_json(document)
    else:
        click.echo(
            f"{looked.events} events up to {looked.seq}: {_numbers(looked.by_outcome()) or 'no rule had to see any'}"
        )


@triggers.command("requests")
@click.option("--user", "user", metavar="ID", help="Only this person.")
@click.option("--limit", "limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest first.")
@json_option
def requests_command(*, user: str | None, limit: int, as_json: bool) -> None:
    """List what triggers asked for, with their causes and what became of each."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = None if user is None else person(connection, user)[0]
        rows = requests_shown(connection, user_id=user_id, limit=limit)
    if as_json:
        print_json({"requests": rows})
    elif not rows:
        click.echo("no trigger has asked for anything")
    else:
        print_table(
            f"{len(rows)} requests",
            ("user", "trigger", "causes", "since", "state", "reason"),
            [
                (one["user"], one["trigger"], one["causes"], instant(one["since"]), one["state"], one["reason"])
                for one in rows
            ],
        )


@triggers.command("cooldowns")
@click.option("--user", "user", metavar="ID", help="Only this person.")
@now_option
@json_option
def cooldowns_command(*, user: str | None, now: str | None, as_json: bool) -> None:
    """List whom a rule does not ask about again for a while."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = None if user is None else person(connection, user)[0]
        rows = cooldowns_shown(connection, clock_at(now).now(), user_id)
    if as_json:
        print_json({"cooldowns": rows})
    elif not rows:
        click.echo("nobody is in a cooldown")
    else:
        print_table(
            f"{len(rows)} cooldowns",
            ("user", "rule", "until", "causes waiting"),
            [(one["user"], one["rule"], instant(one["until"]), one["waiting"]) for one in rows[:ROWS_FOR_PEOPLE]],
        )


@triggers.command("reset")
@click.argument("user")
@click.option("--rule", "rule", metavar="RULE", help="Only the cooldown of this rule.")
@now_option
@json_option
def reset_command(*, user: str, rule: str | None, now: str | None, as_json: bool) -> None:
    """End USER's cooldowns, so that the next cause asks at once."""
    _known(catalogue(), () if rule is None else (rule,))
    with open_store(process_settings()) as store, store.write() as connection:
        user_id = person(connection, user)[0]
        ended = reset_cooldowns(connection, user_id, clock_at(now).now(), rule)
    if as_json:
        print_json({"user": user_id, "ended": ended})
    else:
        click.echo(f"{ended} cooldowns of {user_id} are over")


@triggers.command("parked")
@click.argument("events", nargs=-1, type=click.IntRange(1))
@click.option("--replay", "again", is_flag=True, help="Let the rules that could not judge them see them again.")
@click.option("--drop", "drop", is_flag=True, help="Give them up: no rule will see them.")
@now_option
@json_option
def parked_command(*, events: tuple[int, ...], again: bool, drop: bool, now: str | None, as_json: bool) -> int:
    """List events that a rule could not judge; EVENTS: only these numbers.

    The exit status is 1 if any is still parked.
    """
    if again and drop:
        raise SeloError("wrong_use", "--replay and --drop exclude each other")
    chosen = set(events) or None
    document: dict[str, Any] = {"replayed": 0, "dropped": 0}
    moment = clock_at(now).now()
    with open_store(process_settings()) as store:
        with store.write() as connection:
            there = {row.seq for row in parked_events(connection, seqs=chosen)}
            missing = sorted((chosen or set()) - there)
            if missing:
                raise SeloError("unknown_event", f"event {missing[0]} is not parked")
            if again:
                document |= {"replayed": replay_parked(connection, catalogue(), moment, chosen)["replayed"]}
            if drop:
                document["dropped"] = settle_parked(connection, sorted(there), DROPPED, moment)
        with store.read() as connection:
            rows = parked_events(connection, seqs=chosen)
    document["parked"] = [
        {"event": row.seq, "user": row.user_id, "type": row.type, "id": row.ref, "code": row.code, "rules": row.rules}
        for row in rows
    ]
    if as_json:
        print_json(document)
        return int(bool(rows))
    for what in ("replayed", "dropped"):
        if document[what]:
            click.echo(f"{document[what]} {what}")
    if not rows:
        click.echo(f"no event is {PARKED}")
        return 0
    print_table(
        f"{len(rows)} parked events",
        ("event", "user", "type", "why", "rules"),
        [(row.seq, row.user_id, row.type, row.code, ", ".join(row.rules)) for row in rows[:ROWS_FOR_PEOPLE]],
    )
    return 1


@triggers.command("replay")
@click.option("--since", "since", required=True, metavar="ISO", help="From this ISO-8601 instant.")
@click.option("--until", "until", metavar="ISO", help="To this instant; without it, now.")
@click.option("--user", "user", metavar="ID", help="Only this person.")
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="Only this rule; may be repeated.")
@now_option
@json_option
def replay_command(
    *, since: str, until: str | None, user: str | None, rules: tuple[str, ...], now: str | None, as_json: bool
) -> None:
    """Show what would have fired, as if each event had arrived when it happened. Nothing is changed."""
    known = catalogue()
    _known(known, rules)
    start, end = parse_instant(since), parse_instant(until) if until else clock_at(now).now()
    if start > end:
        raise SeloError("wrong_use", "--since lies after --until")
    with open_store(process_settings()) as store, store.read() as connection:
        user_id = None if user is None else person(connection, user)[0]
        found = replay(connection, known, since=start, until=end, user_id=user_id, rules=rules)
    if as_json:
        fired = [
            {
                "user": one.user_id,
                "rule": one.rule,
                "at": one.at,
                "cause_events": list(one.causes),
                "in_cooldown": one.in_cooldown,
            }
            for one in found.fired
        ]
        print_json({"events": found.events, "unreadable": found.unreadable, "fired": fired})
        return
    if not found.fired:
        click.echo(f"no rule would have fired on {found.events} events")
        return
    print_table(
        f"{len(found.fired)} firings on {found.events} events",
        ("user", "rule", "at", "causes", "cooldown"),
        [
            (one.user_id, one.rule, instant(one.at), len(one.causes), "in cooldown" if one.in_cooldown else "")
            for one in found.fired[:ROWS_FOR_PEOPLE]
        ],
    )


def _known(known: Catalogue, rules: tuple[str, ...]) -> None:
    for name in rules:
        if name not in known.rules:
            raise SeloError("unknown_rule", f"there is no rule {name[:40]!r}: use one of {', '.join(known.rules)}")


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
