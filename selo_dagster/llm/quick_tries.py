"""Tries again at once what may pass by itself, as long as the time of the call allows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from selo_dagster.llm.errors import ModelError

T = TypeVar("T")

QUICK_TRIES: Final = 2
"""Tries after the first."""

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 2.0


async def with_quick_tries(
    ask: Callable[[], Awaitable[T]],
    *,
    left: Callable[[], float],
    random: Random,
    sleep: Callable[[float], Awaitable[None]],
    once: bool = False,
) -> T:
    """Await `ask()`, and again up to two times after a transient fault. left: seconds until the deadline.

    once: never after a request that may have been billed.
    Raises the last ModelError at once when it is not transient or when the pause before the next try,
    Retry-After included, would not end before the deadline.
    """
    for number in range(QUICK_TRIES):
        try:
            return await ask()
        except ModelError as error:
            pause = (error.retry_after_s or 0.0) + random.uniform(0, min(FIRST_PAUSE_S * 2**number, LONGEST_PAUSE_S))
            if not error.transient or pause >= left() or (once and error.billed):
                raise
        await sleep(pause)
    return await ask()
