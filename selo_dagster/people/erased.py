"""The door: an id that was erased does not come in again by itself, unless somebody readmits it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, select

from selo_dagster.errors import SeloError
from selo_dagster.people.erased_tables import erased_people
from selo_dagster.people.erasure_key import KEY_FILE, ErasureKey, erasure_key
from selo_dagster.people.history import chunked
from selo_dagster.settings import process_settings

FindKey = Callable[[], "ErasureKey | None"]
"""Returns this installation's key; None where there is none."""


def key_of_this_installation() -> ErasureKey | None:
    """Return the key that the settings name. Raises SeloError `erasure_key`."""
    return erasure_key(process_settings())


@dataclass(frozen=True)
class Erased:
    """Somebody who was erased. report: as it was signed last; at: by the domain's clock."""

    digest: str
    key_id: str
    saga_id: str
    at: datetime
    report: str


def erased_person(connection: Connection, key: ErasureKey, user_id: str) -> Erased | None:
    """Return what is known of somebody who was erased; None: nobody with this id was, or was readmitted since."""
    row = connection.execute(select(erased_people).where(erased_people.c.digest == key.digest(user_id))).one_or_none()
    return None if row is None else Erased(row.digest, row.key_id, row.saga_id, row.erased_at, row.report)


def foreign_key_id(connection: Connection, key: ErasureKey | None) -> str | None:
    """Return the name of another key under which people were erased; None: `key` tells them all."""
    others = select(erased_people.c.key_id).limit(1)
    if key is not None:
        others = others.where(erased_people.c.key_id != key.id)
    found: str | None = connection.execute(others).scalar()
    return found


def wrong_key(key_id: str) -> SeloError:
    """Return the error for people who were erased under a key that is not at hand."""
    return SeloError(
        "erasure_key",
        f"people are erased under the key {key_id}, which is not here, so that nobody can tell new people from erased "
        f"ones: set SELO_ERASURE_KEY to it, or bring SELO_HOME/{KEY_FILE} from the machine that has it",
    )


class Door:
    """Tells for the ids of one transaction who was erased. readmit: those come in again, as new people."""

    def __init__(self, find_key: FindKey = key_of_this_installation, *, readmit: bool = False) -> None:
        self._find_key = find_key
        self._readmit = readmit
        self._refusals: dict[str, SeloError] = {}
        self._readmitted: dict[str, str] = {}
        self._locked: SeloError | None = None

    def look(self, connection: Connection, unknown: Collection[str]) -> None:
        """Look up ids that nobody has now. Costs one small query where nobody was ever erased."""
        if not unknown or connection.execute(select(erased_people.c.digest).limit(1)).scalar() is None:
            return
        key = self._key()
        foreign = foreign_key_id(connection, key)
        if foreign is not None and not self._readmit:
            self._locked = wrong_key(foreign)
        if key is None:
            return
        digests = {key.digest(user_id): user_id for user_id in unknown}
        for part in chunked(sorted(digests)):
            for digest in connection.execute(
                select(erased_people.c.digest).where(erased_people.c.digest.in_(part))
            ).scalars():
                user_id = digests[digest]
                if self._readmit:
                    self._readmitted[user_id] = digest
                else:
                    self._refusals[user_id] = erased(user_id)

    def _key(self) -> ErasureKey | None:
        try:
            return self._find_key()
        except SeloError as refused:
            self._locked = None if self._readmit else refused
            return None

    def refusal(self, user_id: str) -> SeloError | None:
        """Return why nothing may be written for an id that nobody has: `erased`; None: it is merely unknown."""
        return self._refusals.get(user_id)

    def admit(self, user_id: str) -> bool:
        """Let a new person in; returns whether the id was erased before. Raises SeloError `erased`, `erasure_key`."""
        refused = self._refusals.get(user_id) or self._locked
        if refused is not None:
            raise refused
        return user_id in self._readmitted

    def flush(self, connection: Connection, admitted: Collection[str]) -> None:
        """Forget that those were erased who were let in again."""
        digests = sorted(self._readmitted[user_id] for user_id in admitted if user_id in self._readmitted)
        for part in chunked(digests):
            connection.execute(delete(erased_people).where(erased_people.c.digest.in_(part)))


READMITS: Final = "`selo ingest --readmit` lets this id in again, as a new person"


def erased(user_id: str) -> SeloError:
    """Return the refusal of an id that was erased."""
    return SeloError("erased", f"user {user_id!r} was erased: {READMITS}")
