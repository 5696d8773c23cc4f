"""Turns firings into rows of the reflection ledger: several causes of one person become one request."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, tuple_, update

from selo_dagster.people.history import IN_LIST
from selo_dagster.people.local_days import Zones
from selo_dagster.reflections.cadences.by_cause import Wanted, ask_all
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.pauses import held_at, paused_users
from selo_dagster.reflections.states import DUE
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.types import ID_LENGTH
from selo_dagster.triggers.evaluate import Firing
from selo_dagster.triggers.kept import Kept, weightiest
from selo_dagster.triggers.rule import Rule
from selo_dagster.triggers.states import Key, State
from selo_dagster.triggers.traced import tell_triggered

ledger = reflection_ledger
TRIGGERED: Final = KINDS["triggered"]

ACCEPTED: Final = "accepted"
MERGED: Final = "merged"
COOLDOWN: Final = "cooldown"
PAUSED: Final = "paused"
SKIPPED_NOW: Final = "skipped"
REPEATED: Final = "repeated"


@dataclass
class Asked:
    """What became of firings. outcomes: number of firings by rule and outcome; people: who was asked about anew."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)


def ask_for(
    connection: Connection,
    rules: Mapping[str, Rule],
    fired: Mapping[Key, Sequence[Firing]],
    states: dict[Key, State],
    zones: Mapping[str, Zones],
    now: datetime,
) -> Asked:
    """Make one request per person and rule of what fired, or let it join one that nobody has begun.

    A cooldown starts with a request that was accepted: not with one for somebody who never wrote, nor in a pause.
    The caller holds the stream's lock, so nobody else asks for the same.
    """
    asked = Asked()
    paused = _paused(connection, fired, now)
    open_rows = _open_rows(connection, fired, states)
    anew: list[tuple[Key, Firing]] = []
    merged: list[tuple[Key, Any, Firing]] = []
    for key, firings in fired.items():
        user_id, name = key
        rule, state = rules[name], states[key]
        together = Firing(tuple({one.seq: one for firing in firings for one in firing.causes}.values()))
        number = len(firings)
        if user_id in paused or user_id not in zones:
            asked.outcomes[name, PAUSED if user_id in paused else SKIPPED_NOW] += number
        elif (row := open_rows.get(key)) is not None:
            merged.append((key, row, together))
            asked.outcomes[name, MERGED] += number
        elif state.cooldown_until is not None and state.cooldown_until > now and rule.in_cooldown == "remember":
            state.waiting = weightiest([*state.waiting, *together.causes])
            state.waiting_count += len(together.causes)
            asked.outcomes[name, COOLDOWN] += number
        else:
            anew.append((key, together))
    _merge(connection, rules, merged, states, now)
    _ask_anew(connection, rules, anew, {key: len(firings) for key, firings in fired.items()}, states, zones, now, asked)
    return asked


def _paused(connection: Connection, fired: Iterable[Key], now: datetime) -> set[str]:
    held = held_at(connection, TRIGGERED.name, now)
    if held.everybody:
        return {user_id for user_id, _ in fired}
    if not held.somebody:
        return set()
    return set(connection.execute(paused_users(TRIGGERED.name, now)).scalars())


def _open_rows(connection: Connection, fired: Iterable[Key], states: Mapping[Key, State]) -> dict[Key, Any]:
    """Return the last requests that nobody has in hand and that may still grow, locked until the end."""
    wanted = {(user_id, states[user_id, rule].asked_key): (user_id, rule) for user_id, rule in fired}
    asked = sorted((user_id, key) for user_id, key in wanted if key is not None)
    found: dict[Key, Any] = {}
    for start in range(0, len(asked), IN_LIST):
        rows = connection.execute(
            select(ledger.c.id, ledger.c.user_id, ledger.c.key, ledger.c.state, ledger.c.ready_at, ledger.c.cause)
            .where(
                ledger.c.kind == TRIGGERED.name,
                tuple_(ledger.c.user_id, ledger.c.key).in_(asked[start : start + IN_LIST]),
                ledger.c.ready_at.is_not(None),
            )
            .order_by(ledger.c.id)
            .with_for_update()
        )
        found.update({wanted[row.user_id, row.key]: row for row in rows})
    return found


_GROW: Final = (
    update(ledger).where(ledger.c.id == bindparam("row")).values(cause=bindparam("grown"), ready_at=bindparam("ready"))
)


