"""Fields of requests and answers: what they take, and how instants are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from selo_dagster.memory.faults import RefusedError
from selo_dagster.memory.lines import Id as CheckedId
from selo_dagster.memory.lines import Instant as CheckedInstant
from selo_dagster.memory.payloads import is_storable
from selo_dagster.operations.http.api.paging import LONGEST_CURSOR
from selo_dagster.output import instant
from selo_dagster.store.types import ID_LENGTH

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _storable(text: str) -> str:
    if not is_storable(text):
        raise RefusedError("bad_text")
    return text


def _day(value: Any) -> Any:
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise RefusedError("bad_date")
    return value


@dataclass(frozen=True)
class OneOf:
    """Of a text: one of these names only."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check it."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell the names."""
        return {**handler(schema), "enum": list(self.names)}

    def _checked(self, value: str) -> str:
        if value not in self.names:
            raise RefusedError("unknown_name")
        return value


Text = Annotated[str, Field(min_length=1, max_length=ID_LENGTH), AfterValidator(_storable)]
"""An id or a name to look for."""

Id = Annotated[CheckedId, Field(min_length=1, max_length=ID_LENGTH)]
"""An id as writers give it."""

Day = Annotated[date, BeforeValidator(_day)]

At = Annotated[CheckedInstant, WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant that is given, with an offset or Z."""

Instant = Annotated[
    datetime, PlainSerializer(instant, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""An instant that is told, in UTC."""


class Asked(BaseModel):
    """What is sent: nothing unknown, and no value in an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Paged(Asked):
    """How much of a list, and from where on."""

    limit: int = Field(50, ge=1, le=500, description="Rows at most.")
    cursor: str | None = Field(
        None, max_length=LONGEST_CURSOR, description="`next` of the page before; without it, from the beginning."
    )


class Told(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True)


class ActedTold(Told):
    """changed: false where there was nothing to do any more."""

    id: str
    state: str
    changed: bool
