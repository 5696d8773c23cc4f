"""Stating people: who they are and where they live from an instant on. History is append-only."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, insert, select, update

from selo_dagster.clock import BEGINNING
from selo_dagster.errors import SeloError
from selo_dagster.people.erased import Door
from selo_dagster.people.history import chunked
from selo_dagster.people.keys import Token, has_controls, partition_key, random_key
from selo_dagster.people.tables import ACTIVE, TOMBSTONED, user_statements, users

NAME_LENGTH: Final = 200
_MOVING: Final = ("name", "zone", "moves", "tenant")

Verdict = Literal["accepted", "updated", "unchanged"]


@dataclass(frozen=True)
class Statement:
    """What is stated of a person. zone: canonical. since: holds from then, UTC; None: from the beginning.

    tenant: whose they are from now on, whatever `since` is; None: as before.
    """

    user_id: str
    name: str
    zone: str
    since: datetime | None = None
    tenant: str | None = None


def checked_name(value: str) -> str:
    """Return a person's name in NFC, without the space around it. Raises SeloError `bad_name`, without the name."""
    if not has_controls(value):
        name = unicodedata.normalize("NFC", value).strip()
        if name and len(name) <= NAME_LENGTH:
            return name
    raise SeloError("bad_name", f"name must be 1 to {NAME_LENGTH} characters without control characters")


@dataclass
class _Person:
    key: str
    state: str
    stored: bool
    unstated: bool = False  # a row that others wrote, without a statement: it counts as one
    tenant: str | None = None
    history: dict[datetime, tuple[str, str]] = field(default_factory=dict)  # since -> (name, zone)

    @property
    def newest(self) -> datetime:
        return max(self.history)


