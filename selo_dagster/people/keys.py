"""Ids as their writers give them, and the keys under which Dagster knows people."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final

from selo_dagster.errors import SeloError
from selo_dagster.store.types import ID_LENGTH

Token = Callable[[], str]
"""Makes a new random partition key."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.ASCII)


def random_key() -> str:
    """Return a key that says nothing about its person: `u_` and 24 hexadecimal digits."""
    return f"u_{secrets.token_hex(12)}"


def is_plain(user_id: str) -> bool:
    """Tell whether an id may be a partition key as it stands: ASCII letters, digits, `-`, `_`, single inner dots."""
    return _PLAIN.fullmatch(user_id) is not None


def partition_key(user_id: str, *, pseudonymous: bool, token: Token = random_key) -> str:
    """Return the partition key of a person who is stated for the first time.

    That is the id itself, or a new one from `token` where the id is no plain token or `pseudonymous` keeps
    every id out of Dagster. It is stored with the person: asking again gives another one.
    """
    return user_id if is_plain(user_id) and not pseudonymous else token()


def has_controls(text: str, *, all_of_c: bool = False) -> bool:
    """Tell whether `text` holds control characters or lone surrogates.

    all_of_c: also the other characters of the Unicode categories C*: invisible format marks, private use,
    unassigned.
    """
    if text.isprintable():  # printable leaves out every C*
        return False
    if all_of_c:
        return any(unicodedata.category(character)[0] == "C" for character in text)
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def checked_id(value: str, what: str) -> str:
    """Return `value` if it can be an id. Raises SeloError `bad_id`, which names `what` and never the value."""
    if len(value) <= ID_LENGTH and is_plain(value):
        return value
    if not value or len(value) > ID_LENGTH or value != value.strip() or has_controls(value, all_of_c=True):
        raise SeloError(
            "bad_id",
            f"{what} must be 1 to {ID_LENGTH} characters, without control characters and without spaces at its ends",
        )
    return value
