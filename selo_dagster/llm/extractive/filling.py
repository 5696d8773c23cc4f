"""What can be said of any little."""

from __future__ import annotations

from collections.abc import Iterable

from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.wording import listed, when


def filling(day: Day, words: int, low: int) -> list[str]:
    """Return what can be said of any little, as much of it as the lower bound asks for."""
    lines: list[str] = []
    if words >= low:
        return lines
    for line in [*_counted(day), *(day.every("sparse") if day.is_quiet else ()), *day.every("reserve")]:
        lines.append(line)
        words += words_in([line])
        if words >= low:
            break
    return lines


def _counted(day: Day) -> list[str]:
    reads = [one for one in day.reads if one.is_theirs and not one.source.late]
    if not reads:
        return []
    messages = sum(one.source.source == "message" for one in reads)
    numbers = ((messages, "message", "messages"), (len(reads) - messages, "memory", "memories"))
    counts = listed([f"{number} {one if number == 1 else many}" for number, one, many in numbers if number])
    ends = list(dict.fromkeys(when(one.source.local) for one in (reads[0], reads[-1])))
    between = ends[0] if len(ends) == 1 else f"the first {ends[0]} and the last {ends[1]}"
    return [day.say("counted", counts=counts, between=between)]


def words_in(lines: Iterable[str]) -> int:
    """Return how many words there are in the lines together."""
    return sum(len(line.split()) for line in lines)
