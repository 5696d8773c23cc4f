"""What a handler's failure means: refused, passing, for good, or that nobody knows whether it happened. R5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy.exc import InterfaceError, OperationalError

from selo_dagster.errors import SeloError
from selo_dagster.llm.errors import ModelError
from selo_dagster.sagas.definition import Step
from selo_dagster.sagas.given import RefusedError, TransientError
from selo_dagster.sagas.paying import NoRoomError

Meaning = Literal["refused", "transient", "failed", "unknown"]

PASSING: Final = (TransientError, NoRoomError, ConnectionError, TimeoutError, OperationalError)
"""Errors that may pass by themselves, for every step; those of a model say so themselves."""


@dataclass(frozen=True)
class Fault:
    """What went wrong. code: class, or the code of an error of our own; nothing of anybody's text.

    unheard: something was sent outside and no answer came. Whatever a probe says now, it may still be worked off.
    """

    meaning: Meaning
    code: str
    unheard: bool = False

    def as_json(self, step: str) -> dict[str, Any]:
        """Return it as the journal keeps it."""
        found = {"step": step, "class": self.code, "meaning": self.meaning}
        return found | ({"unheard": True} if self.unheard else {})


def fault_of(step: Step, broken: Exception) -> Fault:
    """Return what an exception of a step's action means.

    Inside the database, and for what only asks, nothing happened whatever went wrong. Outside, only the errors
    that the step declares mean that; all others leave it unknown.
    """
    code = broken.code if isinstance(broken, SeloError) else type(broken).__name__
    if isinstance(broken, (RefusedError, *step.refused)):
        return Fault("refused", code)
    if isinstance(broken, (TransientError, *step.transient)):
        return Fault("transient", code)
    if step.outside:
        return Fault("unknown", code, unheard=True)
    passing = (isinstance(broken, PASSING) and not _missing(broken)) or (
        isinstance(broken, ModelError) and broken.transient
    )
    return Fault("transient" if passing else "failed", code)


def _missing(broken: Exception) -> bool:
    """Tell whether SQLite misses a table or column: it says so by the class that elsewhere means a passing trouble."""
    return isinstance(broken, OperationalError) and str(broken.orig).startswith(("no such", "table "))


def lost_connection(broken: BaseException) -> bool:
    """Tell whether the database itself is gone: then nothing more can be written in this transaction."""
    if isinstance(broken, InterfaceError):
        return True
    return isinstance(broken, OperationalError) and bool(broken.connection_invalidated)
