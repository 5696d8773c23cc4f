"""What of a source a model may be shown: without orders to it and without links. What is stored stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from selo_dagster.llm.quotes import weighs
from selo_dagster.llm.trust.links import has_link, without_links
from selo_dagster.llm.trust.orders import without_orders
from selo_dagster.llm.trust.secrets import secrets_in
from selo_dagster.llm.trust.stand_ins import longest_piece
from selo_dagster.llm.trust.veil import Veil
from selo_dagster.reflections.context import Source

UNTRUSTED: Final = "untrusted"
"""The tag by which a writer marks a memory that came from somewhere else: a page, a mail, another program."""

SOMEBODY: Final = "somebody"
"""What a person is called whose name is nothing but an order."""


def trusted(source: Source) -> Source | None:
    """Return a source as it may be shown, marked where it is tainted; None: it says nothing but orders.

    What was made from sources before is never withheld: its own making was checked, and others rest on it.
    """
    cleaned = without_orders(source.text)
    told = without_links(cleaned.text)
    tags, kind, strange = source.tags, source.kind, bool(cleaned.codes)
    if tags:
        hostile = frozenset(tag for tag in tags if tag.casefold() == UNTRUSTED or _orders(tag))
        strange = strange or bool(hostile)
        tags = tuple(tag for tag in tags if tag not in hostile and not has_link(tag))
    if kind is not None and _orders(kind):
        kind, strange = None, True
    if cleaned.codes and not told and source.source != "reflection":
        return None
    if told == source.text and tags == source.tags and kind == source.kind and not strange:
        return source
    return replace(
        source,
        told=None if told == source.text else told,
        tags=tags,
        kind=kind,
        tainted=source.tainted or strange,
    )


def parted(sources: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    """Return sources as they may be shown, and those that say nothing but orders, links and secrets.

    From the latter nothing could be quoted.
    """
    told: list[Source] = []
    withheld: list[Source] = []
    for one in sources:
        found = trusted(one)
        if found is None:
            withheld.append(replace(one, tainted=True))
        elif _says_nothing(found):
            withheld.append(found)
        else:
            told.append(found)
    return told, withheld


def _says_nothing(source: Source) -> bool:
    if source.told is None and not secrets_in(source.text):
        return False
    shown = Veil("secrets").over(source.as_told)
    piece = longest_piece(shown)
    return piece != shown.strip() and not weighs(piece)


def called(name: str) -> tuple[str, bool]:
    """Return how a person may be called, and whether their name tried to give an order."""
    cleaned = without_orders(name)
    return without_links(cleaned.text) or SOMEBODY, bool(cleaned.codes)


@lru_cache(maxsize=1024)
def _orders(words: str) -> bool:
    return bool(without_orders(words.replace("_", " ").replace("-", " ")).codes)
