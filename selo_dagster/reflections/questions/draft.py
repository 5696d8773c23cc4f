"""A question as a reflection proposes it, brought into the one form that the queue keeps."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import Final

from selo_dagster.llm.citations import Passage
from selo_dagster.llm.quotes import says

GENERAL: Final = "general"
TOPIC_LENGTH: Final = 40
DEFAULT_PRIORITY: Final = 3
"""The predecessor's."""

DEFAULT_DELAY_DAYS: Final = 7
"""The predecessor's."""

LONGEST_DELAY_DAYS: Final = 365

_MARKS: Final = ("?", "？", "؟", "⸮", "՞", "፧")
_CLOSING: Final = "\"'”’»)]）」』"
_FULL_STOPS: Final = ".!…,;: 。！，；："
_WIDE: Final = {"W", "F"}


@dataclass(frozen=True)
class Draft:
    """A proposed question. priority: 1 (most urgent) to 5; delay_days: not to be asked before, from now.

    citations: what it rests on, as "memory:m1", and the passage there.
    """

    question: str
    topic: str = GENERAL
    priority: int = DEFAULT_PRIORITY
    delay_days: int = DEFAULT_DELAY_DAYS
    citations: tuple[tuple[str, Passage], ...] = ()

    @property
    def evidence(self) -> tuple[str, ...]:
        """The sources that it rests on, each once."""
        return tuple(dict.fromkeys(name for name, _ in self.citations))


def normalised(draft: Draft) -> Draft:
    """Return `draft` on one line, ending with a question mark, its topic in lower case and its numbers in range.

    A draft without any words has an empty question afterwards.
    """
    return replace(
        draft,
        question=_asking(one_line(draft.question)),
        topic=one_line(draft.topic).lower()[:TOPIC_LENGTH].strip() or GENERAL,
        priority=min(5, max(1, draft.priority)),
        delay_days=min(LONGEST_DELAY_DAYS, max(0, draft.delay_days)),
    )


def one_line(text: str) -> str:
    """Return `text` in NFC on one line, without controls and lone surrogates, which no database takes."""
    kept = "".join(" " if unicodedata.category(character) in {"Cc", "Cs"} else character for character in text)
    return " ".join(unicodedata.normalize("NFC", kept).split())


def _asking(text: str) -> str:
    if not says(text):
        return ""
    if text.rstrip(_CLOSING).endswith(_MARKS):
        return text
    text = text.rstrip(_FULL_STOPS)
    return text + ("？" if unicodedata.east_asian_width(text[-1]) in _WIDE else "?")
