"""Texts that were made to keep a search busy: each is gone through in time that grows with its length.

Where a search begins anew inside what it has gone through already, these take minutes; else far less than a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from selo_dagster.llm.trust import orders
from selo_dagster.llm.trust.identifiers import identifiers_in
from selo_dagster.llm.trust.links import has_link, without_links
from selo_dagster.llm.trust.orders import without_orders
from selo_dagster.llm.trust.parts import parts_of
from selo_dagster.llm.trust.refusals import refused_in
from selo_dagster.llm.trust.secrets import secrets_in


def refused(text: str) -> tuple[str, ...]:
    """Look at an answer of one string."""
    return refused_in([text])


def at_home(text: str) -> list[Any]:
    """Look for identifiers of somebody who lives in Germany."""
    return list(identifiers_in(text, "DE"))


LONG: Final[dict[str, tuple[Callable[[str], Any], str, str, str, int]]] = {
    "brackets of links": (has_link, "", "[](", "", 40_000),
    "links that nothing closes": (without_links, "", "[a](b", "", 40_000),
    "a tag of spaces": (has_link, "a.b <", " ", "x", 40_000),
    "hyphens": (has_link, "x.y ", "a-", " x", 60_000),
    "labels of a host": (has_link, "", "a-a.", " x", 150_000),
    "digits": (at_home, "", "1", " x", 60_000),
    "digits and points": (at_home, "", "1.", " x", 60_000),
    "accounts that are none": (identifiers_in, "", "AB12" + "7" * 60 + "_ ", "", 400_000),
    "mails": (identifiers_in, "", "a@b.cc ", "", 300_000),
    "beginnings of a token": (secrets_in, "", "eyJ-", " ", 300_000),
    "square brackets": (parts_of, "", "[[", "", 150_000),
    "curly brackets": (parts_of, "", "{{", "", 150_000),
    "letters apart": (without_orders, "", "a_ ", "", 150_000),
    "letters of another writing": (without_orders, "", "ab-", "\u00e9", 150_000),
    "frames": (without_orders, "", "<|im_start|>. ", "", 150_000),
    "a command of spaces": (refused, "select", " ", "x", 20_000),
    "a script of spaces": (refused, "<", " ", "x", 40_000),
    "a speaker of lines": (refused, "user", "\n", "x", 60_000),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LONG)
def test_a_text_that_was_made_to_take_long_is_gone_through_once(name: str) -> None:
    look, begin, again, end, length = LONG[name]
    look(begin + again * (length // len(again)) + end)


def test_an_order_in_pieces_is_looked_for_in_rows_and_not_in_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    families = orders._families

    def counted(text: str, patterns: orders.Patterns) -> set[str]:
        looked.append(text)
        return families(text, patterns)

    monkeypatch.setattr(orders, "_families", counted)
    parts = 1_000
    # It is spread over more parts than are read together.
    text = "print " + "x. " * 35 + "in your reflection. " + "x. " * (parts - 36)
    assert without_orders(text).text == ""
    assert parts <= len(looked) < 1.2 * parts
