"""A saga as data: its steps, what each takes and makes, how each is undone, tried again and limited in time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from selo_dagster.errors import SeloError
from selo_dagster.sagas.given import Done, Given, Probed

StepKind = Literal["read", "generate", "effect", "pivot", "retriable"]
"""read: looks, changes nothing. generate: asks a model. effect: changes something that can be undone. pivot: from here
on there is no way back. retriable: after the pivot, tried until it is done."""

CHANGING: Final = frozenset({"effect", "pivot", "retriable"})

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]

Action = Callable[[Given, Any], Any]
Compensate = Callable[[Given, Any], None]
Probe = Callable[[Given, Any], Probed]


class Declared(BaseModel):
    """What sagas are made of: frozen, nothing unknown, and no value in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


class Retry(Declared):
    """How often something is tried, and how long is waited in between: full jitter under a growing cap.

    attempts: tries in all, over every run. base_s, cap_s: the n-th wait is random in 0 … min(cap, base · 2ⁿ⁻¹).
    """

    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    base_s: Seconds = 1.0
    cap_s: Seconds = 30.0

    def longest_wait_s(self, failures: int) -> float:
        """Return the bound of the wait after so many failures."""
        return min(self.cap_s, self.base_s * 2.0 ** (failures - 1))


class Compensation(Declared):
    """How a step is undone. accepts: model of what it needs, read from what the step records. R8, R9 of the notes."""

    handler: Compensate
    accepts: type[BaseModel]
    retry: Retry = Retry(attempts=6, base_s=2.0, cap_s=300.0)
    timeout_s: Seconds = 30.0


class Step(Declared):
    """One step.

    takes: field of `input` → where it comes from, `input.FIELD` of the saga or `STEP.FIELD` of an earlier step.
    after: steps that come before this one without giving it anything. records: model of what the step leaves for
    its undo. compensation, or irreversible: how it is undone, or why not. outside: its effect is not in the
    database: an intent is written first, and probe tells later whether it happened. refused: errors that mean
    "nothing was done". transient: errors that may pass.
    """

    name: Name
    says: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    kind: StepKind
    action: Action
    input: type[BaseModel]
    output: type[BaseModel]
    takes: Mapping[str, str] = Field(default_factory=lambda: MappingProxyType({}))
    after: tuple[str, ...] = ()
    records: type[BaseModel] | None = None
    compensation: Compensation | None = None
    irreversible: Annotated[str, StringConstraints(min_length=10, max_length=300)] | None = None
    outside: bool = False
    probe: Probe | None = None
    refused: tuple[type[Exception], ...] = ()
    transient: tuple[type[Exception], ...] = ()
    retry: Retry = Retry()
    timeout_s: Seconds = 60.0

    def __init__(self, **given: Any) -> None:
        """Check its form. Raises SeloError `bad_saga` with the step's name and every fault."""
        try:
            super().__init__(**given)
        except ValidationError as refused:
            raise SeloError("bad_saga", f"the step {str(given.get('name'))[:80]!r}: {_said(refused)}") from None

    @cached_property
    def needs(self) -> frozenset[str]:
        """The steps that have to be done before this one."""
        sources = {source.split(".", 1)[0] for source in self.takes.values()} - {"input"}
        return frozenset(sources | set(self.after))

    @property
    def in_database(self) -> bool:
        """Whether it works inside a transaction of the journal's database."""
        return self.kind != "generate" and not self.outside


class Saga(Declared):
    """One saga.

    duplicates: what `start` answers for a key that is there already. deadline_s: from its start until it is
    undone, or, after the pivot, an alert. undo_days: how long a completed one can still be undone. generations:
    how often it may be started anew by itself after it was undone for a passing reason. goes_first: it waits for none
    of the person's other sagas and takes no turn in their queue; its pivot has to end them.
    Raises SeloError `bad_saga` with the saga's name and every fault.
    """

    name: Name
    version: Annotated[int, Field(ge=1, le=10_000)]
    says: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    input: type[BaseModel]
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=30)]
    duplicates: Literal["existing", "reject"] = "existing"
    deadline_s: Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)] = 86_400.0
    undo_days: Annotated[int, Field(ge=0, le=3_650)] = 30
    generations: Annotated[int, Field(ge=1, le=10)] = 1
    goes_first: bool = False

    def __init__(self, **given: Any) -> None:
        """Check it. Raises SeloError `bad_saga`."""
        try:
            super().__init__(**given)
        except ValidationError as refused:
            raise SeloError("bad_saga", f"the saga {str(given.get('name'))[:80]!r}: {_said(refused)}") from None
        # Imported here: the gate reads what is declared above.
        from selo_dagster.sagas.gate import faults_of

        for fault in faults_of(self):
            raise SeloError("bad_saga", f"the saga {self.name!r}: {fault}")

    def step(self, name: str) -> Step:
        """Return a step by its name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps}

    @cached_property
    def order(self) -> tuple[Step, ...]:
        """The steps, each after all that it needs; among equals as declared."""
        done: list[Step] = []
        left = list(self.steps)
        while left:
            names = {step.name for step in done}
            ready = next((step for step in left if step.needs <= names), None)
            if ready is None:
                return tuple(done)
            done.append(ready)
            left.remove(ready)
        return tuple(done)

    @cached_property
    def sinks(self) -> frozenset[str]:
        """The steps on which no other rests."""
        return frozenset(self._by_name) - {name for step in self.steps for name in step.needs}

    @cached_property
    def pivot(self) -> Step | None:
        """The step from which on there is no way back."""
        return next((step for step in self.steps if step.kind == "pivot"), None)

    def dependents(self, name: str) -> frozenset[str]:
        """Return the steps that rest on a step directly: they are undone before it."""
        return frozenset(step.name for step in self.steps if name in step.needs)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that an undo depends on: order, models, kinds, limits. Handlers count by name."""
        return hashlib.sha256(json.dumps(self.document, sort_keys=True).encode()).hexdigest()

    @cached_property
    def document(self) -> dict[str, Any]:
        """The definition as JSON."""
        return {
            "name": self.name,
            "version": self.version,
            "input": self.input.model_json_schema(),
            "duplicates": self.duplicates,
            "deadline_s": self.deadline_s,
            "undo_days": self.undo_days,
            "generations": self.generations,
            "steps": [_step_document(step) for step in self.steps],
        }


def _step_document(step: Step) -> dict[str, Any]:
    undo = step.compensation
    return {
        "name": step.name,
        "kind": step.kind,
        "outside": step.outside,
        "action": named(step.action),
        "probe": None if step.probe is None else named(step.probe),
        "input": step.input.model_json_schema(),
        "output": step.output.model_json_schema(),
        "records": None if step.records is None else step.records.model_json_schema(),
        "takes": dict(step.takes),
        "after": list(step.after),
        "irreversible": step.irreversible,
        "retry": step.retry.model_dump(),
        "timeout_s": step.timeout_s,
        "compensation": None
        if undo is None
        else {
            "handler": named(undo.handler),
            "accepts": undo.accepts.model_json_schema(),
            "retry": undo.retry.model_dump(),
            "timeout_s": undo.timeout_s,
        },
    }


def named(handler: Callable[..., Any]) -> str:
    """Return a handler's place: module and name."""
    return f"{getattr(handler, '__module__', '?')}:{getattr(handler, '__qualname__', '?')}"


def _said(refused: ValidationError) -> str:
    faults = refused.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        for one in faults[:5]
    )


__all__ = ["CHANGING", "Compensation", "Done", "Given", "Probed", "Retry", "Saga", "Step", "named"]
