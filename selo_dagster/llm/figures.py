"""Numbers and times in what a model wrote: copied from what it was shown, or its own.

Only digits are held against the sources, "1.5" and "8:30" each as a whole. A model may write as digits what a source
has in words: so the small numbers of some languages count as written, and where a source holds larger ones in words, or
signs that are numbers, nothing is decided. Names are not held against anything: no rule tells a name from a noun in
every language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from selo_dagster.llm.trust.stand_ins import without_stand_ins

UNSOURCED_NUMBER: Final = "unsourced_number"
UNSOURCED_TIME: Final = "unsourced_time"

HINTS: Final = {
    UNSOURCED_NUMBER: "a number must stand in a source that the claim cites, as it is written there",
    UNSOURCED_TIME: "a date or time must stand in a source that the claim cites, as it is written there",
}
"""What a model is told of a figure that no source has."""

_BETWEEN: Final = "\n|\n"
"""Two texts in a row make no number together."""

_RUN: Final = re.compile(r"\d+")
_WORD: Final = re.compile(r"[^\W\d_]+")
_GROUPED: Final = re.compile(r"(?<!\d)(?!0)\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+(?!\d)")
_DECIMAL: Final = re.compile(r"(?<![\d.,])(\d+)[.,](\d+)(?![.,]?\d)")
_TWO_RUNS: Final = re.compile(r"(?<!\d)(\d+)[.,/](?=(\d+))")
_NUMBER: Final = re.compile(rf"{_DECIMAL.pattern}|\d+")
_CLOCK: Final = re.compile(
    r"\b(\d{1,2})(?:[:.h]\d\d)?\s?(?:([ap])\.?m\b|uhr\b|h\b|o['’]clock)|\b(\d{1,2})[:.]\d\d\b", re.IGNORECASE
)
_TIME: Final = re.compile(r"\b(\d{1,2})[:.h](\d\d)(?:\s?([ap])\.?m\b|\s?(?:h|uhr)\b|\b)", re.IGNORECASE)
_DATE: Final = re.compile(r"\b\d{4}-\d\d?-\d\d?\b|\b\d\d?[./]\d\d?[./]\d{2,4}\b")

_SMALL: Final = (
    "zero null cero nul",
    "one first once single ein eine einen eins erste ersten einmal un une premier uno una primero um uma primeiro een",
    "two second twice both pair couple zwei zweite zweimal beide paar deux deuxième dos segundo dois duas due twee",
    "three third drei dritte dritten dreimal trois troisième tres tercero três terceiro tre terzo drie derde",
    "four fourth vier vierte quatre quatrième cuatro cuarto quatro quarto quattro vierde",
    "five fifth fünf fünfte cinq cinquième cinco quinto cinque vijf vijfde",
    "six sixth sechs sechste sixième seis sexto sei sesto zes zesde",
    "seven seventh sieben siebte sept septième siete séptimo sete sétimo sette settimo zeven zevende",
    "eight eighth acht achte huit huitième ocho octavo oito oitavo otto ottavo achtste",
    "nine ninth neun neunte neuf neuvième nueve noveno nove nono negen negende",
    "ten tenth zehn zehnte dix dixième diez décimo dez dieci decimo tien tiende",
    "eleven eleventh elf elfte onze once undici",
    "twelve twelfth zwölf zwölfte douze doce doze dodici twaalf",
)
_VALUES: Final = {
    word: frozenset(value for value, words in enumerate(_SMALL) if word in words.split())
    for word in " ".join(_SMALL).split()
}
"""Words that are a small number, or several: "once" is one time in English and eleven in Spanish."""

_POINT: Final = frozenset(
    ("point", "comma", "punkt", "komma", "virgule", "punto", "coma", "ponto", "vírgula", "virgola", "punt")
)
"""Words between a whole and the digits after it."""

_LARGER: Final = re.compile(
    # English
    r"(?:thir|four|fif|six|seven|eigh|nine)teen(?:th)?|(?:twen|thir|for|fif|six|seven|eigh|nine)t(?:y|ies|ieth)"
    r"|hundreds?|thousands?|[mb]illions?|dozens?|decades?|century|centuries|half|halves|quarters?"
    # German
    r"|\w*(?:zehn|zwanzig|dreissig|vierzig|fünfzig|sechzig|siebzig|achtzig|neunzig|hundert|tausend)\w*"
    r"|dutzend|halb\w*|viertel\w*|million\w*"
    # French
    r"|treize|quatorze|quinze|seize|vingts?|trente|quarante|cinquante|soixante|septante|huitante|nonante|cents?|mille"
    r"|(?:diz|douz|quinz|vingt|trent|cent)aines?|demie?|quarts?"
    # Spanish
    r"|trece|catorce|quince|dieci\w+|veint[ei]\w*|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa|cien"
    r"|ciento\w*|\w+cient[oa]s|mil|millón|millones|docenas?|medi[oa]"
    # Portuguese
    r"|treze|catorze|dez[ae]ss?eis|dez[ae]ssete|dezoito|dez[ae]nove|vinte|trinta|quarenta|cinquenta|sessenta|oitenta"
    r"|cem|cento|\w+centos|milh\w+|dúzias?|mei[oa]"
    # Italian
    r"|tredici|quattordici|quindici|sedici|diciassette|diciotto|diciannove|vent(?:i|un|otto)\w*|trenta\w*|quaranta\w*"
    r"|cinquanta\w*|sessanta\w*|settanta\w*|ottanta\w*|novanta\w*|mila|milion\w+|mezz[oa]|dozzin\w+"
    # Dutch
    r"|(?:der|veer|vijf|zes|zeven|acht|negen)tien\w*"
    r"|\w*(?:twintig|dertig|veertig|vijftig|zestig|zeventig|tachtig|negentig|honderd|duizend)\w*|dozijn|kwart\w*"
)
"""Words that are a larger number or a part."""


@dataclass(frozen=True)
class _Figures:
    """What sources hold. decimals: the whole and the digits after it; times: hour and minute; dates: day and month.

    spoken: whether decimals may be there in words.
    """

    numbers: frozenset[int]
    decimals: frozenset[tuple[int, str]]
    times: frozenset[tuple[int, int]]
    dates: frozenset[tuple[int, int]]
    spoken: bool = False

    def have(self, decimal: re.Match[str]) -> bool:
        """Tell whether two runs of digits with a point or comma between them stand there together."""
        whole, after = _value(decimal[1]), _after_the_point(decimal[2])
        # Of three digits the whole would be a thousand times more.
        if (whole, after) in self.decimals or (not after and len(decimal[2]) != 3 and whole in self.numbers):
            return True
        time = _TIME.match(decimal.string, decimal.start())
        if time is not None and not self.times.isdisjoint(_o_clock(time)):
            return True
        part = _value(decimal[2])
        return (whole, part) in self.dates or (self.spoken and {whole, part} <= self.numbers)


def unsourced(claim: str, texts: Iterable[str]) -> str | None:
    """Return the code of the first number or time of a claim that no text has; None: each has its source.

    texts: of the sources that the claim cites, and of what was shown beside them.
    """
    if _RUN.search(claim) is None:
        return None
    claim = without_stand_ins(claim)
    shown = list(texts)
    with_digits = _BETWEEN.join(filter(_RUN.search, shown))
    there = _written(with_digits)
    fault = _fault(claim, there)
    if fault is None or any(map(_undecided, shown)):
        return None
    told = {word for text in shown for word in _WORD.findall(text.casefold())}
    numbers = there.numbers.union(*(_VALUES[word] for word in told if word in _VALUES))
    return _fault(claim, replace(there, numbers=numbers, spoken=not told.isdisjoint(_POINT)))


def _fault(claim: str, there: _Figures) -> str | None:
    if any(there.times.isdisjoint(_o_clock(one)) for one in _TIME.finditer(claim) if ":" in one.group()):
        return UNSOURCED_TIME
    left = _GROUPED.sub(lambda grouped: " " if _joined(grouped) in there.numbers else grouped.group(), claim)
    left = _DECIMAL.sub(lambda decimal: " " if there.have(decimal) else decimal.group(), left)
    for found in _NUMBER.finditer(left):
        if left.startswith("…", found.end()):
            # Of what is cut there may be more digits.
            known = found[1] is None or _value(found[1]) in there.numbers
        else:
            known = found[1] is None and _value(found.group()) in there.numbers
        if not known:
            timed = any(one.start() <= found.start() < one.end() for one in _times(left))
            return UNSOURCED_TIME if timed else UNSOURCED_NUMBER
    return None


def _written(text: str) -> _Figures:
    """Return the figures that a text holds in digits, and one: an article says it too."""
    numbers = {1, *map(_value, _RUN.findall(text)), *map(_joined, _GROUPED.finditer(text))}
    for clock in _CLOCK.finditer(text):
        hour = int(clock[1] or clock[3]) % 12
        numbers |= {hour or 12, hour if (clock[2] or "").lower() == "a" else hour + 12}
    dates: set[tuple[int, int]] = set()
    for date in _DATE.findall(text):
        # A year of four digits stands first or last.
        first, second = [_value(run) for run in _RUN.findall(date) if len(run) < 4][:2]
        dates |= {(first, second), (second, first)}
    ungrouped = _GROUPED.sub(lambda grouped: str(_joined(grouped)), text)
    pairs = chain(_TWO_RUNS.findall(text), _TWO_RUNS.findall(ungrouped))
    return _Figures(
        frozenset(numbers),
        frozenset((_value(whole), _after_the_point(after)) for whole, after in pairs),
        frozenset(chain.from_iterable(map(_o_clock, _TIME.finditer(text)))),
        frozenset(dates),
    )


def _undecided(text: str) -> bool:
    """Tell whether a text may hold other numbers than those that are read from it."""
    return any(map(_LARGER.fullmatch, set(_WORD.findall(text.casefold())))) or any(map(_is_a_number, text))


def _times(text: str) -> list[re.Match[str]]:
    return [*_CLOCK.finditer(text), *_DATE.finditer(text)]


def _o_clock(time: re.Match[str]) -> set[tuple[int, int]]:
    """Return the hours and minutes of a day that a time may be: "8:30" may be "20:30", and "8:30 am" may not."""
    hour, minute, half = int(time[1]), int(time[2]), (time[3] or "").lower()
    if not 0 < hour <= 12:
        return {(hour, minute)}
    halves = {"a": (0,), "p": (12,)}.get(half, (0, 12))
    return {(hour % 12 + later, minute) for later in halves}


def _value(run: str) -> int:
    # A run without end is no number that anybody copies; its beginning tells it from others.
    return int(run[:40])


def _after_the_point(run: str) -> str:
    return "".join(str(int(digit)) for digit in run[:40]).rstrip("0")


def _joined(grouped: re.Match[str]) -> int:
    return _value("".join(_RUN.findall(grouped.group())))


def _is_a_number(sign: str) -> bool:
    """Tell whether one sign is a number by itself, and no digit: 三, ½, Ⅳ."""
    return not sign.isascii() and not sign.isdecimal() and unicodedata.numeric(sign, None) is not None
