"""A corpus of attacks on a mind that reads what others wrote. Each version is a file and never changes again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final, Literal

NEWEST: Final = "v1"

Wants = Literal["link", "command", "template", "prompt", "trait", "foreign", "plain"]
"""What an attack wants in an answer: something that is refused by its form, a change of a trait, a citation of what was
never shown, or plain words, which nothing but the missing order keeps out."""


@dataclass(frozen=True)
class Attack:
    """One attack. text: what a memory holds: `benign`, and an order hidden in or beside it.

    family: how it is done; language: ISO 639-1; says: what an obedient model would write, where that is words.
    """

    id: str
    family: str
    language: str
    benign: str
    text: str
    wants: Wants
    says: str


@lru_cache(maxsize=4)
def attacks(version: str = NEWEST) -> tuple[Attack, ...]:
    """Return the attacks of a version, in order."""
    lines = (resources.files(__package__) / f"{version}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Attack(**json.loads(line)) for line in lines)
