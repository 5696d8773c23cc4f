"""Takes a batch of good lines into the database, within the transaction of its caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlalchemy import Column, Connection, Table, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from selo_dagster.errors import SeloError
from selo_dagster.memory.bulk import among, insert_rows
from selo_dagster.memory.forgotten import forgotten_among
from selo_dagster.memory.lines import AnyLine, EventLine, MemoryLine, MessageLine, UserLine
from selo_dagster.memory.payloads import same_json
from selo_dagster.memory.tables import conversations, events, memories, messages
from selo_dagster.people.registry import Registry, Statement

FROM_A_LINE = "event"
"""Origin of events that a line states."""

_SQLITE_REFUSAL = re.compile(r"(?:UNIQUE|CHECK|FOREIGN KEY|NOT NULL) constraint failed(?:: [\w., ]+)?", re.ASCII)


class Numbered(NamedTuple):
    """A good line and its physical number."""

    number: int
    line: AnyLine


class Settled(NamedTuple):
    """What became of a line. kind: its type; reason: why it was rejected, a code, a colon and a sentence."""

    number: int
    kind: str
    verdict: Literal["accepted", "updated", "unchanged", "rejected"]
    reason: str | None = None


MakeRegistry = Callable[[], Registry]


def settle(connection: Connection, lines: Sequence[Numbered], registry: MakeRegistry) -> list[Settled]:
    """Write what is new of `lines`, in order, and tell what became of each.

    If the database refuses a batch, it is halved until the lines that it refuses stand alone: these are
    rejected, the others are kept. Any other failure of the database is raised.
    """
    try:
        with connection.begin_nested():
            batch = _Batch(registry())
            batch.load(connection, [one.line for one in lines])
            settled = [batch.take(*one) for one in lines]
            batch.flush(connection)
    except (IntegrityError, DataError) as refused:
        if len(lines) == 1:
            ((number, line),) = lines
            return [Settled(number, line.type, "rejected", f"refused: {_why(refused)}")]
    else:
        return settled
    middle = len(lines) // 2
    return settle(connection, lines[:middle], registry) + settle(connection, lines[middle:], registry)


def _why(refused: DBAPIError) -> str:
    # The driver's own text may quote the row, so only the rule's name is taken from it.
    constraint = getattr(getattr(refused.orig, "diag", None), "constraint_name", None)
    if constraint is None:
        found = _SQLITE_REFUSAL.fullmatch(str(refused.orig))
        constraint = found.group() if found else type(refused).__name__
    return f"the database does not take this line ({constraint})"


@dataclass
class _Kept:
    """The rows of one table that a batch meets or makes: id -> its values in the order of `columns`."""

    table: Table
    key: Column[str]
    columns: tuple[str, ...]
    known: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    new: list[tuple[Any, ...]] = field(default_factory=list)

    def load(self, connection: Connection, ids: Collection[str], *conditions: Any) -> None:
        if ids:
            chosen = [self.key, *(self.table.c[name] for name in self.columns)]
            for key, *values in connection.execute(
                select(*chosen).where(among(connection, self.key, ids), *conditions)
            ):
                self.known[key] = tuple(values)

    def add(self, key: str, values: tuple[Any, ...]) -> None:
        self.known[key] = values
        self.new.append((key, *values))

    def flush(self, connection: Connection) -> None:
        if self.new:
            insert_rows(connection, [self.key, *(self.table.c[name] for name in self.columns)], self.new)


class _Batch:
    """Compares the lines of a batch with the database and with one another."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._conversations = _Kept(conversations, conversations.c.id, ("user_id",))
        self._messages = _Kept(messages, messages.c.id, ("user_id", "conversation_id", "role", "content", "at"))
        self._sources = _Kept(messages, messages.c.id, ("user_id",))
        self._memories = _Kept(
            memories,
            memories.c.id,
            ("user_id", "kind", "content", "importance", "confidence", "at", "message_id", "tags"),
        )
        self._events = _Kept(events, events.c.ref, ("user_id", "type", "at", "payload"))
        self._forgotten: set[tuple[str, str]] = set()

    def load(self, connection: Connection, lines: Iterable[AnyLine]) -> None:
        stated: set[str] = set()
        named: set[str] = set()
        ids: dict[str, set[str]] = {"message": set(), "memory": set(), "event": set()}
        held: set[str] = set()
        sources: set[str] = set()
        remembered: set[tuple[str, str]] = set()
        for line in lines:
            if isinstance(line, UserLine):
                stated.add(line.id)
                continue
            named.add(line.user)
            ids[line.type].add(line.id)
            if isinstance(line, MessageLine):
                held.add(line.conversation)
            elif isinstance(line, MemoryLine):
                remembered.add((line.user, line.id))
                if line.message is not None:
                    sources.add(line.message)
        self._registry.load(connection, named, stated)
        self._conversations.load(connection, held)
        self._messages.load(connection, ids["message"])
        self._sources.load(connection, sources - ids["message"])
        self._memories.load(connection, ids["memory"])
        self._events.load(connection, ids["event"], events.c.origin == FROM_A_LINE)
        unknown = {one for one in remembered if one[1] not in self._memories.known}
        self._forgotten = forgotten_among(connection, unknown)

    def take(self, number: int, line: AnyLine) -> Settled:
        try:
            if isinstance(line, UserLine):
                verdict = self._registry.state(Statement(line.id, line.name, line.timezone, line.at, line.tenant))
                return Settled(number, line.type, verdict)
            self._registry.require(line.user)
            if isinstance(line, MessageLine):
                new = self._take_message(line)
            elif isinstance(line, MemoryLine):
                new = self._take_memory(line)
            else:
                new = self._take_event(line)
        except SeloError as refused:
            return Settled(number, line.type, "rejected", f"{refused.code}: {refused.message}")
        return Settled(number, line.type, "accepted" if new else "unchanged")

    def _take_message(self, line: MessageLine) -> bool:
        values = (line.user, line.conversation, line.role, line.content, line.at)
        there = self._messages.known.get(line.id)
        if there is not None:
            return _same(line, there == values)
        holder = self._conversations.known.get(line.conversation)
        if holder is None:
            self._conversations.add(line.conversation, (line.user,))
        elif holder[0] != line.user:
            raise SeloError("conflict", f"conversation {line.conversation!r} is another user's")
        self._messages.add(line.id, values)
        return True

    def _take_memory(self, line: MemoryLine) -> bool:
        if (line.user, line.id) in self._forgotten:
            raise SeloError("forgotten", f"memory {line.id!r} was forgotten, and does not come back")
        if line.message is not None:
            source = self._messages.known.get(line.message) or self._sources.known.get(line.message)
            if source is None:
                raise SeloError("unknown_message", f"no message {line.message!r} before this line")
            if source[0] != line.user:
                raise SeloError("conflict", f"message {line.message!r} is another user's")
        values = (
            *(line.user, line.kind, line.content, line.importance, line.confidence, line.at),
            *(line.message, line.tags or []),
        )
        there = self._memories.known.get(line.id)
        if there is not None:
            return _same(line, there == values)
        self._memories.add(line.id, values)
        return True

    def _take_event(self, line: EventLine) -> bool:
        values = (line.user, line.event, line.at, line.payload)
        there = self._events.known.get(line.id)
        if there is not None:
            return _same(line, there[:3] == values[:3] and same_json(there[3], line.payload))
        self._events.add(line.id, values)
        return True

    def flush(self, connection: Connection) -> None:
        self._registry.flush(connection)
        for kept in (self._conversations, self._messages, self._memories):
            kept.flush(connection)
        if self._events.new:
            names = ("ref", *self._events.columns)
            rows = [dict(zip(names, row, strict=True), origin=FROM_A_LINE) for row in self._events.new]
            connection.execute(insert(events), rows)


def _same(line: AnyLine, same: bool) -> bool:
    if not same:
        raise SeloError("conflict", f"{line.type} {line.id!r} is there already with other content")
    return False
