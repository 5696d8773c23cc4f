"""Whether a server answered what a step asked: noted where it is asked, read when the step has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Heard:
    """What one try of a step has heard. answered: whether a server answered something, well or not."""

    answered: bool = False


_HEARD: ContextVar[Heard | None] = ContextVar("selo_heard", default=None)


@contextmanager
def told_to(heard: Heard) -> Iterator[None]:
    """Let one hear what is heard inside, also in threads that take over its context."""
    before = _HEARD.set(heard)
    try:
        yield
    finally:
        _HEARD.reset(before)


def note_answer() -> None:
    """Note that a server answered. What no server answered says nothing of one."""
    heard = _HEARD.get()
    if heard is not None:
        heard.answered = True
