"""How a call of a model can fail, by class: what to try again and what not. Never holds what was sent or received."""

from __future__ import annotations

from typing import Final, Literal

Fault = Literal[
    "timeout",
    "connection",
    "rate_limited",
    "overloaded",
    "server_error",
    "auth",
    "bad_request",
    "context_too_long",
    "empty_answer",
]

TRANSIENT: Final[frozenset[str]] = frozenset(
    {"timeout", "connection", "rate_limited", "overloaded", "server_error", "empty_answer"}
)
"""Faults that may pass by themselves; every other one comes back with the same input."""

BACK_OFF: Final[frozenset[str]] = frozenset({"timeout", "rate_limited", "overloaded"})
"""Faults that say the server has too much to do: fewer calls at the same time."""


OF_THE_ENDPOINT: Final[frozenset[str]] = frozenset({"timeout", "connection", "overloaded", "server_error", "auth"})
"""Faults that concern everybody who asks this server, where they come one after the other."""


NEVER_BILLED: Final[frozenset[str]] = frozenset(
    {"connection", "rate_limited", "overloaded", "auth", "bad_request", "context_too_long"}
)
"""Faults of requests that no model worked on, unless whoever raises one knows better."""


class ModelError(Exception):
    """A call that gave no answer. retry_after_s: what the server asked for, in seconds.

    calls: requests that it took. billed: those of them that somebody may have to pay for.
    """

    def __init__(
        self, fault: Fault, *, retry_after_s: float | None = None, calls: int = 1, billed: int | None = None
    ) -> None:
        super().__init__(fault)
        self.fault = fault
        self.retry_after_s = retry_after_s
        self.calls = calls
        self.billed = int(fault not in NEVER_BILLED) if billed is None else billed

    @property
    def transient(self) -> bool:
        """Whether another try may succeed."""
        return self.fault in TRANSIENT
