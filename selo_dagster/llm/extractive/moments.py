"""The moments of a day: words, what was remembered of them, thoughts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from selo_dagster.llm.extractive.lexicon import Feeling, feelings_in
from selo_dagster.llm.extractive.wording import clean, sentences
from selo_dagster.llm.protocol import Evidence

FEW_WORDS: Final = 4
_MESSAGE_WEIGHT, _THOUGHT_WEIGHT, _UNWEIGHED = 0.3, 0.2, 0.5
_MEMORY_FOLLOWS_S = 180
_TELLING = 24


@dataclass(frozen=True, slots=True)
class Read:
    """A source as it was read: its text clean, its feelings found."""

    source: Evidence
    text: str
    feelings: tuple[Feeling, ...]

    @property
    def is_theirs(self) -> bool:
        return _is_theirs(self.source)

    @property
    def weight(self) -> float:
        if self.source.source in {"memory", "context", "event"}:
            return _UNWEIGHED if self.source.importance is None else self.source.importance
        return _MESSAGE_WEIGHT if self.source.source == "message" else _THOUGHT_WEIGHT


@dataclass(slots=True)
class Moment:
    """Words, a memory or a thought. memory: what was remembered of the words. asked: my question before them."""

    first: Read
    memory: Read | None = None
    asked: str = ""

    @property
    def said(self) -> Read | None:
        return self.first if self.first.source.source == "message" else None

    @property
    def kept(self) -> Read | None:
        return self.first if self.first.source.source in {"memory", "context", "event"} else self.memory

    @property
    def parts(self) -> list[Read]:
        return [self.first] if self.memory is None else [self.first, self.memory]

    @property
    def main(self) -> Read:
        """The words themselves, unless they are so few that only the memory tells what they were about."""
        if self.memory is not None and self.first.text.count(" ") < FEW_WORDS:
            return self.memory
        return self.first

    @property
    def aliases(self) -> list[str]:
        return [part.source.alias for part in self.parts]

    @property
    def tells(self) -> bool:
        """Whether it can stand alone: a memory, an answer to a question shown with it, or more than a few words."""
        return self.kept is not None or bool(self.asked) or len(self.main.text.encode()) >= _TELLING

    @property
    def late(self) -> bool:
        return self.main.source.late

    def strength(self) -> tuple[float, float, int, float]:
        feeling = sum(one.weight for part in self.parts for one in part.feelings)
        length = min(sum(part.text.count(" ") for part in self.parts) // 10, 4)
        return max(part.weight for part in self.parts), feeling, length, self.main.source.at.timestamp()


def read_of(source: Evidence) -> Read:
    """Read a source: feelings are looked for in what is the person's only."""
    text = clean(source.text)
    return Read(source, text, tuple(feelings_in(text)) if _is_theirs(source) else ())


def _is_theirs(source: Evidence) -> bool:
    # What was given with a request is told for the person's sake, as a memory is.
    return source.role == "user" if source.source == "message" else source.source in {"memory", "context", "event"}


def moments_of(reads: Sequence[Read]) -> list[Moment]:
    """Pair each memory with the words shortly before it, and those with my question before them. No text twice."""
    found: list[Moment] = []
    seen: set[str] = set()
    asked, last = "", None
    for read in reads:
        if read.source.role in {"assistant", "system"} and read.source.source == "message":
            asked = _question(read.text) if read.source.role == "assistant" else ""
            continue
        if not read.text or read.text.lower() in seen:
            continue
        seen.add(read.text.lower())
        if read.source.source == "message":
            last = Moment(read, asked=asked)
            found.append(last)
            asked = ""
        elif read.is_theirs and last is not None and _belongs(read, last):
            last.memory = read
        else:
            found.append(Moment(read))
    return found


def _belongs(memory: Read, moment: Moment) -> bool:
    if moment.memory is not None or moment.first.source.late != memory.source.late:
        return False
    return (memory.source.at - moment.first.source.at).total_seconds() <= _MEMORY_FOLLOWS_S


def _question(text: str) -> str:
    """Return the short question with which a text ends, or nothing."""
    if not text.endswith("?"):
        return ""
    last = sentences(text)[-1]
    return last if last.count(" ") < 14 and len(last) <= 90 else ""
