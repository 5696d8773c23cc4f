"""What the payload of an event may hold."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import EVENT_TYPES

PAYLOAD_LIMIT: Final = 1 << 16
"""Bytes of a payload as JSON."""

PAYLOAD_DEPTH: Final = 8
"""Objects and lists inside one another, the payload itself included."""

UNIT_FIELDS: Final = frozenset({"importance", "confidence", "intensity"})
"""Numbers from 0 to 1 wherever they stand."""


def is_unit(value: Any) -> bool:
    """Tell whether a value is a number from 0 to 1. A bool is no number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def is_storable(text: str) -> bool:
    """Tell whether both databases can hold a text: no NUL, no lone surrogate."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def checked_payload(event: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Return `payload` if it can belong to an event of this name.

    Raises SeloError `bad_payload`, `too_deep`, `too_long`, `out_of_range` or `missing_field`; the sentence
    holds nothing of the payload.
    """
    _check(payload, 1)
    if len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > PAYLOAD_LIMIT:
        raise SeloError("too_long", f"payload must be at most {PAYLOAD_LIMIT // 1024} KiB as JSON")
    declared = EVENT_TYPES.get(event)
    if declared is not None:
        declared.checked(payload)
    return payload


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if not is_storable(value):
            raise SeloError("bad_payload", "payload must hold no NUL character and no lone surrogate")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise SeloError("bad_payload", "payload must hold finite numbers only")
    elif isinstance(value, (dict, list)):
        if depth > PAYLOAD_DEPTH:
            raise SeloError("too_deep", f"payload must be nested at most {PAYLOAD_DEPTH} deep")
        if isinstance(value, list):
            for inner in value:
                _check(inner, depth + 1)
            return
        for name, inner in value.items():
            _check(name, depth)
            if name in UNIT_FIELDS and not is_unit(inner):
                raise SeloError("out_of_range", f"payload: {name} must be a number from 0 to 1")
            _check(inner, depth + 1)


def same_json(one: Any, other: Any) -> bool:
    """Tell whether two JSON values mean the same: 1 and 1.0 do, 1 and true do not.

    PostgreSQL keeps 1e300 as an integer of 301 digits, hence the second look at numbers.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other or (
            isinstance(one, float) != isinstance(other, float) and _as_float(one) == _as_float(other)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf
