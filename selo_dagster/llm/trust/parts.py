"""A text in parts, each of which is kept or dropped as a whole: sentences, lines, what stands in brackets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_BRACKETED: Final = re.compile(
    r"<!--|\[\[|\{\{|\([^()\n]{6,2000}\)|\[[^\[\]\n]{6,2000}\]|\$?\{[^{}]{6,2000}\}",
)
_CLOSED_BY: Final = {"<!--": "-->", "[[": "]]", "{{": "}}"}
_ENDS: Final = re.compile(
    r"(?<=[.!?…؟।])[\"”’»)\]]*\s+|(?<=[。！？])|[\r\n\v\f\u0085\u2028\u2029]+|\s[|•·–—]\s|"
    r"\s-{2,}\s"
)


def parts_of(text: str) -> list[tuple[int, int]]:
    """Return the places (begin, end) of the parts of a text, in order; what parts them lies between."""
    found: list[tuple[int, int]] = []
    at = 0
    for begin, end in _bracketed(text):
        found += _sentences(text, at, begin)
        found.append((begin, end))
        at = end
    found += _sentences(text, at, len(text))
    # A full stop after a bracket is no part of its own.
    whole: list[tuple[int, int]] = []
    for begin, end in found:
        if whole and not any(map(str.isalnum, text[begin:end])) and "\n" not in text[whole[-1][1] : begin]:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((begin, end))
    return whole


def _bracketed(text: str) -> Iterator[tuple[int, int]]:
    """Yield what stands in brackets, in one pass: what nothing closes is not looked for twice."""
    unclosed: set[str] = set()
    at = 0
    while match := _BRACKETED.search(text, at):
        opened = match[0]
        closed_by = _CLOSED_BY.get(opened)
        end = match.end()
        if closed_by is not None:
            place = -1 if opened in unclosed else text.find(closed_by, end)
            if place < 0 and opened != "<!--":
                unclosed.add(opened)
                at = match.start() + 1
                continue
            end = len(text) if place < 0 else place + len(closed_by)
        yield match.start(), end
        at = end


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
