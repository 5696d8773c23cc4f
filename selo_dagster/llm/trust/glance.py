"""A glance at a text: cheap, and enough to tell that nearly every text needs no closer look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORDS: Final = re.compile(r"[^\W_]+")

_SPELLED: Final = b"\1" * 4


@dataclass(frozen=True, slots=True)
class Glance:
    """What is seen at once. words: in lower case; signs: every character.

    spelled: whether four words of one letter follow each other; pairs: words of two.
    """

    text: str
    plain: str
    words: frozenset[str]
    signs: frozenset[str]
    longest: int
    spelled: bool
    pairs: int


def glance(text: str) -> Glance:
    """Look at a text once."""
    plain = text.lower()
    words = _WORDS.findall(plain)
    lengths = bytes([min(len(one), 255) for one in words])
    return Glance(
        text,
        plain,
        frozenset(words),
        frozenset(text),
        max(map(len, plain.split()), default=0),
        _SPELLED in lengths,
        lengths.count(2),
    )
