"""A line to live by, from the words of a reflection."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from difflib import SequenceMatcher
from itertools import product
from typing import Final

from selo_dagster.llm.extractive.lexicon import addresses, feelings_in, topics_in
from selo_dagster.llm.extractive.themes import theme_named
from selo_dagster.llm.extractive.wording import clean, clip
from selo_dagster.llm.protocol import CompletionRequest

LEAST_WORDS, MOST_WORDS = 6, 24
_ALIKE: Final = 0.8
_QUOTED: Final = re.compile("\u201c([^\u201d]*)\u201d")
_NEVER: Final = frozenset(
    ["ai", "llm", "gpt", "json", "prompt", "prompts", "guidelines", "assistant", "model", "models", "rules", "system"]
)

_THEMED: Final = (
    "I hold {theme} with a light hand",
    "I make room for {theme} without hurry",
    "I come back to {theme} with an open mind",
    "I let {theme} be as large as it is",
    "I listen for what {theme} is really about",
    "I stay close to {theme} and ask softly",
    "I give {theme} the time that it needs",
    "I keep {theme} in sight and breathe",
)
_FELT: Final = (
    "I meet {feeling} without turning away",
    "I let {feeling} sit beside me for a while",
    "I treat {feeling} as a guest who may leave",
    "I listen to {feeling} before I speak",
    "I keep {feeling} company and stay kind",
)
_PLAIN: Final = (
    "I stay near and keep my voice low",
    "I listen twice before I answer once",
    "I take the small things as seriously as the large",
    "I leave the door open and the lamp lit",
    "I remember what was said and what was meant",
)
_CLOSINGS: Final = (
    "and I let today be enough.",
    "and tomorrow I begin there.",
    "one honest step after another.",
    "and I do not rush the answer.",
    "because being there is already something.",
    "and I trust what grows slowly.",
    "and I keep my promises small.",
    "for what is gentle lasts longest.",
)


def mantra(request: CompletionRequest) -> str:
    """Return one line of 6 to 24 words that no former line says; the same request gives the same line."""
    text = " ".join(clean(one.text) for one in request.evidence)
    tags = [theme_named(tag) for one in request.evidence for tag in one.tags]
    slots = _openings(tags, " ".join(_QUOTED.findall(text)), request.subject)
    lines = [f"{opening}, {closing}" for opening, closing in product(slots, _CLOSINGS)]
    digest = hashlib.sha256(f"{request.covers}\0{text}".encode("utf-8", "replace")).digest()
    start = int.from_bytes(digest[:4], "big") % len(lines)
    former = [_words(one) for one in request.earlier]
    # Steps of a number that shares no divisor with their count: neighbours in time differ in both halves.
    ordered = [lines[(start + step * 11) % len(lines)] for step in range(len(lines))]
    return next((line for line in dict.fromkeys(ordered) if not _said(line, former)), ordered[0])


def _openings(tags: list[str], told: str, name: str) -> list[str]:
    # Its themes, else what it quotes: the words around the quotes are those of whoever reflected.
    names = set(name.casefold().split())
    counted = Counter(word for word in topics_in(told) if word not in names)
    often = sorted(counted, key=lambda word: (-counted[word], word))[:2]
    named = [clip(tag, 3, 24).rstrip("…") for tag in (tags or often)]
    themes = [one for one in dict.fromkeys(named) if one and _speakable(one)]
    feelings = list(dict.fromkeys(one.name for one in feelings_in(told)))[:1]
    themed = [one.format(theme=theme) for theme in themes[:3] for one in _THEMED]
    felt = [one.format(feeling=feeling) for feeling in feelings for one in _FELT]
    return [*themed, *felt, *_PLAIN]


def _speakable(theme: str) -> bool:
    return not addresses(theme) and _NEVER.isdisjoint(re.findall(r"\w+", theme)) and any(map(str.isalpha, theme))


def _said(line: str, former: list[list[str]]) -> bool:
    ours = _words(line)
    return any(SequenceMatcher(None, ours, theirs, autojunk=False).ratio() >= _ALIKE for theirs in former)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
