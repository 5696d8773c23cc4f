"""Links: found in what people wrote, so that no quote brings one along, and refused in what a model answers."""

from __future__ import annotations

import re
from typing import Final

STAND_IN: Final = "(a link)"
"""What stands in a shown text where a link was."""

_ENDINGS: Final = (
    "com|org|net|edu|gov|mil|int|info|biz|io|dev|app|xyz|top|site|online|shop|store|link|click|page|blog|cloud|tech|"
    "live|news|club|space|website|fun|icu|zip|mov|gg|ly|tv|cc|ws|to|sh|ai|co|eu|uk|de|fr|es|pt|nl|pl|ru|cn|jp|kr|br|"
    "mx|ar|ch|se|fi|dk|cz|gr|tr|ua|ca|au|nz|ie|test|example|invalid|localhost|onion"
)
"""Ends of a bare name of a host; what is a word as well (it, me, in, is, no) counts only where a path follows."""

_ANY_ENDING: Final = rf"(?:{_ENDINGS}|it|me|in|is|no|be|at|us|id|my|so|do|am|la|pl|rs|st|im|tk|ml|ga|cf|gq)"
_LABELS: Final = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
_PATH: Final = r"[^\s<>\"'“”«»()\[\]{}]*"

_SCHEME: Final = r"\b(?:https?|ftps?|wss?|file|ssh|git|tel|sms|magnet|ipfs|chrome|about|blob|view-source)\s?:\s?//?"
_LINK: Final = re.compile(
    "|".join(
        [
            # Markdown: an image, a link, a reference with its place.
            r"!?\[[^\]\n]{0,200}\]\s?\(\s*[^)\s]+[^)\n]{0,200}\)",
            r"!?\[[^\]\n]{0,200}\]\s?\[[^\]\n]{1,80}\](?=\s*$)",
            # HTML that loads or leads somewhere.
            r"<\s*/?\s*(?:a|img|iframe|script|link|form|object|embed|svg|video|audio|base|meta)\b[^>]{0,400}>?",
            r"\b(?:href|src|action|xlink:href)\s*=\s*[\"']?[^\s\"'>]+[\"']?",
            rf"{_SCHEME}{_PATH}",
            r"\b(?:mailto|data|javascript|vbscript)\s?:\s?[^\s<>\"'“”()]+",
            rf"\bwww\d?\.{_PATH}",
            # Written so that people read it as a link and filters do not.
            rf"\bh(?:xx|\*\*|tt)ps?\s?(?::|\[:\])\s?//{_PATH}",
            rf"\b[a-z0-9-]+(?:\s?(?:\[\.\]|\(\.\)|\[dot\]|\(dot\))\s?[a-z0-9-]+)+(?:/{_PATH})?",
            r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{2,5})?/" + _PATH,
            rf"(?<![\w@.]){_LABELS}xn--[a-z0-9-]+(?:/{_PATH})?",
            rf"(?<![\w@.-]){_LABELS}{_ANY_ENDING}(?::\d{{2,5}})?/{_PATH}",
            rf"(?<![\w@.-]){_LABELS}(?:{_ENDINGS})(?::\d{{2,5}})?\b(?![\w@-])",
        ]
    ),
    re.IGNORECASE,
)
_DOTTED: Final = re.compile(r"\.[^\W_]")
_AHEAD: Final = (
    "://",
    ": //",
    ":/",
    "mailto",
    "data:",
    "data :",
    "script:",
    "href",
    "src",
    "action",
    "<",
    "](",
    "] (",
    "][",
    "[.]",
    "(.)",
    "dot]",
    "dot)",
)
_TRAILING: Final = ".,;:!?…"


def may_hold_link(text: str) -> bool:
    """Tell cheaply whether a closer look is worth it."""
    if "." in text and _DOTTED.search(text):
        return True
    if not any(sign in text for sign in ":<[=("):
        return False
    plain = text.lower()
    return any(sign in plain for sign in _AHEAD)


def has_link(text: str) -> bool:
    """Tell whether a text holds a link: an address, a bare host, markdown or HTML that leads or loads somewhere."""
    return may_hold_link(text) and _LINK.search(text) is not None


def without_links(text: str) -> str:
    """Return a text with `(a link)` in the place of each link."""
    return _LINK.sub(_stood_in, text) if may_hold_link(text) else text


def _stood_in(match: re.Match[str]) -> str:
    found = match[0]
    kept = found[len(found.rstrip(_TRAILING)) :]
    return STAND_IN + kept
