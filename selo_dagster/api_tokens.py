"""The bearer tokens of the HTTP API, as a setting holds them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from selo_dagster.errors import SeloError

READ: Final = "read"
EVENTS: Final = "events"
ONE_OFFS: Final = "one_offs"
SAGAS: Final = "sagas"
SCOPES: Final = (READ, EVENTS, ONE_OFFS, SAGAS)

LEAST_SECRET: Final = 32
"""Characters of a token's secret."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}", re.ASCII)
_SECRET: Final = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True)
class ApiToken:
    """One caller. name: who, as kept beside what it does; scopes: what it may do."""

    name: str
    scopes: frozenset[str]
    secret: str = field(repr=False)


def parse_tokens(text: str) -> tuple[ApiToken, ...]:
    """Read `name:scope+scope:secret`, several with commas between.

    Raises SeloError `settings`, which says which one is wrong by its number and holds nothing of a secret.
    """
    found: list[ApiToken] = []
    for number, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        found.append(_parsed(number, entry))
        if len({one.name for one in found}) < number:
            raise _fault(number, "has the name of another one")
        if len({one.secret for one in found}) < number:
            raise _fault(number, "has the secret of another one: nobody could tell who it is")
    return tuple(found)


def _parsed(number: int, entry: str) -> ApiToken:
    parts = entry.split(":", 2)
    if len(parts) != 3:
        raise _fault(number, "is not name:scope+scope:secret")
    name, scopes, secret = parts
    if _NAME.fullmatch(name) is None:
        raise _fault(number, "needs a name of 1 to 80 letters, digits or any of _ . -")
    chosen = frozenset(scopes.split("+"))
    if not chosen <= set(SCOPES):
        raise _fault(number, f"has a scope that there is not: use {', '.join(SCOPES)}, with + between")
    if len(secret) < LEAST_SECRET or _SECRET.fullmatch(secret) is None:
        raise _fault(number, f"needs a secret of at least {LEAST_SECRET} visible ASCII characters")
    return ApiToken(name, chosen, secret)


def _fault(number: int, what: str) -> SeloError:
    return SeloError("settings", f"SELO_API_TOKENS: token {number} {what}")
