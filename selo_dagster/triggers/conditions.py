"""Conditions on one event: simple, compound, threshold, custom. Checked when the rule is declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from selo_dagster.memory.payloads import same_json
from selo_dagster.triggers.happening import Happening
from selo_dagster.triggers.kept import KEPT, Kept

Operator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "contains", "starts_with", "any"]
ORDERING: Final = frozenset({"gt", "gte", "lt", "lte"})
TEXTUAL: Final = frozenset({"contains", "starts_with"})

WindowSeconds = Annotated[float, Field(gt=0, le=7 * 86_400, allow_inf_nan=False)]
"""A window of at most a week: what is remembered of a person has a bound."""


class MismatchError(Exception):
    """A payload's value and a condition are of types that cannot be compared. field: the payload's field."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Declared(BaseModel):
    """What a rule is made of: frozen, nothing unknown, and no value in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


class Simple(Declared):
    """A field of the payload compared with a value. A missing field never holds; `any`: it is there and not null."""

    type: Literal["simple"] = "simple"
    field: str
    operator: Operator
    value: bool | int | float | str | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> Simple:
        numeric = isinstance(self.value, (int, float)) and not isinstance(self.value, bool)
        if self.operator in ORDERING and not numeric:
            raise ValueError(f"{self.operator} on {self.field!r} needs a number")
        if self.operator in TEXTUAL and not isinstance(self.value, str):
            raise ValueError(f"{self.operator} on {self.field!r} needs a text")
        if self.operator == "any" and self.value is not None:
            raise ValueError(f"any on {self.field!r} takes no value")
        if self.operator in {"eq", "neq"} and self.value is None:
            raise ValueError(f"{self.operator} on {self.field!r} needs a value")
        return self

    def holds(self, one: Happening, kept: Sequence[Kept]) -> bool:  # noqa: ARG002 - all conditions are asked alike
        """Tell whether it holds for an event. Raises MismatchError."""
        if self.field not in one.fields:
            return False
        found = one.fields[self.field]
        if self.operator == "any":
            return True
        if self.operator in {"eq", "neq"}:
            return same_json(found, self.value) is (self.operator == "eq")
        if self.operator in ORDERING:
            return self._ordered(found)
        return self._textual(found)

    def _ordered(self, found: Any) -> bool:
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise MismatchError(self.field)
        bound = self.value
        assert isinstance(bound, (int, float))  # noqa: S101 - held by the declaration
        return {"gt": found > bound, "gte": found >= bound, "lt": found < bound, "lte": found <= bound}[self.operator]

    def _textual(self, found: Any) -> bool:
        if self.operator == "contains" and isinstance(found, list):
            return self.value in found
        if not isinstance(found, str):
            raise MismatchError(self.field)
        wanted = str(self.value)
        return wanted in found if self.operator == "contains" else found.startswith(wanted)


class Threshold(Declared):
    """At least so many events of a type of this person within a window that ends with this event."""

    type: Literal["threshold"] = "threshold"
    event_type: str
    threshold: Annotated[int, Field(ge=1, le=KEPT)]
    time_window_seconds: WindowSeconds

    def holds(self, one: Happening, kept: Sequence[Kept]) -> bool:
        """Tell whether it holds for an event."""
        return len(self.counted(one, kept)) >= self.threshold

    def counted(self, one: Happening, kept: Sequence[Kept]) -> list[Kept]:
        """Return the events that count."""
        since = one.at - timedelta(seconds=self.time_window_seconds)
        return [seen for seen in kept if seen.type == self.event_type and since < seen.at <= one.at]


class Custom(Declared):
    """A function of one's own. It is given the event, reads nothing else, and answers at once."""

    type: Literal["custom"] = "custom"
    evaluator: Callable[[Happening], bool]

    @model_validator(mode="after")
    def _answers_at_once(self) -> Custom:
        called = getattr(self.evaluator, "__call__", None)  # noqa: B004 - an object's own, to see whether it is async
        if inspect.iscoroutinefunction(self.evaluator) or inspect.iscoroutinefunction(called):
            raise ValueError("its evaluator answers when it returns: it cannot be async")
        return self

    def holds(self, one: Happening, kept: Sequence[Kept]) -> bool:  # noqa: ARG002
        """Tell whether it holds for an event. Raises whatever the function raises: that parks the event."""
        return bool(self.evaluator(one))


class Compound(Declared):
    """Several conditions together; each is evaluated, so that a mismatch in one is always seen."""

    type: Literal["compound"] = "compound"
    operator: Literal["and", "or"]
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=20)]

    def holds(self, one: Happening, kept: Sequence[Kept]) -> bool:
        """Tell whether it holds for an event. Raises MismatchError."""
        found = [condition.holds(one, kept) for condition in self.conditions]
        return all(found) if self.operator == "and" else any(found)


Condition = Annotated[Simple | Threshold | Custom | Compound, Field(discriminator="type")]
Compound.model_rebuild()


def parts_of(condition: Simple | Threshold | Custom | Compound | None) -> Iterator[Simple | Threshold | Custom]:
    """Yield the conditions that a condition is made of."""
    if isinstance(condition, Compound):
        for one in condition.conditions:
            yield from parts_of(one)
    elif condition is not None:
        yield condition
