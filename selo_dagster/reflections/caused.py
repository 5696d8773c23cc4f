"""What may be shown of a cause: the rule's name and the numbers of the events, never what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Caused:
    """What made a row. trigger: name of the rule; count: causes; events: numbers of the weightiest in the stream."""

    trigger: str
    count: int
    events: tuple[int, ...]

    def as_metadata(self) -> dict[str, str | int]:
        """Return it as Dagster shows it."""
        shown: dict[str, str | int] = {"trigger": self.trigger, "causes": self.count}
        if self.events:
            shown["cause_events"] = ", ".join(map(str, self.events))
        return shown


def caused_by(cause: Mapping[str, Any] | None) -> Caused | None:
    """Return what may be shown of a ledger row's cause; None: nothing caused it but time."""
    if cause is None:
        return None
    events = tuple(int(row[0]) for row in cause.get("causes") or [])
    named = cause.get("memories") or []
    return Caused(str(cause.get("trigger") or "asked"), int(cause.get("count") or len(named)), events)
