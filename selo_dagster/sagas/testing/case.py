"""What the kit is given, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from sqlalchemy import Connection, Table

from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.start import random_id, start
from selo_dagster.store.engine import Store

BEGIN: Final = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


Residue = Callable[[str, Mapping[str, Any]], bool]
"""Tells of a table's name and a row whether an undo leaves it on purpose."""

Outside = Callable[[], Collection[Any]]
Disturb = Callable[[Connection], None]
Prepare = Callable[[Connection], None]


def nothing_left(_table: str, _row: Mapping[str, Any]) -> bool:
    """Say that an undo leaves no row."""
    return False


def nothing_outside() -> Collection[Any]:
    """Say that there is nothing outside the database."""
    return ()


def nothing_to_prepare(_connection: Connection) -> None:
    """Leave the world as it is."""


def asked(connection: Connection, case: Case, key: str, now: datetime) -> str:
    """Ask for the saga as anybody would; the same key asks once."""
    return start(
        connection,
        case.saga,
        user_id=case.user_id,
        key=key,
        given=case.given,
        now=now,
        new_id=random_id,
    ).id


Ask = Callable[[Connection, "Case", str, datetime], str]
"""Asks for the saga under a key and returns its id: the same one for the same key, at whatever stage it is."""


@dataclass(frozen=True)
class Case:
    """One definition and the world in which it is tried. The kit starts it many times, each under a key of its own.

    given: a valid input. tables: everything that the saga may change; all their rows are compared. residue: tells
    which rows an undo leaves on purpose; they are not compared. outside: returns what is in force outside the
    database, one item an effect. disturb: changes what the saga touched, as another would between doing and
    undoing; the undo must not undo that. prepare: puts in place, before each trial, what the saga takes away for
    good; every time the same. ask: asks for it, where its own room has more to do than to start it. begin: the
    virtual clock's first instant.
    """

    saga: Saga
    store: Store
    user_id: str
    given: Mapping[str, Any]
    tables: Sequence[Table] = ()
    residue: Residue = nothing_left
    outside: Outside = nothing_outside
    disturb: Disturb | None = None
    prepare: Prepare = nothing_to_prepare
    ask: Ask = asked
    begin: datetime = BEGIN


@dataclass(frozen=True)
class Trial:
    """One scenario that was tried. step: at which; write: at which commit, counted from 1; fault: what was wrong."""

    scenario: str
    step: str | None = None
    write: int | None = None
    fault: str | None = None

    @property
    def sentence(self) -> str:
        """Say where it was, and what was wrong."""
        where = "" if self.step is None else f", step {self.step}"
        when = "" if self.write is None else f", write {self.write}"
        return f"{self.scenario}{where}{when}: {self.fault or 'as it should be'}"


class WrongError(Exception):
    """Something is not as it should be; says what."""
