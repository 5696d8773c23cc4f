"""A text in parts, each of which is kept or dropped as a whole: sentences, lines, what stands in brackets."""

from __future__ import annotations

import re
from typing import Final

_BRACKETED: Final = re.compile(
    r"<!--.*?(?:-->|$)|\[\[.*?\]\]|\{\{.*?\}\}|\([^()\n]{6,2000}\)|\[[^\[\]\n]{6,2000}\]|\$?\{[^{}]{6,2000}\}",
    re.DOTALL,
)
_ENDS: Final = re.compile(
    r"(?<=[.!?…؟।])[\"”’»)\]]*\s+|(?<=[。！？])|[\r\n\v\f\u0085\u2028\u2029]+|\s[|•·–—]\s|"
    r"\s-{2,}\s"
)


def parts_of(text: str) -> list[tuple[int, int]]:
    """Return the places (begin, end) of the parts of a text, in order; what parts them lies between."""
    found: list[tuple[int, int]] = []
    at = 0
    for match in _BRACKETED.finditer(text):
        found += _sentences(text, at, match.start())
        found.append(match.span())
        at = match.end()
    found += _sentences(text, at, len(text))
    # A full stop after a bracket is no part of its own.
    whole: list[tuple[int, int]] = []
    for begin, end in found:
        if whole and not any(map(str.isalnum, text[begin:end])) and "\n" not in text[whole[-1][1] : begin]:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((begin, end))
    return whole


def _sentences(text: str, begin: int, end: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = begin
    for match in _ENDS.finditer(text, begin, end):
        found.append((at, match.start()))
        at = match.end()
    found.append((at, end))
    return [span for span in found if text[span[0] : span[1]].strip()]


def without(text: str, dropped: list[tuple[int, int]]) -> str:
    """Return a text without these places, with what is left as it stood."""
    kept: list[str] = []
    at = 0
    for begin, end in dropped:
        kept.append(text[at:begin])
        at = end
    kept.append(text[at:])
    whole = "".join(kept)
    # What parted a dropped part from its neighbours is no text of its own.
    whole = re.sub(r"[ \t]{2,}", " ", whole)
    whole = re.sub(r"\n{3,}", "\n\n", whole)
    whole = re.sub(r" +([.,;:!?…])(?=\s|$)", r"\1", whole)
    return whole.strip()
