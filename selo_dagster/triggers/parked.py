"""Parked events: what a rule could not judge is put aside with its reason, and the stream goes on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Select, func, select, update

from selo_dagster.people.history import chunked
from selo_dagster.store.alert_signals import Signal, signal
from selo_dagster.store.upsert import insert_or_update
from selo_dagster.triggers.tables import trigger_parked

parked = trigger_parked
PARKED: Final = "parked"
REPLAYED: Final = "replayed"
DROPPED: Final = "dropped"
CODE_LENGTH: Final = 200
CODES_TOLD: Final = 10


class Numbered(Protocol):
    """An event, read or typed."""

    @property
    def seq(self) -> int:
        """Its number."""
        ...

    @property
    def user_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def origin(self) -> str:
        """Whose id `ref` is."""
        ...

    @property
    def ref(self) -> str:
        """Its id."""
        ...

    @property
    def type(self) -> str:
        """Its name."""
        ...


@dataclass(frozen=True)
class Fault:
    """Why an event could not be judged by some rules. code: nothing of the payload."""

    seq: int
    user_id: str
    origin: str
    ref: str
    type: str
    code: str
    rules: tuple[str, ...]

    @classmethod
    def of(cls, event: Numbered, code: str, rules: Sequence[str]) -> Fault:
        """Return the fault of an event."""
        return cls(event.seq, event.user_id, event.origin, event.ref, event.type, code[:CODE_LENGTH], tuple(rules))


def park(connection: Connection, faults: Sequence[Fault], now: datetime) -> None:
    """Put events aside; one that several rules could not judge is one row that names them all, and no others."""
    together: dict[int, Fault] = {}
    rules: dict[int, set[str]] = {}
    for one in faults:
        together.setdefault(one.seq, one)
        rules.setdefault(one.seq, set()).update(one.rules)
    rows = [
        {
            "seq": seq,
            "user_id": one.user_id,
            "origin": one.origin,
            "ref": one.ref,
            "type": one.type,
            "code": one.code,
            "rules": sorted(rules[seq]),
            "state": PARKED,
            "parked_at": now,
            "settled_at": None,
        }
        for seq, one in sorted(together.items())
    ]
    insert_or_update(connection, parked, rows)
    if rows:
        codes = sorted({one.code for one in together.values()})[:CODES_TOLD]
        signal(connection, [Signal("events_parked", "", {"events": len(rows), "codes": codes})])


def parked_events(
    connection: Connection, *, seqs: Collection[int] | None = None, limit: int | None = None
) -> list[Any]:
    """Return parked events, oldest first. seqs: only these."""
    if seqs is None:
        return list(connection.execute(_parked().limit(limit)))
    found: list[Any] = []
    for part in chunked(map(str, sorted(seqs))):
        found += connection.execute(_parked().where(parked.c.seq.in_([int(seq) for seq in part])))
    return found


def _parked() -> Select[Any]:
    return select(parked).where(parked.c.state == PARKED).order_by(parked.c.seq)


def parked_count(connection: Connection) -> int:
    """Return how many events are parked."""
    return int(connection.execute(select(func.count()).where(parked.c.state == PARKED)).scalar_one())


def settle_parked(connection: Connection, seqs: Sequence[int], state: str, now: datetime) -> int:
    """Say of parked events that they were replayed or dropped; returns how many were parked."""
    return sum(
        connection.execute(
            update(parked)
            .where(parked.c.seq.in_([int(seq) for seq in part]), parked.c.state == PARKED)
            .values(state=state, settled_at=now)
        ).rowcount
        for part in chunked(map(str, sorted(seqs)))
    )
