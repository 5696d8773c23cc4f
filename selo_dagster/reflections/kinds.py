"""The kinds of reflection: one entry each, read by everything that is named after a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from selo_dagster.errors import SeloError


@dataclass(frozen=True)
class Kind:
    """One kind of reflection.

    asset, job, schedule: its names in Dagster. words: accepted words of the text, inclusive.
    word_tolerance: words by which an answer may miss the bounds. due: said to people.
    """

    name: str
    asset: str
    job: str
    schedule: str
    words: tuple[int, int]
    due: str
    purpose: str
    word_tolerance: int = 20


DAILY: Final = Kind(
    name="daily",
    asset="daily_reflection",
    job="daily_reflections",
    schedule="daily_reflections_schedule",
    words=(70, 200),
    due="00:00 of each person's own next day",
    purpose="Reflects on the local day that ended: what was said, what is remembered of it.",
)

KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in (DAILY,)}


def kind_named(name: str) -> Kind:
    """Return a kind by its name. Raises SeloError `unknown_kind`."""
    try:
        return KINDS[name]
    except KeyError:
        raise SeloError("unknown_kind", f"there is no kind {name[:40]!r}: use one of {', '.join(KINDS)}") from None
