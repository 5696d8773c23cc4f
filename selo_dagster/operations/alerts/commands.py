"""`selo alerts`."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import Connection, func, select

from selo_dagster.errors import SeloError
from selo_dagster.operations.alerts.tables import alert_notices, alerts
from selo_dagster.operations.alerts.telling import by_apprise, name_of
from selo_dagster.operations.problems import runbook_of
from selo_dagster.output import json_option, print_json, print_table
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

SHOWN = 100


@click.group("alerts", invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Those that are over, too; the newest hundred.")
@json_option
@click.pass_context
def alerts_command(context: click.Context, *, everything: bool, as_json: bool) -> int:
    """What somebody has to know of: open alerts, oldest first; exit status 1 if there are any."""
    if context.invoked_subcommand is not None:
        return 0
    with open_store(process_settings()) as store, store.read() as connection:
        found = listed(connection, everything=everything)
    standing = any(one["resolved_at"] is None for one in found)
    if as_json:
        print_json({"alerts": found})
        return int(standing)
    if not found:
        click.echo("no alert is open")
        return 0
    print_table(
        "alerts",
        ("id", "code", "about", "message", "times", "since", "over", "untold", "what to do"),
        [
            (
                one["id"],
                one["code"],
                one["subject"],
                one["message"],
                one["times"],
                one["opened_at"],
                one["resolved_at"],
                one["undelivered"] or None,
                one["runbook"],
            )
            for one in found
        ],
    )
    return int(standing)


def listed(connection: Connection, *, everything: bool) -> list[dict[str, Any]]:
    """Return alerts, oldest first, ready for JSON. undelivered: notices of it that not every address has."""
    chosen = [] if everything else [alerts.c.resolved_at.is_(None)]
    rows = connection.execute(select(alerts).where(*chosen).order_by(alerts.c.id.desc()).limit(SHOWN)).all()
    waiting = (
        select(alert_notices.c.alert_id, func.count().label("n"))
        .where(alert_notices.c.delivered_at.is_(None))
        .group_by(alert_notices.c.alert_id)
    )
    untold = {row.alert_id: row.n for row in connection.execute(waiting)}
    return [
        {
            "id": row.id,
            "code": row.code,
            "subject": row.subject,
            "message": row.message,
            "times": row.times,
            "opened_at": row.opened_at,
            "seen_at": row.seen_at,
            "resolved_at": row.resolved_at,
            "undelivered": untold.get(row.id, 0),
            "runbook": runbook_of(row.code),
        }
        for row in reversed(rows)
    ]


@alerts_command.command("test")
@json_option
def test_command(*, as_json: bool) -> int:
    """Send a word to each address of SELO_ALERT_URLS, and say which took it: by its place, it is never shown."""
    addresses = process_settings().alert_addresses
    if not addresses:
        raise SeloError("settings", "SELO_ALERT_URLS is not set: alerts are only listed, nobody is told")
    found = [
        {
            "place": place,
            "scheme": address.split("://", 1)[0],
            "name": name_of(address),
            "taken": by_apprise(address, "selo: a test", "This address gets the alerts of selo_dagster."),
        }
        for place, address in enumerate(addresses, start=1)
    ]
    if as_json:
        print_json({"addresses": found})
    else:
        print_table("addresses", ("place", "scheme", "name", "taken"), [tuple(one.values()) for one in found])
    return int(not all(one["taken"] for one in found))
