"""Personal identifiers in a text: addresses, telephone numbers, accounts, cards and numbers that states give people.

A number counts only where its own check digits, or the numbering plan of a country, say that it is one: dates, times,
prices and ids of orders stay as they are.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, Literal, NamedTuple

from selo_dagster.llm.trust.seen import bare, read_of

Sort = Literal["email", "phone", "iban", "card", "id"]


class Identifier(NamedTuple):
    """One identifier and its place."""

    begin: int
    end: int
    sort: Sort


# Edges are those of ASCII: where words have no spaces between them, a number stands beside a letter.
_BEGIN: Final = "(?<![A-Za-z0-9])"
_END: Final = "(?![A-Za-z0-9])"
_HOST: Final = re.compile(
    r"@(?:[\w-]{1,63}\.){1,16}(?:[a-z]{2,24}(?![a-z0-9-])|xn--[a-z0-9-]{1,59}|[^\W\d_a-z]{2,24})", re.IGNORECASE
)
_SPACED: Final = "a-zA-Z0-9_.+\u00c0-\u0dff\u1e00-\u1fff-"
"""Of scripts that put spaces between words: of a name before an @ that is written in them, nothing else is part."""

_MAILBOX: Final = re.compile(rf"[{_SPACED}]{{1,64}}\Z")
_ANY_MAILBOX: Final = re.compile(r"[\w.+-]{1,64}\Z")
_IBAN: Final = re.compile(rf"{_BEGIN}(?=([A-Z]{{2}}[0-9]{{2}}(?:[ -]?[A-Z0-9]){{11,30}}){_END})", re.IGNORECASE)
_CARD: Final = re.compile(r"(?<![A-Za-z0-9.,-])(?:[0-9][ -]?){12,18}[0-9](?![A-Za-z0-9-])")
_DIGITS: Final = re.compile(r"\d(?:[\s()./-]{0,2}\d){6}")
_SIX_DIGITS: Final = re.compile(r"\d\D{0,3}\d\D{0,3}\d\D{0,3}\d\D{0,3}\d\D{0,3}\d")
_DATE: Final = re.compile(
    r"(?<!\d)(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:\d{4}|\d{2})|(?:19|20)\d\d\s?[-–/]\s?(?:19|20)?\d\d"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01]))"
    r"(?:[T ,]{1,2}\d{1,2}[:.h]\d{2}(?::\d{2})?)?(?!\d)"
)
_LONG_ID: Final = re.compile(
    r"[#№]\s?\d+|\b[a-z]+[-_]?\d{5,}\b|\b\d+[-_]?[a-z]+\b|[€$£¥]\s?[\d.,]+|"
    r"(?<![\d.,])\d[\d.,]*\s?(?:[€$£¥%]|eur|usd|gbp)",
    re.IGNORECASE,
)
_NATIONAL: Final[tuple[tuple[str, str], ...]] = (
    ("us.ssn", r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),
    ("br.cpf", r"(?<![\d.])\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)"),
    ("es.dni", rf"{_BEGIN}\d{{8}}-?[A-Z]{_END}"),
    ("es.nie", rf"{_BEGIN}[XYZ]-?\d{{7}}-?[A-Z]{_END}"),
    ("it.codicefiscale", rf"{_BEGIN}[A-Z]{{6}}\d{{2}}[A-EHLMPRST]\d{{2}}[A-Z]\d{{3}}[A-Z]{_END}"),
    (
        "fr.nir",
        rf"{_BEGIN}[12] ?\d{{2}} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{{2}}|2[AB]) ?\d{{3}} ?\d{{3}} ?\d{{2}}{_END}",
    ),
    ("fi.hetu", rf"{_BEGIN}\d{{6}}[-+A]\d{{3}}[0-9A-Y]{_END}"),
    ("se.personnummer", rf"{_BEGIN}(?:\d{{2}})?\d{{6}}[-+]\d{{4}}{_END}"),
    ("ch.ssn", rf"{_BEGIN}756\.\d{{4}}\.\d{{4}}\.\d{{2}}{_END}"),
    ("be.nn", rf"{_BEGIN}\d{{2}}\.\d{{2}}\.\d{{2}}-\d{{3}}\.\d{{2}}{_END}"),
    ("cn.ric", rf"(?<!\d)\d{{17}}[\dXx]{_END}"),
    ("in_.aadhaar", r"(?<![\d ])[2-9]\d{3} \d{4} \d{4}(?![\d ]\d)"),
    ("gb.nino", rf"{_BEGIN}[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{{2}} ?\d{{2}} ?\d{{2}} ?[A-D]{_END}"),
    ("pl.pesel", r"(?<![\d-])(?<!# )\d{11}(?![\d-])"),
)
_NINO: Final = "gb.nino"


def may_hold_identifier(text: str) -> bool:
    """Tell cheaply whether a closer look is worth it."""
    return "@" in text or _SIX_DIGITS.search(text) is not None


def identifiers_in(text: str, region: str | None = None) -> list[Identifier]:
    """Return the identifiers of a text, in order, none within another.

    region: of the person, as ISO 3166 two letters, by whose plan a number without a country's code is read; None: only
    numbers with one are found.
    """
    if not may_hold_identifier(read_of(text)):
        return []
    read = bare(text)
    found: list[Identifier] = []
    for sort, places in _looks(read.text, region):
        for begin, end in places:
            at = bisect_left(found, Identifier(end, end, sort))
            if at == 0 or found[at - 1].end <= begin:
                insort(found, Identifier(begin, end, sort))
    return [Identifier(*read.place(begin, end), sort) for begin, end, sort in found]


def _looks(text: str, region: str | None) -> Iterator[tuple[Sort, list[tuple[int, int]]]]:
    """Yield what is looked for, the surest first: what one look has taken is not another's."""
    yield "email", list(_emails(text)) if "@" in text else []
    if not _SIX_DIGITS.search(text):
        return
    yield "iban", list(_ibans(text))
    yield "id", list(_nationals(text))
    yield "card", list(_cards(text))
    yield "phone", list(_phones(text, region))


