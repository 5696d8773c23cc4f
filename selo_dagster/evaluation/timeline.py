"""When what happens: the instants at which everybody's ended days are looked at, and what came before each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final

from selo_dagster.clock import UTC, parse_instant
from selo_dagster.evaluation.case import Case, Forget, Merge

NOON: Final = time(12, 0, tzinfo=UTC)
"""At this hour in Greenwich the day before has ended everywhere."""

AFTER: Final = timedelta(days=2)
"""How long it goes on after the last word: a week's reflection comes after its days."""


@dataclass
class Tick:
    """One look. lines: what was ingested since the last one; deeds: what was done since, by the case's id."""

    at: datetime
    lines: list[dict[str, Any]] = field(default_factory=list)
    deeds: list[tuple[Case, Forget | Merge]] = field(default_factory=list)

    @property
    def file(self) -> bytes:
        """Return the lines as a file to ingest; people come first."""
        ordered = sorted(self.lines, key=lambda one: one["type"] != "user")
        return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in ordered)


def ticks(cases: Sequence[Case]) -> list[Tick]:
    """Return the looks that these cases take, one a day; days without anything to see are looked at too."""
    instants = [at for case in cases for at in _instants(case)]
    if not instants:
        return []
    found = [_first_noon_after(min(instants))]
    last = max([*instants, *(datetime.combine(one.on, NOON) for case in cases for one in case.expects)]) + AFTER
    while found[-1] < last:
        found.append(found[-1] + timedelta(days=1))
    made = [Tick(at) for at in found]
    for case in cases:
        begin = min(_instants(case))
        for line in case.lines:
            at = begin if line["type"] == "user" and "at" not in line else parse_instant(line["at"])
            _tick_after(made, at).lines.append(line)
        for deed in case.deeds:
            _tick_after(made, deed.at).deeds.append((case, deed))
    return made


def _instants(case: Case) -> Iterator[datetime]:
    yield from (parse_instant(line["at"]) for line in case.lines if "at" in line)
    yield from (deed.at for deed in case.deeds)


def _first_noon_after(at: datetime) -> datetime:
    noon = datetime.combine(at.date(), NOON)
    return noon if noon > at else noon + timedelta(days=1)


def _tick_after(made: list[Tick], at: datetime) -> Tick:
    return made[max(0, (_first_noon_after(at) - made[0].at).days)]
