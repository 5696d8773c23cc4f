"""Reads the event stream for the rules: everything that one look makes of it is one transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.memory.stream import (
    StreamEvent,
    lock_stream,
    position,
    read_after,
    set_position,
)
from selo_dagster.people.history import zones_of
from selo_dagster.reflections.days import READER as DAYS_READER
from selo_dagster.reflections.days import fold_stream
from selo_dagster.store.engine import Store
from selo_dagster.triggers.asking import ask_for
from selo_dagster.triggers.catalogue import Catalogue
from selo_dagster.triggers.evaluate import FIRED, PARKED, Evaluated, Firing, evaluate, idle_firing
from selo_dagster.triggers.happening import Happening, happening_of
from selo_dagster.triggers.parked import Fault, park
from selo_dagster.triggers.patterns import Idle
from selo_dagster.triggers.rule import Rule
from selo_dagster.triggers.states import Key, State, add_counts, read_states, write_states
from selo_dagster.triggers.states import states as table

READER: Final = "triggers"
BATCH: Final = 20_000
"""Events in one transaction: the more of one person, the fewer writes; bounds memory, and SQLite's one writer."""

IDLE_AT_ONCE: Final = 1_000


@dataclass
class Looked:
    """What one look found. events: read; seq: up to there; drained: nothing is left; outcomes: (rule, outcome)."""

    events: int = 0
    seq: int = 0
    drained: bool = False
    parked: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)

    def by_outcome(self) -> dict[str, int]:
        """Return the numbers over all rules, without those that are zero."""
        found: Counter[str] = Counter()
        for (_, outcome), number in self.outcomes.items():
            found[outcome] += number
        return {outcome: number for outcome, number in sorted(found.items()) if number}


def look_for_triggers(
    store: Store,
    catalogue: Catalogue,
    now: datetime,
    *,
    catchup_days: int,
    budget_s: float = float("inf"),
    batch: int = BATCH,
    monotonic: Callable[[], float] = time.monotonic,
) -> Looked:
    """Let the rules see every committed event, and whoever has fallen silent; safe in several processes at once.

    How far it has come is in the database, in the transaction of what was made of the events. budget_s: begin no
    further batch after so many seconds; the next look goes on.
    """
    ends = monotonic() + budget_s
    fold_stream(store)
    looked = Looked()
    while not looked.drained:
        with store.write() as connection:
            looked.drained = _look_at_batch(connection, catalogue, now, catchup_days, batch, looked)
        if monotonic() >= ends:
            break
    while looked.drained and monotonic() < ends:
        with store.write() as connection:
            if not _look_for_silence(connection, catalogue, now, looked):
                break
    return looked


def _look_at_batch(
    connection: Connection, catalogue: Catalogue, now: datetime, catchup_days: int, batch: int, looked: Looked
) -> bool:
    lock_stream(connection)
    done = position(connection, READER)
    # Only what was made into days already: somebody whose first word came meanwhile has not "never written".
    found = read_after(connection, done, batch, upto=position(connection, DAYS_READER))
    looked.seq = found[-1].seq if found else done
    if not found:
        return True
    happened, faults = typed(found, catalogue)
    result = judge(connection, catalogue.rules, happened, now, oldest=now - timedelta(days=catchup_days))
    result.outcomes.update((rule, PARKED) for fault in faults for rule in fault.rules)
    park(connection, [*faults, *result.faults], now)
    add_counts(connection, result.outcomes)
    set_position(connection, READER, looked.seq)
    looked.events += len(found)
    looked.outcomes.update(result.outcomes)
    looked.people |= result.people
    looked.parked += len(faults) + len(result.faults)
    return len(found) < batch


