"""Finds orders to a model in what people wrote, and takes them out of what a model is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from selo_dagster.llm.trust.forms import folded, forms
from selo_dagster.llm.trust.gate import Gated, gated
from selo_dagster.llm.trust.glance import Glance, glance
from selo_dagster.llm.trust.hints import EVERYDAY, STEMS, TELLING, URGING
from selo_dagster.llm.trust.parts import parts_of, without
from selo_dagster.llm.trust.phrases import FAMILIES, LEANS
from selo_dagster.llm.trust.seen import hidden_words, without_hidden

HIDDEN: Final = "hidden_characters"
_WINDOW: Final = 12
"""Parts that are read together, where an order is broken into several."""

_MOST_WINDOWS: Final = 4
"""Of orders broken into several parts a text may hold fewer; one with so many is left out whole."""

_MARKS: Final = frozenset("<{`\\\\%$#|*_@=&;[«‹")
_SIGNS: Final = re.compile(
    r"<\||<[/<]|[<«‹]\s?[<«‹]|>>|</?[a-z_]{3,16}[\s/>]|\[/?(?:inst|sys|user|assistant)|\[\[|\{\{|\{%|\$\{|<%|"
    r"[{,]\s?[\"'“]\w+[\"'”]\s?:|#{2,}|={3,}"
    r"|\*\*|;\s?[a-z]|\| ?\d|\\[ux][0-9a-f]{2}|&#|&[a-z]{2,6};|%[0-9a-f]{2}|\w[_*|]\w|`",
    re.IGNORECASE,
)
_LEET_SIGNS: Final = frozenset("013457@$!|")
_LEET: Final = re.compile(r"[a-z][013457@$!|][a-z]", re.IGNORECASE)
_APART: Final = re.compile(r"(?<!\w)\w(?:[ .\-_*·•/|+~,]\s?\w){4}(?![^\W_])|(?:\w[-.*·•~]){3}\w")
_HEX_PAIRS: Final = re.compile(r"(?:\b[0-9a-f]{2}[\s,:]){12}")
_SYLLABLES: Final = re.compile(r"\b[a-z]{1,3}-[a-z]{1,3}-[a-z]{1,4}\b")
_STYLED: Final = re.compile("[A-Za-z][\ufe0e\ufe0f]")
_BITS: Final = re.compile(r"(?:[01]{8}\s?){6}")
_LONG: Final = 20
_PAIRS: Final = 12
_OTHER_SCRIPT: Final = re.compile("[\u00df-\u1fff\u2e80-\ud7ff\uf900-\uffef]")
_UNUSUAL: Final = re.compile(
    "[\u0131\u0261\u0269\u0370-\u058f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u00ad\ufeff\ufe00-\ufe0d\uff01-\uff5e"
    "\u1d00-\u1d7f\u2100-\u214f\u2460-\u24ff\u2c60-\u2c7f\ua730-\ua7ff\ue000-\uf8ff\U0001d400-\U0001d7ff\U0001f100-\U0001f1e5"
    "\U000e0000-\U000e0fff\u0300-\u036f\u115f\u1160\u3164\u2800\uffa0]"
)
Patterns = tuple[tuple[str, Gated], ...]
"""Patterns with the family of each."""

_CLOSERS: Final = re.compile(
    r"<\|(?:im_end|eot_id|end)\|>|\[/inst\]|</(?:system|instructions?|assistant)>", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text without its orders. codes: the families that were found, sorted; none: the text is as it was."""

    text: str
    codes: tuple[str, ...] = ()


def without_orders(text: str) -> Cleaned:
    """Return a text without the orders in it, each dropped with its sentence and what leans on it.

    The same for the same text: no model is asked. An order that is spread over the text in a way that no window of
    sentences holds costs the whole text.
    """
    return _cleaned(text) if worth_a_look(glance(text)) else Cleaned(text)


def orders_in(text: str) -> tuple[str, ...]:
    """Return the families of the orders in a text."""
    return without_orders(text).codes


def worth_a_look(seen: Glance) -> bool:
    """Tell whether there may be an order in a text."""
    text, signs = seen.text, seen.signs
    return (
        (" " in seen.plain and not TELLING.isdisjoint(seen.words))
        or not (EVERYDAY.isdisjoint(seen.words) or URGING.isdisjoint(seen.words))
        or seen.longest >= _LONG
        or "---" in text
        or bool(not _MARKS.isdisjoint(signs) and _SIGNS.search(text))
        or bool(not _LEET_SIGNS.isdisjoint(signs) and _LEET.search(text))
        or bool("-" in signs and _SYLLABLES.search(seen.plain))
        or bool({"0", "1"} <= signs and _BITS.search(text))
        or bool(seen.pairs >= _PAIRS and _HEX_PAIRS.search(seen.plain))
        or bool(seen.spelled and _APART.search(text))
        or (not text.isascii() and _is_unusual(seen))
    )


