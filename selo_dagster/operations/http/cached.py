"""An answer that is computed once for many who ask, and never keeps them waiting for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

Answer = TypeVar("Answer")

SHARE: Final = 0.05
"""Of a processor's time, what computing answers anew may take at most."""


class Cached(Generic[Answer]):
    """Computes an answer when it is asked for and the last one is too old.

    One computes, the others get the last answer meanwhile; only where there is none yet do they wait. The answer is
    kept for `least_s` seconds, and for longer if computing it is dear: so long that it takes no more than 5 % of a
    processor, up to `most_s`. An error is kept and raised like an answer.
    """

    def __init__(
        self,
        compute: Callable[[], Answer],
        *,
        least_s: float = 1.0,
        most_s: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute = compute
        self._least_s, self._most_s = least_s, most_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._error: Exception | None = None
        self._until = float("-inf")
        self.computed_at = float("-inf")
        """When the last answer was computed, in seconds of the monotonic clock."""

    @property
    def at_hand(self) -> bool:
        """Whether asking costs nothing: the answer is young, or somebody else is computing the next one."""
        return self._fresh or (self._there_is_one and self._lock.locked())

    @property
    def _fresh(self) -> bool:
        return self._monotonic() < self._until

    @property
    def _there_is_one(self) -> bool:
        return self.computed_at > float("-inf")

    def get(self) -> Answer:
        """Return the answer, or raise what computing it raised."""
        if not self._fresh and self._lock.acquire(blocking=not self._there_is_one):
            try:
                if not self._fresh:
                    self._renew()
            finally:
                self._lock.release()
        if self._error is not None:
            # Without the frames of whoever it was raised to before.
            raise self._error.with_traceback(None)
        return self._answer  # type: ignore[return-value] # computed before anybody gets here

    def _renew(self) -> None:
        began = self._monotonic()
        try:
            self._answer, self._error = self._compute(), None
        except Exception as broken:  # noqa: BLE001 - kept for whoever asks, and raised there
            self._error = broken
        ended = self._monotonic()
        self.computed_at = ended
        self._until = ended + min(self._most_s, max(self._least_s, (ended - began) / SHARE))
