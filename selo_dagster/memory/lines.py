"""The four kinds of ingest lines: what each may hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from selo_dagster.clock import parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import EVENT_TYPES
from selo_dagster.memory.faults import RefusedError, sentence_for
from selo_dagster.memory.payloads import checked_payload, is_storable
from selo_dagster.people.keys import checked_id, has_controls
from selo_dagster.people.registry import checked_name
from selo_dagster.people.zones import canonical_zone

TAG_LIMIT: Final = 32
TAG_LENGTH: Final = 64
TRIGGERS_ALONE: Final = frozenset(name for name, one in EVENT_TYPES.items() if one.origin != "event")
"""Events that the database writes: a line that states one would pass for a message or memory that is not there."""

_KIND: Final = re.compile(r"[A-Za-z0-9_.:-]{1,80}", re.ASCII)
_EVENT: Final = re.compile(r"[a-z0-9_.]{1,80}", re.ASCII)
_TIME: Final = re.compile(r"[0-9TtZzWw:.,+ -]{1,64}", re.ASCII)
_TENANT: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}", re.ASCII)
_ZONE: Final = re.compile(r"[A-Za-z0-9_+/-]{1,64}", re.ASCII)

T = TypeVar("T")


def _refusing(call: Callable[[], T], *, shown: bool = True) -> T:
    """Call a rule; its refusal becomes one that pydantic collects. shown: its sentence may hold the value."""
    try:
        return call()
    except SeloError as refused:
        raise RefusedError(refused.code, refused.message if shown else None) from None


def _instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise RefusedError("wrong_type")
    # What looks like no time at all may be a person's words in the wrong field: not repeated.
    return _refusing(lambda: parse_instant(value), shown=_TIME.fullmatch(value) is not None)


def _zone(value: str) -> str:
    return _refusing(lambda: canonical_zone(value), shown=_ZONE.fullmatch(value) is not None)


def _id(value: str) -> str:
    try:
        return checked_id(value, "id")
    except SeloError as refused:
        raise RefusedError(refused.code) from None  # the field's own rule names the field


def _name(value: str) -> str:
    return _refusing(lambda: checked_name(value))


def _content(value: str) -> str:
    if not is_storable(value):
        raise RefusedError("bad_text")
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    value = value.replace("\r\n", "\n")
    if not value or value.isspace():
        raise RefusedError("empty")
    return value


def _tags(values: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for value in values:
        if has_controls(value):
            raise RefusedError("bad_tag")
        tag = unicodedata.normalize("NFC", value)
        if not tag.strip():
            raise RefusedError("empty")
        if len(tag) > TAG_LENGTH:
            raise RefusedError("too_long")
        found[tag] = None
    return list(found)


def _matching(pattern: re.Pattern[str], code: str) -> AfterValidator:
    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise RefusedError(code)
        return value

    return AfterValidator(check)


Id = Annotated[str, AfterValidator(_id)]
Name = Annotated[str, AfterValidator(_name)]
Zone = Annotated[str, AfterValidator(_zone)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Content = Annotated[str, AfterValidator(_content)]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tags = Annotated[list[str], Field(max_length=TAG_LIMIT), AfterValidator(_tags)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    id: Id


class UserLine(_Line):
    """A person. timezone: canonical; at: holds from then (UTC), None: from the beginning; tenant: whose they are."""

    type: Literal["user"]
    name: Name
    timezone: Zone
    at: Instant | None = None
    tenant: Annotated[str, _matching(_TENANT, "bad_tenant")] | None = None


class MessageLine(_Line):
    """One message of a conversation. content: NFC, lines end with `\\n`; at: UTC."""

    type: Literal["message"]
    user: Id
    conversation: Id
    role: Literal["user", "assistant", "system"]
    content: Content
    at: Instant


class MemoryLine(_Line):
    """Something worth keeping. importance, confidence: 0 to 1; message: the id of the one that it came from."""

    type: Literal["memory"]
    user: Id
    kind: Annotated[str, _matching(_KIND, "bad_kind")]
    content: Content
    importance: Unit
    confidence: Unit | None = None
    at: Instant
    message: Id | None = None
    tags: Tags | None = None


class EventLine(_Line):
    """Something that happened and is neither a message nor a memory. event: its name; payload: see `payloads`."""

    type: Literal["event"]
    user: Id
    event: Annotated[str, _matching(_EVENT, "bad_event")]
    at: Instant
    payload: dict[str, Any]

    @model_validator(mode="after")
    def _belongs(self) -> EventLine:
        if self.event in TRIGGERS_ALONE:
            raise RefusedError("reserved_event", "event: this name is kept for what the database writes by itself")
        _refusing(lambda: checked_payload(self.event, self.payload))
        return self


AnyLine = UserLine | MessageLine | MemoryLine | EventLine

LINES: Final[dict[str, type[AnyLine]]] = {
    "user": UserLine,
    "message": MessageLine,
    "memory": MemoryLine,
    "event": EventLine,
}


def parse_line(record: dict[str, Any]) -> AnyLine:
    """Return the line that a JSON object is.

    Raises SeloError with the code of the first fault and a sentence for each of the first three, which name
    the field and what is allowed and hold nothing of the line but plain ids, times and zone names.
    """
    kind = record.get("type")
    if kind is None:
        raise SeloError("missing_field", "type is required: one of user, message, memory, event")
    model = LINES.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise SeloError("bad_type", "type must be one of user, message, memory, event")
    try:
        return model.model_validate(record)
    except ValidationError as refused:
        raise sentence_for(refused, model) from None
