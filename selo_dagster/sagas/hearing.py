"""What a step heard of a server: noted where one is asked, read when the step has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Heard:
    """What one try of a step has heard. asked: whether a server was; answered: whether it answered, well or not."""

    asked: bool = False
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


def note_request() -> None:
    """Note that a server is asked. What asks none says nothing of one, however it ends."""
    heard = _HEARD.get()
    if heard is not None:
        heard.asked = True


def note_answer() -> None:
    """Note that a server answered."""
    heard = _HEARD.get()
    if heard is not None:
        heard.answered = True