def _merge(
    connection: Connection,
    rules: Mapping[str, Rule],
    merged: Sequence[tuple[Key, Any, Firing]],
    states: Mapping[Key, State],
    now: datetime,
) -> None:
    changes = []
    for key, row, firing in merged:
        rule = rules[key[1]]
        ready = row.ready_at
        if row.state == DUE and len(firing.causes) >= rule.burst:
            # It keeps coming: wait until it is quiet, so that one reflection sees the top of all of it.
            began = states[key].asked_at or now
            latest = began + timedelta(seconds=max(rule.longest_s, rule.delay_s))
            ready = max(ready, min(now + timedelta(seconds=rule.quiet_s), latest))
        before = row.cause or {}
        causes = [*(Kept(*one) for one in before.get("causes", ())), *firing.causes]
        count = int(before.get("count", 0)) + len(firing.causes)
        changes.append({"row": row.id, "grown": cause_of(rule, causes, count), "ready": ready})
    if changes:
        connection.execute(_GROW, changes)
        told = [(key[0], row.key, change["grown"]) for (key, row, _), change in zip(merged, changes, strict=True)]
        tell_triggered(connection, TRIGGERED.name, told, MERGED)


def _ask_anew(
    connection: Connection,
    rules: Mapping[str, Rule],
    anew: Sequence[tuple[Key, Firing]],
    numbers: Mapping[Key, int],
    states: Mapping[Key, State],
    zones: Mapping[str, Zones],
    now: datetime,
    asked: Asked,
) -> None:
    taken = _taken(connection, [(key[0], request_key(key[1], firing.first)) for key, firing in anew])
    wanted: list[Wanted] = []
    whose: list[Key] = []
    for key, firing in anew:
        rule, state = rules[key[1]], states[key]
        name = request_key(rule.name, firing.first)
        if (key[0], name) in taken:
            asked.outcomes[rule.name, REPEATED] += numbers[key]
            continue
        causes = [*state.waiting, *firing.causes]
        whose.append(key)
        wanted.append(
            Wanted(
                user_id=key[0],
                zones=zones[key[0]],
                key=name,
                at=min(firing.at, now),
                cause=cause_of(rule, causes, state.waiting_count + len(firing.causes)),
                ready_at=_begins(rule, state, now) + timedelta(seconds=_wait_s(rule, firing)),
            )
        )
    accepted: list[Wanted] = []
    for key, one, reason in zip(whose, wanted, ask_all(connection, TRIGGERED, wanted, now), strict=True):
        rule, state = rules[key[1]], states[key]
        state.asked_key = one.key
        if reason is not None:
            asked.outcomes[rule.name, SKIPPED_NOW] += numbers[key]
            continue
        begins = _begins(rule, state, now)
        state.cooldown_until = begins + timedelta(seconds=rule.cooldown_s) if rule.cooldown_s else None
        state.asked_at = now
        state.requests += 1
        state.waiting, state.waiting_count = [], 0
        asked.outcomes[rule.name, ACCEPTED] += 1
        asked.outcomes[rule.name, MERGED] += numbers[key] - 1
        asked.people.add(key[0])
        accepted.append(one)
    tell_triggered(connection, TRIGGERED.name, [(one.user_id, one.key, one.cause) for one in accepted], ACCEPTED)


def _begins(rule: Rule, state: State, now: datetime) -> datetime:
    """Return when a request may begin: at the end of a cooldown that collects."""
    until = state.cooldown_until
    return until if until is not None and until > now and rule.in_cooldown == "collect" else now


def _wait_s(rule: Rule, firing: Firing) -> float:
    return max(rule.delay_s, rule.quiet_s if rule.pattern is None and len(firing.causes) >= rule.burst else 0.0)


def _taken(connection: Connection, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    ordered = sorted(keys)
    for start in range(0, len(ordered), IN_LIST):
        rows = connection.execute(
            select(ledger.c.user_id, ledger.c.key).where(
                ledger.c.kind == TRIGGERED.name,
                tuple_(ledger.c.user_id, ledger.c.key).in_(ordered[start : start + IN_LIST]),
            )
        )
        found.update((row.user_id, row.key) for row in rows)
    return found


def request_key(rule: str, first: Kept) -> str:
    """Return the key of a request in the ledger: the rule and the event that made it fire."""
    whole = f"{rule}/{first.origin}:{first.ref}"
    if len(whole) <= ID_LENGTH:
        return whole
    return f"{rule}/{first.origin}:{hashlib.sha256(first.ref.encode()).hexdigest()}"


def cause_of(rule: Rule, causes: Iterable[Kept], count: int) -> dict[str, Any]:
    """Return what the ledger's row says of its cause: ids and numbers; nothing of what anybody wrote."""
    top = weightiest(causes)
    return {"rule": rule.flavour, "trigger": rule.name, "count": count, "causes": [list(one) for one in top]}
