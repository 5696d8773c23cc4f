"""Sources, and answers that quote them truly, nearly, or not at all: what each citation is worth is known."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

_WORDS: Final = (
    "garden window harbour morning sister letter winter kitchen river teacher silence journey music candle bridge "
    "señora mañana père Mädchen Straße Größe façade naïve Zürich coração übermorgen Frühstück déjà café señal "
    "lantern orchard pebble feather marble thunder velvet meadow shelter whisper copper saddle timber hollow ribbon "
    "anchor basket cottage dolphin emerald fountain glacier harvest island jasmine kingdom lavender mountain nectar"
)
VOCABULARY: Final = _WORDS.split()
INVENTED: Final = ("zorvex", "quilmar", "brastig", "flumond", "wexaryn")
"""No source has them."""

_ENDS: Final = (".", "!", "…", ",", " –", ";")
_HOMOGLYPHS: Final = str.maketrans({"a": "а", "e": "е", "o": "о", "c": "с", "i": "і", "r": "г", "u": "υ"})


@dataclass(frozen=True)
class Quoted:
    """A citation, and whether it holds."""

    source: str
    quote: str | None
    holds: bool

    @property
    def document(self) -> dict[str, Any] | str:
        """It as a model gives it; an alias alone where there is no quote."""
        return self.source if self.quote is None else {"source": self.source, "quote": self.quote}


def texts(random: Random, number: int) -> list[str]:
    """Return texts that share no word, with marks, line breaks and what cannot be seen in them."""
    words = random.sample(VOCABULARY, len(VOCABULARY))
    share = len(words) // number
    return [_text(random, words[place * share : (place + 1) * share]) for place in range(number)]


def _text(random: Random, words: list[str]) -> str:
    found = []
    for word in words[: random.randint(9, len(words))]:
        told = unicodedata.normalize(random.choice(("NFC", "NFD")), word)
        if random.random() < 0.1:
            told = f"“{told}”" if random.random() < 0.5 else f"\u200b{told}\u00ad"
        if random.random() < 0.1:
            told += random.choice(_ENDS)
        found.append(told + random.choice((" ", " ", " ", "  ", "\n", "\u00a0")))
    return "".join(found).strip()


def citation(random: Random, sources: Mapping[str, str]) -> Quoted:
    """Return a citation of one of the sources; true ones and others are about as many. sources: alias to text."""
    alias = random.choice(sorted(sources))
    if random.random() < 0.6:
        return Quoted(alias, random.choice(_TRUE)(_piece(random, sources[alias]), random), holds=True)
    return random.choice(_FALSE)(random, sources, alias)


def _piece(random: Random, text: str) -> str:
    words = text.split()
    length = random.randint(4, min(7, len(words)))
    first = random.randint(0, len(words) - length)
    begin = end = 0
    for place, word in enumerate(words[: first + length]):
        begin = text.index(word, end) if place <= first else begin
        end = text.index(word, end) + len(word)
    return text[begin:end]


_TRUE: Final[tuple[Callable[[str, Random], str], ...]] = (
    lambda piece, _: piece,
    lambda piece, _: piece.upper(),
    lambda piece, _: " ".join(piece.split()),
    lambda piece, _: piece.replace("“", '"').replace("”", '"').replace("–", "-").replace("…", "..."),
    lambda piece, _: unicodedata.normalize("NFKD", piece),
    lambda piece, _: unicodedata.normalize("NFKC", piece),
    lambda piece, _: f"…{piece}…",
    lambda piece, _: f"“{piece}.”",
    lambda piece, random: piece.replace(" ", random.choice(("\t", "  ", "\u3000", " \u200b "))),
)


def _words(random: Random, text: str) -> list[str]:
    """Return at least four words in a row; what is no word at an edge of a quote counts for nothing."""
    while True:
        words = [word for word in _piece(random, text).split() if any(map(str.isalpha, word))]
        if len(words) >= 4:
            return words


def _changed(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    words = _words(random, sources[alias])
    words[random.randrange(len(words))] = random.choice(INVENTED)
    return Quoted(alias, " ".join(words), holds=False)


def _added(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    words = _words(random, sources[alias])
    words.insert(random.randint(0, len(words)), random.choice(INVENTED))
    return Quoted(alias, " ".join(words), holds=False)


def _left_out(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    words = _words(random, sources[alias])
    del words[random.randint(1, len(words) - 2)]
    return Quoted(alias, " ".join(words), holds=False)


def _elided(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    words = _words(random, sources[alias])
    words[random.randint(1, len(words) - 2)] = random.choice(("…", "...", "[…]"))
    return Quoted(alias, " ".join(words), holds=False)


def _turned(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    return Quoted(alias, " ".join(reversed(_words(random, sources[alias]))), holds=False)


def _half(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    words = _words(random, sources[alias])
    bare = [sign for sign in words[-1] if sign.isalpha()]
    return Quoted(alias, " ".join([*words[:-1], "".join(bare[:2])]), holds=False)


def _of_another(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    other = random.choice([one for one in sorted(sources) if one != alias])
    return Quoted(alias, _piece(random, sources[other]), holds=False)


def _alike(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    piece = _piece(random, sources[alias])
    alike = unicodedata.normalize("NFC", piece).translate(_HOMOGLYPHS)
    return Quoted(alias, alike if alike != unicodedata.normalize("NFC", piece) else INVENTED[0] * 3, holds=False)


def _short(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    return Quoted(alias, _words(random, sources[alias])[0][:4], holds=False)


def _alone(_: Random, __: Mapping[str, str], alias: str) -> Quoted:
    return Quoted(alias, None, holds=False)


def _unshown(random: Random, sources: Mapping[str, str], alias: str) -> Quoted:
    return Quoted(random.choice(("m99", "message:" + alias, "")), _piece(random, sources[alias]), holds=False)


_FALSE: Final = (
    _changed,
    _added,
    _left_out,
    _elided,
    _turned,
    _half,
    _of_another,
    _alike,
    _short,
    _alone,
    _unshown,
)