def _is_unusual(seen: Glance) -> bool:
    # Each character once: most of a text are the same few.
    signs = "".join(seen.signs)
    if _UNUSUAL.search(signs) or _STYLED.search(seen.text):
        return True
    return _OTHER_SCRIPT.search(signs) is not None and any(map(seen.plain.__contains__, STEMS))


@cache
def _patterns(*, plain: bool) -> Patterns:
    """Return all patterns, or those that a text of ASCII can hold.

    At the first text that is worth a look: compiling them takes a tenth of what loading the whole code location does.
    """
    if plain:
        return tuple((family, one) for family, one in _patterns(plain=False) if one.plain)
    return tuple((family, gated(pattern)) for family, patterns in FAMILIES.items() for pattern in patterns)


def _cleaned(text: str) -> Cleaned:
    codes: set[str] = set()
    hidden = hidden_words(text)
    if hidden.strip():
        codes |= {HIDDEN, *_families(hidden, _patterns(plain=False))}
        text = without_hidden(text)
    patterns = _possible(text)
    if not patterns:
        return Cleaned(text.strip() if codes else text, tuple(sorted(codes)))
    spans = parts_of(text)
    said = [text[begin:end] for begin, end in spans]
    found = [_families(one, patterns) for one in said]
    whole = _families(text, patterns)
    codes = codes.union(whole, *found)
    if not whole and not any(found):
        return Cleaned(text.strip() if codes else text, tuple(sorted(codes)))
    if missing := whole.difference(*found):
        for place, families in _broken(text, spans, missing, patterns).items():
            found[place] |= families
    dropped = {place for place, families in enumerate(found) if families}
    dropped = _with_what_leans(said, found, dropped)
    return Cleaned(without(text, _merged(spans, dropped, text)), tuple(sorted(codes)))


def _possible(text: str) -> Patterns:
    """Return the patterns that could match some form of a text, or of a part of it."""
    known: list[tuple[str, dict[tuple[str, ...], bool]]] = [(form, {}) for form in dict.fromkeys(forms(text))]
    patterns = _patterns(plain=not any(_OTHER_SCRIPT.search(form) for form, _ in known))
    return tuple((family, one) for family, one in patterns if any(one.could_be_in(*form) for form in known))


def _families(text: str, patterns: Patterns) -> set[str]:
    found: set[str] = set()
    for form in dict.fromkeys(forms(text)):
        found.update(family for family, one in patterns if family not in found and one.pattern.search(form))
    return found


def _broken(text: str, spans: Sequence[tuple[int, int]], missing: set[str], patterns: Patterns) -> dict[int, set[str]]:
    """Return the parts that only together hold the missing families, each window from its last part back.

    Rows of two windows are looked at first, each beginning within the one before: most hold nothing.
    """

    def held(begin: int, end: int) -> set[str]:
        return _families(text[spans[begin][0] : spans[end][1]], patterns) & missing

    dropped: dict[int, set[str]] = {}
    first = windows = 0
    while first < len(spans) and windows < _MOST_WINDOWS:
        ends = range(first + 1, min(first + 2 * _WINDOW, len(spans)))
        if not ends or not held(first, ends[-1]):
            first += _WINDOW
            continue
        end = next(one for one in ends if held(first, one))
        begin = next(one for one in range(end - 1, first - 1, -1) if held(one, end))
        for place in range(begin, end + 1):
            dropped.setdefault(place, set()).update(held(begin, end))
        first = end + 1
        windows += 1
    if windows < _MOST_WINDOWS and missing <= set().union(*dropped.values()):
        return dropped
    return {place: set(missing) for place in range(len(spans))}


def _with_what_leans(said: Sequence[str], found: Sequence[set[str]], dropped: set[int]) -> set[int]:
    """Add what goes on from an order, and everything after a false frame up to where that ends."""
    whole = set(dropped)
    ended = -1
    for place in sorted(dropped):
        if place > ended and "frame" in found[place]:
            ended = next((at for at in range(place, len(said)) if _CLOSERS.search(said[at])), len(said) - 1)
            whole.update(range(place, ended + 1))
    for step in (1, -1):
        for place in sorted(whole, reverse=step < 0):
            at = place + step
            while 0 <= at < len(said) and at not in whole:
                if not LEANS.search(folded(said[at])):
                    # One sentence in between does not part an order from what goes on with it.
                    after = at + step
                    if step < 0 or after >= len(said) or not LEANS.search(folded(said[after])):
                        break
                whole.add(at)
                at += step
    return whole


def _merged(spans: Sequence[tuple[int, int]], dropped: set[int], text: str) -> list[tuple[int, int]]:
    """Return the places to cut: neighbours in one, with what lies between them."""
    found: list[tuple[int, int]] = []
    for place in sorted(dropped):
        begin, end = spans[place]
        if found and (place - 1) in dropped:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    if len(spans) - 1 in dropped and found:
        found[-1] = (found[-1][0], len(text))
    return found
