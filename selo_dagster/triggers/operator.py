"""What an operator sees of triggers: rules with their counts, requests, cooldowns."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.reflections.caused import caused_by
from selo_dagster.reflections.tables import reflection_ledger as ledger
from selo_dagster.triggers.asking import TRIGGERED
from selo_dagster.triggers.catalogue import Catalogue
from selo_dagster.triggers.states import cooling, counted, states


def rules_shown(connection: Connection, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return each rule with what became of the events that it had to see."""
    counts = counted(connection)
    return [
        {
            "rule": rule.name,
            "says": rule.says,
            "events": sorted(rule.watched),
            "flavour": rule.flavour or None,
            "cooldown_s": rule.cooldown_s,
            "in_cooldown": rule.in_cooldown,
            "delay_s": rule.delay_s,
            "max_age_s": rule.max_age_s,
            "counts": counts.get(rule.name, {}),
        }
        for rule in catalogue.rules.values()
    ]


def requests_shown(connection: Connection, *, user_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Return what triggers asked for, newest first, with the state of each request."""
    whose = [] if user_id is None else [ledger.c.user_id == user_id]
    rows = connection.execute(
        select(ledger).where(ledger.c.kind == TRIGGERED.name, *whose).order_by(ledger.c.id.desc()).limit(limit)
    )
    found = []
    for row in rows:
        caused = caused_by(row.cause)
        found.append(
            {
                "user": row.user_id,
                "on": row.on,
                "trigger": None if caused is None else caused.trigger,
                "causes": 0 if caused is None else caused.count,
                "cause_events": [] if caused is None else list(caused.events),
                "since": row.since,
                "state": row.state,
                "reason": row.reason,
                "ready_at": row.ready_at,
                "settled_at": row.settled_at,
                "reflection": row.reflection_id,
            }
        )
    return found


def cooldowns_shown(connection: Connection, now: datetime, user_id: str | None = None) -> list[dict[str, Any]]:
    """Return who is not asked about again for a while, the longest first."""
    return [
        {
            "user": row.user_id,
            "rule": row.rule,
            "until": row.cooldown_until,
            "asked_at": row.asked_at,
            "waiting": row.waiting_count,
        }
        for row in cooling(connection, now, None if user_id is None else [user_id])
    ]


def requests_so_far(connection: Connection) -> int:
    """Return how many reflections triggers have asked for."""
    return sum(connection.execute(select(states.c.requests)).scalars())
