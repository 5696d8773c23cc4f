"""The base of what steps are given, hand on, and leave for their undo."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Handed(BaseModel):
    """Frozen, nothing unknown, no value in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def all_of(place: str, handed: type[BaseModel]) -> dict[str, str]:
    """Return what a step `takes` that is given everything that a place hands on."""
    return {name: f"{place}.{name}" for name in handed.model_fields}