def _emails(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for match in _HOST.finditer(text):
        before = text[max(at, match.start() - 64) : match.start()]
        name = _MAILBOX.search(before) or _ANY_MAILBOX.search(before)
        at = match.end()
        if name:
            yield match.start() - len(name[0]), at


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        # A word that follows may look like one more group.
        end = match.end(1)
        while end - match.start() >= 15:
            if _valid("iban")(text[match.start() : end]):
                yield match.start(), end
                break
            end = max(text.rfind(" ", match.start(), end), text.rfind("-", match.start(), end))


def _nationals(text: str) -> Iterator[tuple[int, int]]:
    for name, pattern in _NATIONAL:
        for match in _compiled(pattern).finditer(text):
            if name == _NINO or _valid(name)(match[0]):
                yield match.span()


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if digits[0] in "23456" and len(set(digits)) > 1 and _valid("luhn")(digits):
            yield match.span()


def _phones(text: str, region: str | None) -> Iterator[tuple[int, int]]:
    if not _DIGITS.search(text):
        return
    # Loaded by whoever writes a number: the plans of all countries are large.
    from phonenumbers import Leniency, PhoneNumberMatcher

    bare = _DATE.sub(lambda match: "\n" * len(match[0]), text)
    bare = _LONG_ID.sub(lambda match: match[0] if "+" in match[0] else "\n" * len(match[0]), bare)
    for match in PhoneNumberMatcher(bare, region, leniency=Leniency.VALID, max_tries=100):
        yield match.start, match.end


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _valid(name: str) -> Callable[[str], bool]:
    """Return the check of a number by its name in python-stdnum."""
    from importlib import import_module

    check: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
    return check
