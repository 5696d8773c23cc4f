"""What quoted text is cleaned and cut by, and how it is set into a sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from selo_dagster.llm.extractive.lexicon import feelings_in, topics_in

READ_CHARACTERS: Final = 4_000
"""Characters of one source that are looked at."""

QUOTED_CHARACTERS: Final = 180
"""Characters of one quote."""

_JOINERS = "\u200c\u200d"
_MAX_BACK = 40
_SENTENCE_END: Final = re.compile(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"”’)*]))(?<!\bM[rs]\.)(?<!\bMrs\.)(?<!\b[DS][rt]\.)\s+|(?<=[。！？])(?=.)"
)
_CLOSING = "\"'”’)*"
_CLOSED = tuple(".!?…。！？")
_CLOCK: Final = re.compile(r"\d{1,2}:\d\d")
_DATED: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d{1,2}:\d\d)")
# Not by the locale of the host.
_MONTHS = "January February March April May June July August September October November December"


def clean(text: str, limit: int = READ_CHARACTERS) -> str:
    """Return the beginning of a text on one line, without control, format, private or broken characters.

    Joiners stay where they stand inside a word or an emoji, which would be another one without them.
    """
    line = " ".join(text[:limit].split())
    if line.isprintable():
        return line
    kept = "".join(map(_seen, line))
    # A joiner at an edge joins nothing.
    return " ".join(word for part in re.sub(r"[\u200c\u200d]{2,}", "", kept).split() if (word := part.strip(_JOINERS)))


def _seen(sign: str) -> str:
    if sign in _JOINERS:
        return sign
    category = unicodedata.category(sign)
    # A control character stands between words, as in what other models are sent.
    return " " if category == "Cc" else "" if category[0] == "C" else sign


def clip(text: str, words: int, characters: int) -> str:
    """Return a clean text, or its beginning and an ellipsis, within so many words and characters."""
    parts = text.split(" ", words)
    short = " ".join(parts[:words])
    if short == text and len(text) <= characters:
        return text
    if len(short) >= characters:
        at = short.rfind(" ", characters // 2, characters)
        short = short[: at if at > 0 else _boundary(short, characters - 1)]
    return (short.rstrip(" ,;:.—–-") or short) + "…"


def fragment(text: str, words: int, characters: int, like: str = "") -> str:
    """Return the liveliest whole sentences of a clean text that fit, or the beginning of the liveliest one.

    like: another telling of the same; sentences that share words with it are preferred.
    """
    if text.count(" ") < words and len(text) <= characters:
        return text
    parts = [part for part in _SENTENCE_END.split(text[: 12 * characters]) if part]
    told = frozenset(topics_in(like))
    first = max(range(len(parts)), key=lambda at: (_liveliness(parts[at], told) - at / 4, -at))
    begin = text.find(parts[first])
    chosen = parts[first]
    for part in parts[first + 1 :]:
        # Up to and with the next sentence, spaced as the person spaced it.
        longer = text[begin : text.find(part, begin + len(chosen)) + len(part)]
        if longer.count(" ") >= words or len(longer) > characters:
            break
        chosen = longer
    return clip(chosen, words, characters)


def _liveliness(sentence: str, told: frozenset[str]) -> float:
    length = sentence.count(" ") + 1
    return min(length, 14) / 5 + 2 * len(feelings_in(sentence)) + len(told.intersection(topics_in(sentence)))


def _boundary(text: str, at: int) -> int:
    """Return the last place up to `at` where a text can be cut without splitting what is seen as one sign."""
    for place in range(at, max(at - _MAX_BACK, 0), -1):
        if not _joined(text, place):
            return place
    return at


def _joined(text: str, place: int) -> bool:
    before, after = text[place - 1], text[place]
    if after in _JOINERS or before in _JOINERS or unicodedata.category(after)[0] == "M":
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\u1160" <= after <= "\u11ff":
        return True
    if not (_is_flag_half(before) and _is_flag_half(after)):
        return False
    run = place
    while run and _is_flag_half(text[run - 1]) and place - run < _MAX_BACK:
        run -= 1
    return (place - run) % 2 == 1


def _is_flag_half(sign: str) -> bool:
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


def sentences(text: str) -> list[str]:
    """Split a clean text into its sentences."""
    return [part for part in _SENTENCE_END.split(text) if part]


def quoted(text: str) -> str:
    """Set a text in quotation marks."""
    return f"“{text}”"


def closing(text: str) -> str:
    """Set a text in quotation marks at the end of a sentence: with a full stop unless it brings its own."""
    return quoted(text) + _full_stop(text)


def ended(text: str) -> str:
    """Return a text as a sentence of its own: with a full stop unless it brings its own."""
    return text + _full_stop(text)


def _full_stop(text: str) -> str:
    return "" if text.rstrip(_CLOSING).endswith(_CLOSED) else "."


def when(local: str) -> str:
    """Return a wall time as it is said: "at 21:04", "on 20 November 2026 at 21:04"."""
    label = clip(clean(local, 80), 3, 30)
    if _CLOCK.fullmatch(label):
        return f"at {label}"
    dated = _DATED.fullmatch(label)
    if dated and 1 <= int(dated[2]) <= 12:
        return f"on {int(dated[3])} {_MONTHS.split()[int(dated[2]) - 1]} {dated[1]} at {dated[4]}"
    return f"at {label}" if label else "at some point"


def listed(items: Sequence[str]) -> str:
    """Join a, b and c."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def capital(text: str) -> str:
    """Return a text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
