"""How many calls a server is given at once: fewer when it has too much to do, more after each success."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MAX_PAUSE_S: Final = 60.0
"""Longest pause that a server may ask for; after it, calls find out by themselves."""


class AdaptiveCapacity:
    """A limit between 1 and `slots`; 0 while the server has asked for a pause.

    Halved at most once for all the calls that were under way at the time, however many of them fail.
    `monotonic` gives seconds. To be used from one event loop.
    """

    def __init__(self, slots: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        if slots < 1:
            raise ValueError("slots must be at least 1")
        self.slots = slots
        self.limit = slots
        self.paused_until = float("-inf")
        self._monotonic = monotonic
        self._generation = 0

    @property
    def now(self) -> int:
        """Calls that may be under way at this moment: 0 during a pause, which ends by itself."""
        return 0 if self._monotonic() < self.paused_until else self.limit

    def begin(self) -> int:
        """Return the ticket of a call that begins now, for `back_off`."""
        return self._generation

    def succeed(self) -> None:
        """Count a success: room for one call more."""
        self.limit = min(self.slots, self.limit + 1)

    def back_off(self, ticket: int, pause_s: float | None = None) -> None:
        """Count a call that found the server too busy. pause_s: seconds for which the server wants to be left alone."""
        if ticket == self._generation:
            self.limit = max(1, self.limit // 2)
            self._generation += 1
        if pause_s is not None and pause_s > 0:
            self.paused_until = max(self.paused_until, self._monotonic() + min(pause_s, MAX_PAUSE_S))
