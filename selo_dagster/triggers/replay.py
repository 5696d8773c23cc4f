"""What rules would have made of the past, and what becomes of parked events once their cause is mended."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, select, tuple_

from selo_dagster.memory.stream import COLUMNS, StreamEvent, lock_stream
from selo_dagster.memory.tables import events
from selo_dagster.people.history import chunked
from selo_dagster.triggers.catalogue import Catalogue
from selo_dagster.triggers.evaluate import Firing, Memory, evaluate, idle_firing
from selo_dagster.triggers.happening import Happening
from selo_dagster.triggers.parked import REPLAYED, park, parked_events, settle_parked
from selo_dagster.triggers.reader import judge, typed
from selo_dagster.triggers.rule import Rule

PAGE: Final = 2_000


@dataclass(frozen=True)
class WouldFire:
    """A rule would have fired. at: of the newest cause, or when silence was long enough; causes: event numbers."""

    user_id: str
    rule: str
    at: datetime
    causes: tuple[int, ...]
    in_cooldown: bool


@dataclass
class Replayed:
    """What a replay saw. events: those that some rule has to see; unreadable: those that would have been parked."""

    events: int = 0
    unreadable: int = 0
    fired: list[WouldFire] = field(default_factory=list)


def replay(
    connection: Connection,
    catalogue: Catalogue,
    *,
    since: datetime,
    until: datetime,
    user_id: str | None = None,
    rules: Collection[str] = (),
) -> Replayed:
    """Let the rules see what happened from `since` to `until`, as if each event had arrived when it happened.

    Nothing is written and nobody is asked about. One person's events are in memory at a time.
    """
    chosen = {name: rule for name, rule in catalogue.rules.items() if not rules or name in rules}
    found = Replayed()
    stream = _events(connection, since, until, user_id)
    for _, theirs in groupby(stream, key=lambda event: event.user_id):
        happened, faults = typed(theirs, catalogue)
        found.events += len(happened)
        found.unreadable += len(faults)
        fresh = [one._replace(age_s=0.0) for one in happened]
        for rule in chosen.values():
            found.fired += _of_person(rule, fresh, until)
    found.fired.sort(key=lambda one: (one.at, one.user_id, one.rule))
    return found


def _of_person(rule: Rule, happened: Sequence[Happening], until: datetime) -> Iterator[WouldFire]:
    memory = Memory()
    cooldown: datetime | None = None
    fired: list[tuple[datetime, str, Firing]] = []
    watched = sorted((one for one in happened if one.type in rule.watched), key=lambda one: (one.at, one.seq))
    for one in watched:
        due_at = memory.due_at
        silent = idle_firing(rule, memory, one.at)
        if silent is not None and due_at is not None:
            fired.append((due_at, one.user_id, silent))
        memory.upto = 0
        fired += [(firing.at, one.user_id, firing) for firing in evaluate(rule, memory, [one]).firings]
    due_at = memory.due_at
    silent = idle_firing(rule, memory, until)
    if silent is not None and due_at is not None:
        fired.append((due_at, watched[0].user_id, silent))
    for at, user_id, firing in fired:
        cooling = cooldown is not None and cooldown > at
        if not cooling:
            cooldown = at + timedelta(seconds=rule.cooldown_s)
        yield WouldFire(user_id, rule.name, at, tuple(sorted(seen.seq for seen in firing.causes)), cooling)


def _events(connection: Connection, since: datetime, until: datetime, user_id: str | None) -> Iterator[StreamEvent]:
    """Yield numbered events by person, page by page."""
    chosen = [events.c.at >= since, events.c.at <= until, events.c.seq.is_not(None)]
    if user_id is not None:
        chosen.append(events.c.user_id == user_id)
    last: tuple[str, int] | None = None
    while True:
        after = [] if last is None else [tuple_(events.c.user_id, events.c.seq) > last]
        rows = connection.execute(
            select(*COLUMNS).where(*chosen, *after).order_by(events.c.user_id, events.c.seq).limit(PAGE)
        ).all()
        yield from (StreamEvent(*row) for row in rows)
        if len(rows) < PAGE:
            return
        last = (rows[-1].user_id, rows[-1].seq)


def replay_parked(
    connection: Connection, catalogue: Catalogue, now: datetime, seqs: Collection[int] | None = None
) -> Mapping[str, int]:
    """Let the rules that could not judge parked events see them again; returns {replayed, still_parked}.

    seqs: only these. An event that still cannot be judged stays parked, with what is wrong with it now.
    """
    lock_stream(connection)
    rows = parked_events(connection, seqs=seqs)
    read = {event.seq: event for event in _by_number(connection, [row.seq for row in rows])}
    replayed: list[int] = []
    still = 0
    for row in rows:
        rules = {name: catalogue.rules[name] for name in row.rules if name in catalogue.rules}
        if not rules and row.type not in catalogue.watched:
            # Put aside by another reader, which looks at it again by itself.
            still += 1
            continue
        happened, faults = typed([read[row.seq]], catalogue) if row.seq in read else ([], [])
        result = judge(connection, rules, happened, now, again=True)
        if faults or result.faults:
            park(connection, [*faults, *result.faults], now)
            still += 1
        else:
            replayed.append(row.seq)
    settle_parked(connection, replayed, REPLAYED, now)
    return {"replayed": len(replayed), "still_parked": still}


def _by_number(connection: Connection, seqs: Sequence[int]) -> Iterator[StreamEvent]:
    for part in chunked(map(str, seqs)):
        rows: Any = connection.execute(select(*COLUMNS).where(events.c.seq.in_([int(seq) for seq in part])))
        yield from (StreamEvent(*row) for row in rows)
