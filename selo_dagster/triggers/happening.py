"""An event as rules see it: typed, weighed, and with its age on arrival."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import EventType
from selo_dagster.memory.stream import StreamEvent

USUAL_WEIGHT = 0.5
"""Weight of an event that does not say how much it weighs."""


class Happening(NamedTuple):
    """One event.

    at: when it happened, but never after it arrived, so that one clock that runs ahead does not silence a person.
    weight: 0-1; fields: the declared ones of its payload that are set and not null; age_s: when it arrived.
    """

    seq: int
    type: str
    origin: str
    ref: str
    user_id: str
    at: datetime
    arrived_at: datetime
    age_s: float
    weight: float
    fields: Mapping[str, Any]

    def digest(self, field: str) -> str | None:
        """Return a fingerprint of a field's value, equal where the values are equal as JSON; None: not set."""
        value = self.fields.get(field)
        if value is None:
            return None
        text = json.dumps(_plain(value), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Return a JSON value with one form for each number: 1 and 1.0 are the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def happening_of(event: StreamEvent, declared: EventType) -> Happening:
    """Return an event as rules see it.

    Raises SeloError `wrong_origin` for one that only says it is what the database writes, and `missing_field` or
    `bad_payload` for a payload that is not as declared; the sentences hold nothing of the payload.
    """
    if event.origin != declared.origin:
        raise SeloError("wrong_origin", f"{declared.name} is written by {declared.publisher}, not stated as an event")
    if not isinstance(event.payload, dict):
        raise SeloError("bad_payload", "payload is no JSON object")
    payload = declared.checked(event.payload)
    given = declared.fields & payload.model_fields_set
    fields = {name: value for name in given if (value := getattr(payload, name)) is not None}
    weight = fields.get(declared.weight) if declared.weight else None
    return Happening(
        seq=event.seq,
        type=event.type,
        origin=event.origin,
        ref=event.ref,
        user_id=event.user_id,
        at=min(event.at, event.arrived_at),
        arrived_at=event.arrived_at,
        age_s=(event.arrived_at - event.at).total_seconds(),
        weight=USUAL_WEIGHT if weight is None else float(weight),
        fields=fields,
    )
