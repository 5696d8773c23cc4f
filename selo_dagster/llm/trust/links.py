"""Links: found in what people wrote, so that no quote brings one along, and refused in what a model answers."""

from __future__ import annotations

import re
from typing import Final

from selo_dagster.llm.trust.seen import read_of, replaced

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

# Edges are those of ASCII: where words have no spaces between them, a link stands beside a letter.
_EDGE: Final = "(?<![a-z0-9])"
_HOST_EDGE: Final = "(?<![a-z0-9@.\u00c0-\u024f-])(?<![a-z0-9]_)"
_SCHEME: Final = (
    rf"{_EDGE}(?:https?|ftps?|wss?|file|ssh|git|tel|sms|magnet|ipfs|chrome|about|blob|view-source)"
    r"\s{0,8}:\s{0,8}//?"
)
_LINK: Final = re.compile(
    "|".join(
        [
            # Markdown: an image, a link, a reference with its place. No run is without a bound, or begins again inside.
            r"!?\[[^\[\]]{0,200}\]\s?\(\s{0,8}[^()\[\s][^()\[]{0,400}[()\[]",
            r"!?\[[^\[\]]{0,200}\]\s?\[[^\[\]]{1,80}\](?=\s*$)",
            # HTML that loads or leads somewhere.
            (
                r"<\s{0,8}/?\s{0,8}(?:a|img|iframe|script|link|form|object|embed|svg|video|audio|base|meta)(?![a-z0-9_])"
                r"[^>]{0,400}>?"
            ),
            rf"{_EDGE}(?:href|src|action|xlink:href)\s{{0,8}}=\s{{0,8}}[\"']?[^\s\"'>]+[\"']?",
            rf"{_SCHEME}{_PATH}",
            rf"{_EDGE}(?:mailto|data|javascript|vbscript)\s?:\s?[^\s<>\"'“”()]+",
            rf"{_EDGE}www[0-9]?\.{_PATH}",
            # Written so that people read it as a link and filters do not.
            rf"{_EDGE}h(?:xx|\*\*|tt)ps?\s?(?::|\[:\])\s?//{_PATH}",
            (
                r"(?<![a-z0-9-])[a-z0-9-]{1,63}(?:\s?(?:\[\.\]|\(\.\)|\[dot\]|\(dot\))\s?[a-z0-9-]{1,63})+"
                rf"(?:/{_PATH})?"
            ),
            rf"{_EDGE}[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}(?::[0-9]{{2,5}})?/{_PATH}",
            (
                rf"{_HOST_EDGE}{_LABELS}(?:xn--[a-z0-9-]+(?:/{_PATH})?|{_ANY_ENDING}(?::[0-9]{{2,5}})?/{_PATH}"
                rf"|(?:{_ENDINGS})(?::[0-9]{{2,5}})?(?![a-z0-9@\u00c0-\u024f-]|_[a-z0-9]))"
            ),
        ]
    ),
    re.IGNORECASE,
)
_DOTTED: Final = re.compile(r"\.[^\W_]")
_AHEAD: Final = (
    "//",
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
    read = read_of(text)
    return may_hold_link(read) and _LINK.search(read) is not None


def without_links(text: str) -> str:
    """Return a text with `(a link)` in the place of each link."""
    return replaced(text, _LINK, _stood_in) if may_hold_link(read_of(text)) else text


def _stood_in(match: re.Match[str]) -> str:
    found = match[0]
    kept = found[len(found.rstrip(_TRAILING)) :]
    return STAND_IN + kept
