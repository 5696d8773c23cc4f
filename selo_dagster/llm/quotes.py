"""Finds a quote in the text that it is said to come from: the same words, whatever became of signs that only look."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

LEAST_WORDS: Final = 3
LEAST_CHARACTERS: Final = 12
"""A quote has so many words or so many characters, or is the whole of a source that has fewer.

A word has a letter or a digit. Punctuation at the edges counts only where the source has it too.
"""

WIDE_COUNTS: Final = 3
"""Characters for which a wide one counts: four Chinese ones say as much as a few words."""

LONGEST_WORD: Final = 32
"""Letters in a row that are a word; more are a link or a key held down, and may be cut anywhere."""

MOST_MARKS: Final = 30
"""Marks on one letter (Unicode's stream-safe bound); more are no writing, and stay as they stand."""

_MARKS: Final = dict.fromkeys("'\"`´‘’‚‛“”„‟«»‹›′″ʼ「」『』＂＇", "'") | dict.fromkeys("−", "-")

_BLANKS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and signs that are drawn as nothing."""


class Span(NamedTuple):
    """A place in a text, in characters: text[start:end]."""

    start: int
    end: int


@dataclass(frozen=True)
class Folded:
    """A text in the form in which quotes are compared. at: for each character the place that it comes from."""

    text: str
    at: list[int]


def folded(text: str) -> Folded:
    """Fold a text: NFKD, no case, one kind of quotation mark, dash and space, nothing that cannot be seen.

    A character at a time, in time that grows with the length: so each keeps its place.
    """
    signs: list[str] = []
    at: list[int] = []
    marks: list[tuple[int, str, int]] = []
    last = " "
    for place, character in enumerate(text):
        for sign in _fold(character):
            if sign == last and sign in " -":
                continue
            last = sign
            order = unicodedata.combining(sign)
            if order:
                # Marks on one letter may stand in any order.
                marks.append((order, sign, place))
                continue
            _settle(marks, signs, at)
            signs.append(sign)
            at.append(place)
    _settle(marks, signs, at)
    if signs and signs[-1] == " ":
        signs.pop()
        at.pop()
    return Folded("".join(signs), at)


def _settle(marks: list[tuple[int, str, int]], signs: list[str], at: list[int]) -> None:
    if 1 < len(marks) <= MOST_MARKS:
        marks.sort(key=lambda one: one[0])
    for _, sign, place in marks:
        signs.append(sign)
        at.append(place)
    marks.clear()


@lru_cache(maxsize=8_192)
def _fold(character: str) -> str:
    """Return what a character is compared as; nothing for one that cannot be seen."""
    if (known := _MARKS.get(character)) is not None:
        return known
    category = unicodedata.category(character)
    if category == "Pd":
        return "-"
    if character.isspace() or category in {"Cc", "Zs", "Zl", "Zp"}:
        return " "
    # Variation selectors choose between pictures of one sign; U+FFFD stands for what could not be shown at all.
    if category[0] == "C" or "\ufe00" <= character <= "\ufe0f" or character == "\ufffd" or character in _BLANKS:
        return ""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    # An accent that stands alone is decomposed to one on a space.
    if plain.startswith(" "):
        return character
    return "".join(_MARKS.get(sign, sign) for sign in plain)


class Text:
    """A text in which quotes are looked for; folded once, and only where a quote does not stand in it as it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._folded: Folded | None = None
        self._on_one_line: str | None = None

    @property
    def folded(self) -> Folded:
        """The text as it is compared."""
        if self._folded is None:
            self._folded = folded(self.text)
        return self._folded

    def find(self, quote: str) -> Span | None:
        """Return where a quote stands, the first place of several; None: nowhere.

        It begins and ends at the edge of a word, where words have edges: "he stopped" is no quote of "she stopped".
        What stands around the words of a quote, such as an ellipsis or a full stop, need not be there.
        """
        # Most quotes stand there as they are, or but for the ends of lines: nothing has to be folded then.
        if quote and quote.isprintable() and unicodedata.category(quote[0])[0] not in "MZ":
            as_it_is = self._as_it_is(quote) or self._but_for_spaces(quote)
            if as_it_is is not None:
                return as_it_is
        wanted = folded(quote).text
        found = self._of(wanted)
        if found is None and (bare := _bare(wanted)) != wanted:
            found = self._of(bare)
        return found

    def substantial(self, quote: str) -> bool:
        """Tell whether a quote is long enough to say where it comes from, or is the whole text."""
        if quote.isascii() and _has_words(quote):
            return True
        quote = folded(quote).text
        bare = _bare(quote)
        return weighs(bare) or (weighs(quote) and self._of(quote) is not None) or bare == _bare(self.folded.text)

    def _as_it_is(self, quote: str) -> Span | None:
        start = self.text.find(quote)
        return None if start < 0 else self._plainly_apart(start, start + len(quote))

    def _but_for_spaces(self, quote: str) -> Span | None:
        if self._on_one_line is None:
            self._on_one_line = " ".join(self.text.split())
        place = self._on_one_line.find(quote)
        if place < 0 or (place and self._on_one_line[place - 1] != " "):
            return None
        words = quote.split(" ")
        first = self._on_one_line.count(" ", 0, place)
        start, last = self._begin_of(first), self._begin_of(first + len(words) - 1)
        return self._plainly_apart(start, last + len(words[-1]))

    def _begin_of(self, word: int) -> int:
        return len(self.text) - len(self.text.split(None, word)[-1].lstrip())

    def _plainly_apart(self, start: int, end: int) -> Span | None:
        around = self.text[max(0, start - 1) : start] + self.text[end : end + 1]
        # Whatever is not plain is left to the closer look.
        return Span(start, end) if around.isascii() and not any(map(str.isalnum, around)) else None

    def _of(self, wanted: str) -> Span | None:
        text, at = self.folded.text, self.folded.at
        if not wanted:
            return None if text else Span(0, len(self.text))
        start = text.find(wanted)
        while start >= 0:
            end = start + len(wanted)
            if _apart(text, at, start, start, end) and _apart(text, at, end, start, end):
                # Marks that were put in order stand in another one there.
                return Span(min(at[start:end]), self._end_of(max(at[start:end]) + 1))
            start = text.find(wanted, start + 1)
        return None

    def _end_of(self, end: int) -> int:
        while end < len(self.text) and "\ufe00" <= self.text[end] <= "\ufe0f":
            end += 1
        return end


def find(quote: str, text: str) -> Span | None:
    """Return where a quote stands in a text, see `Text.find`."""
    return Text(text).find(quote)


def parts(text: str, place: int) -> bool:
    """Tell whether a cut at a place of a text parts a sign or a word."""
    seen = (sign for one in reversed(text[:place]) for sign in reversed(_fold(one)))
    before = next((sign for sign in seen if not _belongs_to_the_one_before(sign)), "")
    after = next((sign for one in islice(text, place, None) for sign in _fold(one)[:1]), "")
    return bool(before and after) and _joined(before, after)


def _joined(before: str, after: str) -> bool:
    return _belongs_to_the_one_before(after) or (_is_of_a_word(before) and _is_of_a_word(after))


def _apart(text: str, at: list[int], place: int, start: int, end: int) -> bool:
    """Tell whether a folded text can be cut at an edge of a quote without parting a sign, or a word."""
    if place in {0, len(text)}:
        return True
    if at[place - 1] == at[place]:
        return False
    # What a row of marks stands on is looked for at its end only: there may be a great many.
    after = text[place]
    if not _belongs_to_the_one_before(after) and not _joined(text[_base(text, place - 1)], after):
        return True
    if end - start < LONGEST_WORD:
        return False
    run = text[start : start + LONGEST_WORD] if place == start else text[end - LONGEST_WORD : end]
    return all(map(_belongs_to_the_one_before if _belongs_to_the_one_before(after) else _is_of_a_word, run))


def _base(text: str, place: int) -> int:
    while place and _belongs_to_the_one_before(text[place]):
        place -= 1
    return place


def _belongs_to_the_one_before(sign: str) -> bool:
    return sign > "\u02ff" and (unicodedata.category(sign)[0] == "M" or "\u1160" <= sign <= "\u11ff")


def _is_of_a_word(sign: str) -> bool:
    # Scripts without capitals mostly write words together, or join to them what others write apart.
    return sign.isdecimal() or sign.lower() != sign.upper()


def weighs(quote: str) -> bool:
    """Tell whether a quote has words or characters enough; signs that cannot be seen are not to be in it."""
    if _has_words(quote):
        return True
    signs = "".join(quote.split())
    if signs.isascii():
        return len(signs) >= LEAST_CHARACTERS
    return sum(map(_weight, signs)) >= LEAST_CHARACTERS


def _has_words(quote: str) -> bool:
    return sum(any(map(str.isalnum, word)) for word in quote.split()) >= LEAST_WORDS


def says(text: str) -> bool:
    """Tell whether a text has a letter or digit, of any script, that can be seen: else there are no words in it."""
    return any(sign.isalnum() for character in text for sign in _fold(character))


def _weight(sign: str) -> int:
    return WIDE_COUNTS if unicodedata.east_asian_width(sign) in {"W", "F"} else 1


def _bare(wanted: str) -> str:
    """Return a folded text without the punctuation and spaces at its edges; as it is if it is nothing else."""
    first, last = 0, len(wanted)
    while first < last and _is_around(wanted[first]):
        first += 1
    while last > first and _is_around(wanted[last - 1]):
        last -= 1
    return wanted[first:last] or wanted


def _is_around(sign: str) -> bool:
    return sign == " " or unicodedata.category(sign)[0] == "P"
