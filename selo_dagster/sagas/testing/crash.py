"""A process that dies at a chosen commit: nothing after it is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Engine, event

Moment = Literal["before", "after"]


class CrashError(BaseException):
    """The process is dead. No `except Exception` gets hold of it."""


@dataclass
class Death:
    """The n-th commit that writes, and whether it came to that. moment: just before it, or just after."""

    write: int
    moment: Moment
    happened: bool = False
    _count: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def at_commit(self, connection: Connection) -> None:
        """Count a commit; raises CrashError at the chosen one, and for whatever a dead process would still write."""
        options = connection.get_execution_options()
        if options.get("selo_read_only") or options.get("postgresql_readonly"):
            return
        with self._lock:
            self._count += 1
            chosen = self._count == self.write
            dead, self.happened = self.happened, self.happened or chosen
        if chosen and self.moment == "after":
            connection.dialect.do_commit(connection.connection)
        if chosen or dead:
            raise CrashError


@contextmanager
def crash_at(write: int, moment: Moment) -> Iterator[Death]:
    """Let this process die at a commit, as far as the database can tell: the caller goes on as another.

    Commits of every engine count: a handler that works outside the journal's transaction may have one of its own.
    """
    death = Death(write, moment)
    event.listen(Engine, "commit", death.at_commit)
    try:
        yield death
    except CrashError:
        pass
    finally:
        event.remove(Engine, "commit", death.at_commit)