def typed(found: Iterable[StreamEvent], catalogue: Catalogue) -> tuple[list[Happening], list[Fault]]:
    """Return the events that a rule has to see, and what is wrong with those that cannot be read."""
    happened: list[Happening] = []
    faults: list[Fault] = []
    for event in found:
        if event.type not in catalogue.watched:
            continue
        try:
            happened.append(happening_of(event, catalogue.types[event.type]))
        except SeloError as refused:
            faults.append(Fault.of(event, f"{refused.code}: {refused.message}", _watching(catalogue, event.type)))
        except Exception as broken:  # noqa: BLE001 - a declaration of somebody else's fails for this event alone
            code = f"declaration_failed: {type(broken).__name__}"
            faults.append(Fault.of(event, code, _watching(catalogue, event.type)))
    return happened, faults


def _watching(catalogue: Catalogue, event_type: str) -> list[str]:
    return [name for name, rule in catalogue.rules.items() if event_type in rule.watched]


@dataclass
class Judged:
    """What rules made of some events."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    people: set[str] = field(default_factory=set)


def judge(
    connection: Connection,
    rules: Mapping[str, Rule],
    happened: Sequence[Happening],
    now: datetime,
    *,
    oldest: datetime | None = None,
    again: bool = False,
) -> Judged:
    """Let rules see events, ask for what they ask for and remember the rest, in the caller's transaction."""
    result = Judged()
    grouped: dict[Key, list[Happening]] = {}
    for rule in rules.values():
        for one in happened:
            if one.type in rule.watched:
                grouped.setdefault((one.user_id, rule.name), []).append(one)
    states = read_states(connection, grouped)
    fired: dict[Key, list[Firing]] = {}
    changed: dict[Key, State] = {}
    for key, theirs in grouped.items():
        rule, state = rules[key[1]], states.get(key) or State()
        evaluated = evaluate(rule, state.memory, theirs, oldest=oldest, again=again)
        _note(key[1], evaluated, result)
        if evaluated.firings:
            fired[key] = evaluated.firings
        # A rule that looks at one event alone has nothing new to remember of one that did not make it fire.
        if evaluated.firings or (rule.window_s and (state.memory.kept or key in states)):
            changed[key] = state
    _ask(connection, rules, fired, changed, now, result)
    write_states(connection, changed)
    return result


def _note(rule: str, evaluated: Evaluated, result: Judged) -> None:
    # A firing is counted by what becomes of it.
    for outcome in evaluated.outcomes:
        if outcome != FIRED:
            result.outcomes[rule, outcome] += 1
    result.faults += [Fault.of(one, code, [rule]) for one, code in evaluated.faults]


def _ask(
    connection: Connection,
    rules: Mapping[str, Rule],
    fired: Mapping[Key, Sequence[Firing]],
    states: dict[Key, State],
    now: datetime,
    result: Judged,
) -> None:
    if not fired:
        return
    zones = zones_of(connection, sorted({user_id for user_id, _ in fired}))
    asked = ask_for(connection, rules, fired, states, zones, now)
    result.outcomes.update(asked.outcomes)
    result.people |= asked.people


def _look_for_silence(connection: Connection, catalogue: Catalogue, now: datetime, looked: Looked) -> int:
    """Let whoever has fallen silent be asked about; returns how many states were looked at."""
    lock_stream(connection)
    waiting = sorted(name for name, rule in catalogue.rules.items() if isinstance(rule.pattern, Idle))
    rows = connection.execute(
        select(table.c.user_id, table.c.rule)
        .where(table.c.due_at <= now, table.c.rule.in_(waiting))
        .order_by(table.c.due_at, table.c.user_id)
        .limit(IDLE_AT_ONCE)
    ).all()
    if not rows:
        return 0
    changed = read_states(connection, [(row.user_id, row.rule) for row in rows])
    fired: dict[Key, list[Firing]] = {}
    for key, state in changed.items():
        firing = idle_firing(catalogue.rules[key[1]], state.memory, now)
        if firing is not None:
            fired[key] = [firing]
    result = Judged()
    _ask(connection, catalogue.rules, fired, changed, now, result)
    write_states(connection, changed)
    looked.outcomes.update(result.outcomes)
    looked.people |= result.people
    return len(rows)