class Registry:
    """The people whom one write transaction deals with: loaded in bulk, changed in memory, written in bulk.

    door: keeps those out who were erased.
    """

    def __init__(self, *, pseudonymous: bool = False, token: Token = random_key, door: Door | None = None) -> None:
        self._pseudonymous = pseudonymous
        self._token = token
        self._door = door or Door()
        self._people: dict[str, _Person] = {}
        self._inserted: list[tuple[str, datetime]] = []
        self._renamed: set[tuple[str, datetime]] = set()
        self._changed: set[str] = set()

    def load(self, connection: Connection, named: Collection[str], stated: Collection[str]) -> None:
        """Read who exists. named: ids that are only referred to; stated: ids that will be passed to `state`.

        Their rows stay locked until the transaction ends, so that an erasure either sees what is written
        for a person or is seen here.
        """
        asked = {*named, *stated}
        for part in chunked(sorted(asked)):
            for row in connection.execute(
                select(users.c.id, users.c.key, users.c.name, users.c.zone, users.c.state, users.c.tenant)
                .where(users.c.id.in_(part))
                .order_by(users.c.id)
                .with_for_update(read=True)
            ):
                history = {BEGINNING: (row.name, row.zone)}
                self._people[row.id] = _Person(row.key, row.state, True, True, row.tenant, history)
        # Asked afterwards: whoever was there until a moment ago is among the erased by now.
        self._door.look(connection, asked - self._people.keys())
        for part in chunked(sorted(set(stated) & self._people.keys())):
            for row in connection.execute(select(user_statements).where(user_statements.c.user_id.in_(part))):
                person = self._people[row.user_id]
                if person.unstated:
                    person.unstated = False
                    person.history.clear()
                person.history[row.since] = (row.name, row.zone)

    def require(self, user_id: str) -> None:
        """Raise SeloError `unknown_user` or `erased` unless this person is there."""
        person = self._people.get(user_id)
        if person is None:
            raise self._door.refusal(user_id) or SeloError("unknown_user", f"no user {user_id!r} before this line")
        if person.state == TOMBSTONED:
            raise SeloError("erased", f"user {user_id!r} is being erased")

    def state(self, said: Statement) -> Verdict:
        """Take in a statement; `accepted` is a new person. Its user must be among the `stated` of `load`.

        Raises SeloError `erased`, `erasure_key`, or `conflict` where it would change a history that is append-only.
        """
        person = self._people.get(said.user_id)
        if person is None:
            # Whoever comes back is somebody new: what Dagster shows under the former key is not theirs.
            unlike = self._door.admit(said.user_id)
            key = partition_key(said.user_id, pseudonymous=self._pseudonymous or unlike, token=self._token)
            self._people[said.user_id] = _Person(key, ACTIVE, stored=False, tenant=said.tenant)
            self._append(said, said.since or BEGINNING)
            return "accepted"
        self.require(said.user_id)
        verdict = self._state_again(person, said)
        if said.tenant in {None, person.tenant}:
            return verdict
        person.tenant = said.tenant
        self._changed.add(said.user_id)
        return "updated"

    def _state_again(self, person: _Person, said: Statement) -> Verdict:
        if said.since is None:
            return self._state_from_the_beginning(person, said)
        if said.since > person.newest:
            self._append(said, said.since)
            return "updated"
        there = person.history.get(said.since)
        if there == (said.name, said.zone):
            return "unchanged"
        if there is not None:
            raise SeloError("conflict", f"user {said.user_id!r} was stated otherwise for the same instant")
        raise SeloError(
            "conflict",
            f"the history of user {said.user_id!r} is append-only and already reaches {person.newest.isoformat()}",
        )

    def _state_from_the_beginning(self, person: _Person, said: Statement) -> Verdict:
        first = min(person.history)
        name, zone = person.history[first]
        if said.zone != zone:
            raise SeloError(
                "conflict",
                f"user {said.user_id!r} has another timezone: a move needs the instant from which it holds (at)",
            )
        corrected = first if first == BEGINNING else person.newest
        if said.name in {name, person.history[corrected][0]}:
            return "unchanged"
        person.history[corrected] = (said.name, person.history[corrected][1])
        self._renamed.add((said.user_id, corrected))
        self._changed.add(said.user_id)
        return "updated"

    def _append(self, said: Statement, since: datetime) -> None:
        person = self._people[said.user_id]
        if person.unstated:
            person.unstated = False
            self._inserted.append((said.user_id, BEGINNING))
        person.history[since] = (said.name, said.zone)
        self._inserted.append((said.user_id, since))
        self._changed.add(said.user_id)

    def flush(self, connection: Connection) -> None:
        """Write what was stated: people, then their statements, whose events the database writes."""
        changed = [(user_id, self._people[user_id]) for user_id in sorted(self._changed)]
        new = [_row(user_id, person) for user_id, person in changed if not person.stored]
        moved = [_row(user_id, person) for user_id, person in changed if person.stored]
        fresh = set(self._inserted)
        renamed = sorted(self._renamed - fresh)
        if new:
            self._door.flush(connection, [row["id"] for row in new])
            connection.execute(insert(users), new)
        if moved:
            connection.execute(
                update(users).where(users.c.id == bindparam("user_id")),
                [{"user_id": row["id"], **{name: row[name] for name in _MOVING}} for row in moved],
            )
        if renamed:
            connection.execute(
                update(user_statements).where(
                    user_statements.c.user_id == bindparam("whose"), user_statements.c.since == bindparam("from_then")
                ),
                [
                    {"whose": user_id, "from_then": since, "name": self._people[user_id].history[since][0]}
                    for user_id, since in renamed
                ],
            )
        if self._inserted:
            connection.execute(insert(user_statements), [self._statement_row(*one) for one in self._inserted])

    def _statement_row(self, user_id: str, since: datetime) -> dict[str, Any]:
        name, zone = self._people[user_id].history[since]
        return {"user_id": user_id, "since": since, "name": name, "zone": zone}


def _row(user_id: str, person: _Person) -> dict[str, Any]:
    name, zone = person.history[person.newest]
    return {
        "id": user_id,
        "key": person.key,
        "name": name,
        "zone": zone,
        "moves": len(person.history) - 1,
        "tenant": person.tenant,
    }
