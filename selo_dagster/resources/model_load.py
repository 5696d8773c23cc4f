"""How busy a model server says it is. Most do not say; that is no reason to hold anything back."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Final

WAIT_S: Final = 1.0
READ_BYTES: Final = 1 << 20
_WAITING: Final = re.compile(
    r"^(?:vllm:num_requests_waiting|llamacpp:requests_deferred)(?:\{[^}]*\})?\s+([0-9.eE+-]+)", re.MULTILINE
)


def model_load(base_url: str) -> float | None:
    """Return the percent of a server's slots in use, 100 where requests queue; None: it does not say.

    llama.cpp tells its slots; vLLM and llama.cpp tell in their metrics how many requests wait.
    """
    root = base_url.rstrip("/").removesuffix("/v1")
    if not root.startswith(("http://", "https://")):
        return None
    slots = _busy_slots(_read(f"{root}/slots"))
    return slots if slots is not None else _queue(_read(f"{root}/metrics"))


def _read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:  # noqa: S310 - http and https only, see above
            return str(answer.read(READ_BYTES).decode("utf-8", "replace"))
    except (OSError, ValueError):
        # Not there, not reachable, not willing: it does not say.
        return ""


def _busy_slots(text: str) -> float | None:
    try:
        slots = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(slots, list) or not slots or not all(isinstance(one, dict) for one in slots):
        return None
    busy = sum(1 for one in slots if one.get("is_processing") or one.get("state") not in {None, 0})
    return 100.0 * busy / len(slots)


def _queue(text: str) -> float | None:
    found = _WAITING.findall(text)
    try:
        waiting = [float(one) for one in found]
    except ValueError:
        return None
    if not waiting:
        return None
    return 100.0 if any(one > 0 for one in waiting) else 0.0
