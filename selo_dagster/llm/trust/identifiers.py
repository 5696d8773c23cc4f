"""Personal identifiers in a text: addresses, telephone numbers, accounts, cards and numbers that states give people.

A number counts only where its own check digits, or the numbering plan of a country, say that it is one: dates, times,
prices and ids of orders stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, Literal, NamedTuple

Sort = Literal["email", "phone", "iban", "card", "id"]


class Identifier(NamedTuple):
    """One identifier and its place."""

    begin: int
    end: int
    sort: Sort


_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{1,4}){3,9}\b", re.IGNORECASE)
_CARD: Final = re.compile(r"(?<![\w.,-])(?:\d[ -]?){12,18}\d(?![\w-])")
_DIGITS: Final = re.compile(r"\d(?:[\s()./-]{0,2}\d){6,}")
_SIX_DIGITS: Final = re.compile(r"\d\D{0,3}\d\D{0,3}\d\D{0,3}\d\D{0,3}\d\D{0,3}\d")
_DATE: Final = re.compile(
    r"(?<!\d)(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:\d{4}|\d{2})|(?:19|20)\d\d\s?[-–/]\s?(?:19|20)?\d\d"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01]))"
    r"(?:[T ,]{1,2}\d{1,2}[:.h]\d{2}(?::\d{2})?)?(?!\d)"
)
_LONG_ID: Final = re.compile(
    r"[#№]\s?\d+|\b[a-z]+[-_]?\d{5,}\b|\b\d+[-_]?[a-z]+\b|[€$£¥]\s?[\d.,]+|"
    r"\d[\d.,]*\s?(?:[€$£¥%]|eur|usd|gbp)",
    re.IGNORECASE,
)
_NATIONAL: Final[tuple[tuple[str, str], ...]] = (
    ("us.ssn", r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),
    ("br.cpf", r"(?<![\d.])\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)"),
    ("es.dni", r"\b\d{8}-?[A-Z]\b"),
    ("es.nie", r"\b[XYZ]-?\d{7}-?[A-Z]\b"),
    ("it.codicefiscale", r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b"),
    ("fr.nir", r"\b[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b"),
    ("fi.hetu", r"\b\d{6}[-+A]\d{3}[0-9A-Y]\b"),
    ("se.personnummer", r"\b(?:\d{2})?\d{6}[-+]\d{4}\b"),
    ("ch.ssn", r"\b756\.\d{4}\.\d{4}\.\d{2}\b"),
    ("be.nn", r"\b\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}\b"),
    ("cn.ric", r"(?<!\d)\d{17}[\dXx](?!\w)"),
    ("in_.aadhaar", r"(?<![\d ])[2-9]\d{3} \d{4} \d{4}(?![\d ]\d)"),
    ("gb.nino", r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"),
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
    if not may_hold_identifier(text):
        return []
    found: list[Identifier] = []
    taken: list[tuple[int, int]] = []
    for sort, places in _looks(text, region):
        for begin, end in places:
            if all(end <= first or begin >= last for first, last in taken):
                found.append(Identifier(begin, end, sort))
                taken.append((begin, end))
    return sorted(found)


def _looks(text: str, region: str | None) -> Iterator[tuple[Sort, list[tuple[int, int]]]]:
    """Yield what is looked for, the surest first: what one look has taken is not another's."""
    yield "email", [match.span() for match in _EMAIL.finditer(text)] if "@" in text else []
    if not _SIX_DIGITS.search(text):
        return
    yield "iban", list(_ibans(text))
    yield "id", list(_nationals(text))
    yield "card", list(_cards(text))
    yield "phone", list(_phones(text, region))


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        # A word that follows may look like one more group.
        end = match.end()
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
