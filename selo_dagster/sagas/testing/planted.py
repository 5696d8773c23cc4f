"""A definition with a fault planted in one step; everything else, and its name, stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selo_dagster.sagas.definition import Saga, Step
from selo_dagster.sagas.given import Given, Probed

Around = Callable[[Callable[..., Any]], Callable[[Given, Any], Any]]
"""Makes another handler of a handler."""


def planted(
    saga: Saga, name: str, *, action: Around | None = None, undo: Around | None = None, blind: bool = False
) -> Saga:
    """Return a saga with a step's action or undo put into another, or with its probe that cannot tell anything.

    It does not pass the gate again, which refuses functions within functions, and is never started: only carried on.
    """
    step = saga.step(name)
    changes: dict[str, Any] = {}
    if action is not None:
        changes["action"] = action(step.action)
    if undo is not None and step.compensation is not None:
        changes["compensation"] = step.compensation.model_copy(update={"handler": undo(step.compensation.handler)})
    if blind:
        changes["probe"] = cannot_tell
    other = step.model_copy(update=changes)
    fields = {field: getattr(saga, field) for field in Saga.model_fields}
    # A copy would keep what the original has worked out about its steps.
    return Saga.model_construct(**fields | {"steps": tuple(other if one is step else one for one in saga.steps)})


def cannot_tell(_given: Given, _handed: Any) -> Probed:
    """Say that nobody knows."""
    return Probed("unknown")


def raising(error: Callable[[], Exception], *, after: bool = False, times: int | None = None) -> Around:
    """Return what raises an error instead of the work, or after it; for ever or so many times."""
    left = [times]

    def around(handler: Callable[..., Any]) -> Callable[[Given, Any], Any]:
        def other(given: Given, handed: Any) -> Any:
            if left[0] == 0:
                return handler(given, handed)
            left[0] = None if left[0] is None else left[0] - 1
            if after:
                handler(given, handed)
            raise error()

        return other

    return around


def first(happening: Callable[[], None]) -> Around:
    """Return what lets something happen before the work is done for the first time."""
    left = [happening]

    def around(handler: Callable[..., Any]) -> Callable[[Given, Any], Any]:
        def other(given: Given, handed: Any) -> Any:
            if left:
                left.pop()()
            return handler(given, handed)

        return other

    return around


def counted(calls: list[str], step: Step) -> Around:
    """Return what notes each call of a step's handler."""

    def around(handler: Callable[..., Any]) -> Callable[[Given, Any], Any]:
        def other(given: Given, handed: Any) -> Any:
            calls.append(step.name)
            return handler(given, handed)

        return other

    return around
