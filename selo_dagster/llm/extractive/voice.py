"""The choice between turns of phrase."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import lru_cache
from zlib import crc32

from selo_dagster.llm.extractive.phrases import PHRASES
from selo_dagster.llm.extractive.wording import READ_CHARACTERS, capital
from selo_dagster.llm.protocol import CompletionRequest


class Voice:
    """Chooses between phrases by a digest of the request: the same request is always told in the same words."""

    def __init__(self, request: CompletionRequest) -> None:
        digest = hashlib.sha256(f"{request.covers}\0{request.subject}".encode("utf-8", "replace"))
        for one in request.evidence:
            digest.update(f"\0{one.at.isoformat()}\0{one.text[:READ_CHARACTERS]}".encode("utf-8", "replace"))
        self._turns = digest.digest()
        self._used: Counter[str] = Counter()
        self._last_time = request.earlier[0][: 2 * READ_CHARACTERS] if request.earlier else ""

    def say(self, slot: str, **parts: str) -> str:
        """Fill the next phrase of a slot, passing over those used in the latest earlier text while others are left."""
        options = _order(PHRASES[slot], self._last_time)
        turn = self._turns[crc32(slot.encode()) % len(self._turns)] + self._used[slot]
        self._used[slot] += 1
        return capital(options[turn % len(options)].format(**parts))

    def every(self, slot: str, **parts: str) -> list[str]:
        """Fill every phrase of a slot, beginning with the one that is due."""
        return [self.say(slot, **parts) for _ in PHRASES[slot]]


def _order(options: tuple[str, ...], last_time: str) -> tuple[str, ...]:
    """Return the options with those that were not used in `last_time` alone, or all where none is left."""
    if not last_time or len(options) == 1:
        return options
    return tuple(one for one in options if _core(one) not in last_time) or options


@lru_cache(maxsize=512)
def _core(phrase: str) -> str:
    return max(re.split(r"\{\w+\}", phrase), key=len)
