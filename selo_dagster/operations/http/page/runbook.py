"""The runbook, read once: what to do about each code that the status may name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

FILE: Final = "runbook.md"

_HEADING: Final = re.compile(r"^## +(\S.*?) *$")
_ITEM: Final = re.compile(r"^(?:[*-]|\d+\.) +")
_FENCE: Final = "```"
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_CODE: Final = re.compile(r"`([^`]*)`")


@dataclass(frozen=True)
class Piece:
    """Words, or something to type."""

    text: str
    code: bool


@dataclass(frozen=True)
class Block:
    """A paragraph, an item of a list, or lines to type. what: `p`, `li` or `pre`."""

    what: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Section:
    """What the runbook says of one code."""

    code: str
    blocks: tuple[Block, ...]


@lru_cache(maxsize=1)
def runbook() -> dict[str, Section]:
    """Return the sections of the runbook by their code, in its order."""
    return {section.code: section for section in sections(_text())}


def _text() -> str:
    packed = resources.files("selo_dagster") / FILE
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    return (Path(__file__).parents[4] / "docs" / FILE).read_text(encoding="utf-8")


def sections(text: str) -> Iterator[Section]:
    """Yield the second-level sections of a Markdown text of paragraphs, lists and fenced lines."""
    code, lines, fenced = "", list[str](), False
    for line in text.splitlines():
        fenced ^= line.startswith(_FENCE)
        heading = None if fenced else _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        if code:
            yield Section(code, tuple(_blocks(lines)))
        code, lines = heading[1], []
    if code:
        yield Section(code, tuple(_blocks(lines)))


def _blocks(lines: list[str]) -> Iterator[Block]:
    """Yield the blocks of a section: they end at an empty line, an item at the next one, fenced lines at the fence."""
    what, gathered = "p", list[str]()
    for line in [*lines, ""]:
        if what == "pre":
            if line.startswith(_FENCE):
                yield Block("pre", (Piece("\n".join(gathered), code=True),))
                what, gathered = "p", []
            else:
                gathered.append(line)
            continue
        item = _ITEM.match(line)
        if (not line.strip() or item or line.startswith(_FENCE)) and gathered:
            yield Block(what, pieces(" ".join(gathered)))
            what, gathered = "p", []
        if line.startswith(_FENCE):
            what = "pre"
        elif item:
            what, gathered = "li", [line[item.end() :].strip()]
        elif line.strip():
            gathered.append(line.strip())


def pieces(text: str) -> tuple[Piece, ...]:
    """Return a text with what stands between backticks as something to type; links lose their address."""
    text = _LINK.sub(r"\1", text).replace("**", "")
    return tuple(Piece(part, code=place % 2 == 1) for place, part in enumerate(_CODE.split(text)) if part)
