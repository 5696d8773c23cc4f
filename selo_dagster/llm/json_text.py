"""Finds the one JSON object in what a model wrote around it."""

from __future__ import annotations

import json
import re
from typing import Final

REPAIR_LIMIT: Final = 10_000
"""Characters that are mended: above the longest answer, and about a second's work at its worst."""

MAX_OPENINGS: Final = 64
"""Brackets: the repair of deeply nested nonsense takes time that grows with the square of its length."""

_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


def json_object_in(text: str) -> str | None:
    """Return the first JSON object of `text` as one JSON document, mended where need be; None if there is none."""
    if _loaded(text) is not None:
        return text
    bare = _THOUGHTS.sub(" ", text)
    fenced = _FENCED.search(bare)
    for candidate in (fenced.group(1), bare) if fenced else (bare,):
        start = candidate.find("{")
        if start >= 0:
            found = _leading(candidate[start:]) or _mended(candidate[start:])
            if found:
                return json.dumps(found, ensure_ascii=False)
    return None


def is_complete(text: str, required: list[str]) -> bool:
    """Return whether `text` is one JSON object with every name in `required`."""
    found = _loaded(text)
    return found is not None and all(name in found for name in required)


def _loaded(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _leading(text: str) -> dict[str, object] | None:
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _mended(text: str) -> dict[str, object] | None:
    if len(text) > REPAIR_LIMIT or text.count("{") + text.count("[") > MAX_OPENINGS:
        return None
    import json_repair

    try:
        found = json_repair.loads(text)
    except (ValueError, RecursionError, IndexError, TypeError, AttributeError):
        # Nothing is lost by a repair that fails: the caller's checks name what is wrong with the text.
        return None
    if isinstance(found, list):
        found = next((one for one in found if isinstance(one, dict)), None)
    return found if isinstance(found, dict) else None
