"""What a handler is given, and what it answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import Connection

from selo_dagster.errors import SeloError


@dataclass(frozen=True)
class Given:
    """What every handler knows.

    token: names this step of this saga and generation, the same for each try, so that the outside can know a
    repetition; an undo is given its own and, as `forward_token`, the one of what it undoes. now: by the domain's
    clock. may_be_absent: nobody knows whether what is undone ever happened.
    """

    saga_id: str
    saga: str
    user_id: str
    step: str
    generation: int
    token: str
    now: datetime
    forward_token: str | None = None
    may_be_absent: bool = False
    _connection: Connection | None = field(default=None, repr=False)

    @property
    def connection(self) -> Connection:
        """The transaction in which a database step works; it is the journal's. Raises SeloError outside of one."""
        if self._connection is None:
            raise SeloError("no_transaction", f"{self.step} works outside the database: it has no transaction")
        return self._connection


@dataclass(frozen=True)
class Effect:
    """One thing that a step changed, for the timeline. before, after: versions or values that are no private text."""

    target: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Done:
    """What a changing step answers. undo: what its compensation needs, of the declared model."""

    output: BaseModel
    undo: BaseModel | None = None
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True)
class Probed:
    """What a probe found out about an effect outside. there: done with this result; absent: it never happened."""

    outcome: Literal["there", "absent", "unknown"]
    done: Done | None = None


def id_from(text: str) -> str:
    """Return an id, 32 hexadecimal digits: of a token, the same for every try of a step."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class RefusedError(Exception):
    """A step says that it did nothing and never will: nothing to undo for it, no further try."""


class TransientError(Exception):
    """A step says that it did nothing this time, and that another try may succeed."""
