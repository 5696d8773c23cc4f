"""Calls a function with a limit of time, from outside: what comes too late is left to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any


def limited(limit_s: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, or raise what it raises. Raises TimeoutError after `limit_s` seconds.

    In a daemon thread of its own: neither the caller nor the end of the process waits for a call that hangs.
    """
    outcome: list[tuple[bool, Any]] = []
    context = copy_context()

    def call() -> None:
        try:
            outcome.append((True, context.run(function, *arguments)))
        except BaseException as broken:  # noqa: BLE001 - handed to the caller as it is
            outcome.append((False, broken))

    thread = threading.Thread(target=call, name="selo-call", daemon=True)
    thread.start()
    thread.join(limit_s)
    if not outcome:
        raise TimeoutError(f"no answer within {limit_s:g} s")
    returned, value = outcome[0]
    if returned:
        return value
    raise value
