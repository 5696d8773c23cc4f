"""The gate: a saga that could not be undone, or not be carried out, is refused when it is declared."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

if TYPE_CHECKING:
    from selo_dagster.sagas.definition import Saga, Step


RESERVED: Final = frozenset({"input", "claim", "settle", "verdict", "forward", "compensation", "start"})
"""Names that the saga's job has itself, or that `takes` reads as the saga's input."""


def faults_of(saga: Saga) -> Iterator[str]:
    """Yield what is wrong with a saga, each fault naming its step."""
    names = [step.name for step in saga.steps]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"there are two steps {name!r}"
    for name in sorted(set(names) & RESERVED):
        yield f"a step must not be called {name!r}: that is the saga's own"
    for name in sorted(f"undo_{name}" for name in names if f"undo_{name}" in names):
        yield f"a step must not be called {name!r}: that is the undo of another"
    for step in saga.steps:
        for fault in (*_of_kind(step), *_of_undo(step), *_of_handlers(step), *_of_takes(saga, step)):
            yield f"step {step.name!r} {fault}"
    unknown = any(need not in names for step in saga.steps for need in step.needs)
    if not unknown and len(saga.order) < len(saga.steps):
        left = sorted(set(names) - {step.name for step in saga.order})
        yield f"steps {', '.join(repr(name) for name in left)} wait for each other in a circle"
    elif not unknown:
        yield from _of_order(saga)
    yield from _of_limits(saga)


def _of_kind(step: Step) -> Iterator[str]:
    if step.kind in {"read", "generate"}:
        if step.compensation is not None:
            yield f"is a {step.kind} step and has an undo: there is nothing to undo"
        if step.irreversible is not None:
            yield f"is a {step.kind} step and says why it cannot be undone: there is nothing to undo"
        if step.outside:
            yield f"is a {step.kind} step and has an effect outside"
        if step.records is not None:
            yield f"is a {step.kind} step and records something for an undo that it cannot have"
    if step.kind == "effect" and (step.compensation is None) == (step.irreversible is None):
        yield "needs a compensation, or else a stated reason why there is none"
    if step.kind in {"pivot", "retriable"} and step.compensation is not None:
        yield f"is a {step.kind} step: there is no way back, so it has no undo"
    if step.outside and step.kind != "read" and step.probe is None:
        yield "has an effect outside and no probe: after a crash nobody could tell whether it happened"
    if not step.outside and step.probe is not None:
        yield "has a probe and no effect outside: the journal knows whether it happened"


def _of_undo(step: Step) -> Iterator[str]:
    undo = step.compensation
    if undo is None:
        if step.records is not None:
            yield "records something and has no undo that reads it"
        return
    if step.records is None:
        yield "has an undo and records nothing for it: declare `records`"
        return
    recorded = step.records.model_fields
    for name, field in undo.accepts.model_fields.items():
        if name not in recorded:
            if field.is_required():
                yield f"has an undo that needs {name!r}, which the step does not record"
        elif recorded[name].annotation != field.annotation:
            yield f"records {name!r} in another form than its undo accepts"
    if undo.accepts.model_config.get("extra") == "forbid":
        for name in sorted(set(recorded) - set(undo.accepts.model_fields)):
            yield f"records {name!r}, which its undo refuses"


def _of_handlers(step: Step) -> Iterator[str]:
    handlers: list[tuple[str, Any, int]] = [("action", step.action, 2)]
    if step.compensation is not None:
        handlers.append(("compensation", step.compensation.handler, 2))
    if step.probe is not None:
        handlers.append(("probe", step.probe, 2))
    for what, handler, arguments in handlers:
        if getattr(handler, "__name__", "<lambda>") == "<lambda>":
            yield f"has a nameless {what}: a handler is a function of a module, so that a later version can find it"
            continue
        if "<locals>" in getattr(handler, "__qualname__", ""):
            yield f"has a {what} inside another function: a handler is a function of a module"
        if inspect.iscoroutinefunction(handler):
            yield f"has an async {what}: handlers are called in a thread and answer when they return"
        if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
            yield f"has a {what} that is a generator: calling it would do nothing"
        try:
            inspect.signature(handler).bind(*range(arguments))
        except (TypeError, ValueError):
            yield f"has a {what} that does not take what was given and its input"


def _of_takes(saga: Saga, step: Step) -> Iterator[str]:
    known = {one.name: one for one in saga.steps}
    for field, source in step.takes.items():
        if field not in step.input.model_fields:
            yield f"takes {field!r}, which its input does not have"
            continue
        place, _, name = source.partition(".")
        giver: type[BaseModel] | None = saga.input if place == "input" else None
        if giver is None and place in known:
            giver = known[place].output
        if giver is None or not name:
            yield f"takes {field!r} from {source!r}: nobody produces that"
        elif name not in giver.model_fields:
            yield f"takes {field!r} from {source!r}: {place} has no field {name!r}"
        elif place == step.name:
            yield f"takes {field!r} from itself"
    for name, declared in step.input.model_fields.items():
        if declared.is_required() and name not in step.takes:
            yield f"needs {name!r} and nobody gives it"
    for name in sorted(set(step.after) - set(known)):
        yield f"comes after {name!r}, which is no step"
    if step.name in step.after:
        yield "comes after itself"


def _of_order(saga: Saga) -> Iterator[str]:
    pivots = [step.name for step in saga.steps if step.kind == "pivot"]
    if len(pivots) > 1:
        yield f"there is one way of no return, not several: {', '.join(pivots)}"
    before = _ancestors(saga, pivots[0]) if pivots else set()
    for step in saga.steps:
        if step.kind == "retriable" and not pivots:
            yield f"step {step.name!r} is retriable, and there is no pivot before it"
        elif step.kind == "retriable" and pivots[0] not in _ancestors(saga, step.name):
            yield f"step {step.name!r} is retriable and does not come after the pivot"
        elif step.kind == "effect" and pivots and step.name not in before:
            # Failing there, it could neither go back nor be sure to go on.
            yield f"step {step.name!r} is an effect and does not come before the pivot: make it retriable"
    changing = {step.name for step in saga.steps if step.kind in {"effect", "pivot", "retriable"}}
    if not changing:
        yield "changes nothing: a saga without an effect is no saga"
    useful = changing | {name for step in changing for name in _ancestors(saga, step)}
    for step in saga.steps:
        if step.name not in useful:
            yield f"step {step.name!r} leads nowhere: no change rests on it"


def _ancestors(saga: Saga, name: str) -> set[str]:
    found: set[str] = set()
    left = list(saga.step(name).needs)
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += saga.step(one).needs
    return found


def _of_limits(saga: Saga) -> Iterator[str]:
    if saga.goes_first and saga.pivot is None:
        yield "goes first and has no pivot: it would work beside the person's other sagas to its end"
    total = sum(step.timeout_s for step in saga.steps)
    if total > saga.deadline_s:
        yield f"its steps may take {total:g} s together, longer than its deadline of {saga.deadline_s:g} s"
    for step in saga.steps:
        for retry in (step.retry, *([step.compensation.retry] if step.compensation else [])):
            if retry.base_s > retry.cap_s:
                yield f"step {step.name!r} waits {retry.base_s:g} s at first and at most {retry.cap_s:g} s"
