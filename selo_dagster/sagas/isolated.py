"""Work for many sagas in one transaction, so that one that breaks takes nothing of the others with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection

from selo_dagster.sagas.faults import lost_connection
from selo_dagster.sagas.journal import Held

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Outcome(Generic[Answer]):
    """What became of one saga's work. result: its answer, or what it broke with; seconds: how long it took."""

    one: Held
    result: Answer | Exception
    seconds: float


def isolated(
    connection: Connection,
    held: Sequence[Held],
    work: Callable[[Held], Answer],
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Outcome[Answer]]:
    """Do some work for each saga; what one did that broke is rolled back, and that alone.

    First all under one savepoint, since three round trips of four would be savepoints; only if one breaks is
    everything rolled back and done once more with a savepoint each. So `work` may run twice: it changes nothing
    but this database. Raises what the database raises when it is gone.
    """
    if len(held) > 1:
        try:
            with connection.begin_nested():
                return [_done(one, work, monotonic) for one in held]
        except Exception as broken:
            if lost_connection(broken):
                raise
    return [_alone(connection, one, work, monotonic) for one in held]


def _alone(
    connection: Connection, one: Held, work: Callable[[Held], Answer], monotonic: Callable[[], float]
) -> Outcome[Answer]:
    began = monotonic()
    try:
        # What was sent is checked by the database before the step counts as done.
        with connection.begin_nested():
            return _done(one, work, monotonic)
    except Exception as broken:
        if lost_connection(broken):
            raise
        return Outcome(one, broken, monotonic() - began)


def _done(one: Held, work: Callable[[Held], Answer], monotonic: Callable[[], float]) -> Outcome[Answer]:
    began = monotonic()
    return Outcome(one, work(one), monotonic() - began)
