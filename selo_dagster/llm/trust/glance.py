"""A glance at a text: cheap, and enough to tell that nearly every text needs no closer look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from selo_dagster.llm.trust.forms import without_accents

_WORDS: Final = re.compile(r"[^\W_]+")
_PLAIN_WORDS: Final = re.compile("[a-z0-9]+")

_SPELLED: Final = b"\1" * 4


@dataclass(frozen=True, slots=True)
class Glance:
    """What is seen at once. words: in lower case, also without accents and apart from other scripts; signs: every
    character.

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
    further: list[str] = []
    if not text.isascii():
        # Of a capital I with a dot there is a dot left.
        plain = plain.replace("i\u0307", "i")
        further = _PLAIN_WORDS.findall(without_accents(plain))
    words = _WORDS.findall(plain)
    lengths = bytes(map(min, map(len, words), repeat(255)))
    return Glance(
        text,
        plain,
        frozenset(words).union(further),
        frozenset(text),
        max(map(len, plain.split()), default=0),
        _SPELLED in lengths,
        lengths.count(2),
    )
