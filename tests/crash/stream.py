"""Strong moments as companions write them, and what must hold of their requests whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from selo_dagster.clock import BEGINNING, SystemClock
from selo_dagster.memory.event_types import MEMORY_CREATED
from selo_dagster.memory.stream import NUMBERING, position
from selo_dagster.memory.tables import events, memories
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections import days
from selo_dagster.reflections.claim import Claim, claim
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.engine import Store
from selo_dagster.triggers.asking import TRIGGERED
from selo_dagster.triggers.catalogue import (
    catalogue_of,
    emotional_spike,
    importance_sum,
    important_memory,
    knowledge_update,
)
from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.kept import CAUSES
from selo_dagster.triggers.reader import READER, Looked, look_for_triggers
from selo_dagster.triggers.rule import Rule
from selo_dagster.triggers.states import counted
from tests.crash.processes import DEADLINE_S, ROOT, Worker

ledger = reflection_ledger
STRONG: Final = 0.9
WEAK: Final = 0.2
"""Too little even for the sum of importances."""

IMPORTANT: Final = important_memory.IMPORTANT_MEMORY.name
CATCHUP_DAYS: Final = 3

EAGER = Rule(
    name="eager",
    says="a memory of importance 0.8 or more, asked about again as soon as a run has the last request in hand",
    events=(MEMORY_CREATED,),
    condition=Simple(field="importance", operator="gte", value=0.8),
    flavour="memory",
    cooldown_s=0,
    burst=1_000_000,
)
"""Never waits: so that one person has many requests, and causes come while a request is being claimed."""

RULES = catalogue_of([emotional_spike, importance_sum, important_memory, knowledge_update, sys.modules[__name__]])


def write_people(connection: Connection, names: Iterable[str]) -> None:
    """Add people who never said a word, in the caller's transaction."""
    for name in names:
        connection.execute(insert(users).values(id=name, key=name, name=name, zone="UTC"))
        connection.execute(insert(user_statements).values(user_id=name, since=BEGINNING, name=name, zone="UTC"))


def write_memories(connection: Connection, rows: Iterable[tuple[str, str, float]]) -> None:
    """Add memories of just now, (person, id, importance); the database states their events."""
    now = SystemClock().now()
    connection.execute(
        insert(memories),
        [
            {
                "id": memory_id,
                "user_id": user_id,
                "kind": "fact",
                "content": f"It is known that {memory_id} happened",
                "importance": importance,
                "at": now,
                "tags": [],
            }
            for user_id, memory_id, importance in rows
        ],
    )


def write_events(connection: Connection, rows: Iterable[tuple[str, str, str, dict[str, Any]]]) -> None:
    """State events of just now: (person, id, type, payload)."""
    now = SystemClock().now()
    connection.execute(
        insert(events),
        [
            {"origin": "event", "ref": ref, "type": kind, "user_id": user_id, "at": now, "payload": payload}
            for user_id, ref, kind, payload in rows
        ],
    )


def look(store: Store, **given: Any) -> Looked:
    """Let the rules see what is there, at the machine's time."""
    return look_for_triggers(store, RULES, SystemClock().now(), catchup_days=CATCHUP_DAYS, **given)


def claim_requests(store: Store, run_id: str, limit: int = 1_000) -> list[Claim]:
    """Take requests that are ready in hand, as a run does, and keep them."""
    with store.write() as connection:
        return claim(connection, TRIGGERED, run_id=run_id, now=SystemClock().now(), lease_s=3_600, limit=limit)


def requests_of(store: Store, rule: str) -> list[Any]:
    """Return what a rule asked for, oldest first."""
    with store.read() as connection:
        rows = connection.execute(select(ledger).where(ledger.c.kind == TRIGGERED.name).order_by(ledger.c.id)).all()
    return [row for row in rows if row.cause["trigger"] == rule]


def refs_of(cause: dict[str, Any]) -> list[str]:
    """Return the ids that a request names."""
    return [row[4] for row in cause["causes"]]


def check_asked_once(store: Store, strong: Collection[str], rule: str) -> int:
    """Each strong memory is a cause of exactly one request of a rule; returns how many requests there are."""
    rows = requests_of(store, rule)
    named = Counter(ref for row in rows for ref in refs_of(row.cause))
    assert {row.user_id: row.reason for row in rows if row.state == "skipped"} == {}, (
        "asked about, and given up at once"
    )
    assert {ref: times for ref, times in named.items() if times > 1} == {}, "in two requests"
    assert set(named) <= set(strong)
    assert sum(row.cause["count"] for row in rows) == len(strong)
    # Beyond a bound a request only counts its causes.
    if all(row.cause["count"] <= CAUSES for row in rows):
        assert sorted(set(strong) - set(named)) == [], "in no request"
    return len(rows)


def check_numbers(store: Store) -> int:
    """Every event has a number, from 1 on without a gap, and every reader has read it; returns the last number."""
    with store.read() as connection:
        numbers = list(connection.execute(select(events.c.seq).order_by(events.c.seq)).scalars())
        positions = {name: position(connection, name) for name in (NUMBERING, READER, days.READER)}
    assert numbers == list(range(1, len(numbers) + 1))
    assert positions == dict.fromkeys(positions, len(numbers))
    return len(numbers)


def seen_by(store: Store, rule: str) -> int:
    """Return how many events a rule has seen, by its counts of outcomes."""
    with store.read() as connection:
        return sum(counted(connection).get(rule, {}).values())


def events_of(store: Store, *types: str) -> int:
    """Return how many events of these types there are."""
    with store.read() as connection:
        return len(connection.execute(select(events.c.id).where(events.c.type.in_(types))).all())


@contextmanager
def trigger_worker(
    folder: Path, mode: str, *arguments: str, environment: Mapping[str, str] | None = None, wait: bool = True
) -> Iterator[Worker]:
    """Run a `trigger_worker` in a process group of its own, which is killed at the end.

    wait: until it has loaded; otherwise the caller has to.
    """
    command = [sys.executable, "-m", "tests.crash.trigger_worker", mode, *arguments]
    errors = folder / f"{mode}.err"
    with errors.open("ab") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            bufsize=0,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    with process:
        try:
            one = Worker(process, errors)
            if wait:
                one.said("LOADED")
            yield one
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)


@dataclass(frozen=True)
class Forks:
    """A worker that forks a process for each thing it is told."""

    worker: Worker

    def begin(self, line: str) -> int:
        """Fork one; returns its process id."""
        assert self.worker.process.stdin is not None
        self.worker.process.stdin.write(f"{line}\n".encode())
        return int(self.worker.said("BEGAN"))

    def ended(self) -> int:
        """Wait for it; returns 0 if it ended well, -9 if it was killed."""
        return int(self.worker.said("ENDED"))

    def killed(self, pid: int) -> bool:
        """Kill it as the kernel does; tells whether it was still at work."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        status = self.ended()
        assert status in {0, -signal.SIGKILL}, self.worker.errors.read_text()[-3000:]
        return status != 0
