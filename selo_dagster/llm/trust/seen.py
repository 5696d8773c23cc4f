"""What can be seen of a text: without characters that hide something from people and not from models."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

_JOINERS: Final = "\u200c\u200d"
_EMOJI_STYLE: Final = "\ufe0e\ufe0f"
# England's flag and its like: a black flag, and letters that nobody sees.
_FLAG: Final = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f)")
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]+")
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
_UNSEEN: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]|[\u200c\u200d]{2,}")
_UNCLEAR: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
"""Whatever is a control, a format or a private character, half of one, a selector or a blank: most texts have none."""

_NOTHING: Final = (
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
"""The same without what is shown as a space."""

_UNREAD: Final = re.compile(f"[{_NOTHING}]+")
_LIKE_A_SPACE: Final = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_WIDE: Final = "\uff0d-\uff1a\uff20-\uff3d\uff3f\uff41-\uff5a"
"""Wide letters and digits, brackets, and the signs in addresses."""

_CONTROL: Final = re.compile(f"[{_LIKE_A_SPACE}]")
_NARROW: Final = {ord(one): ord(one) - 0xFEE0 for one in map(chr, range(0xFF01, 0xFF5F)) if re.match(f"[{_WIDE}]", one)}
_OTHERWISE: Final = re.compile(f"[{_NOTHING}{_LIKE_A_SPACE}{_WIDE}]")

_CARRIES: Final = 8
"""Selectors in a row from which they carry something: an emoji has one."""


def visible(text: str) -> str:
    """Return a text without what nobody sees: format and private characters, tags, selectors, blanks, rows of joiners.

    A joiner stays inside a word or an emoji, and a flag keeps its tags. Line ends and tabs become spaces, half a
    character becomes the sign for a broken one.
    """
    if not _UNCLEAR.search(text):
        return text
    parts = _FLAG.split(text)
    return "".join(part if place % 2 else _seen(part) for place, part in enumerate(parts))


def _seen(text: str) -> str:
    kept = _SELECTORS.sub(_style, text)
    return "".join(_one(character) for character in _UNSEEN.sub("", kept))


def _one(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    if category == "Cs":
        return "\ufffd"
    return "" if category in {"Cf", "Co"} and character not in _JOINERS else character


class Bare(NamedTuple):
    """What is read of a text, whatever is hidden in it. at: for each character its place there; None: the same."""

    text: str
    at: Sequence[int] | None

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """Return where a part of it stands in the text, with what is hidden within."""
        return (begin, end) if self.at is None else (self.at[begin], self.at[end - 1] + 1)


def bare(text: str) -> Bare:
    """Return what is read of a text: without joiners, styles and all that nobody sees, wide letters as plain ones.

    What is looked for is looked for in it: a model reads a link or a key whatever stands hidden between its letters.
    """
    if not _is_otherwise(text):
        return Bare(text, None)
    at: list[int] | None = None
    plain = text
    if _UNREAD.search(text):
        at = []
        end = 0
        for match in _UNREAD.finditer(text):
            at += range(end, match.start())
            end = match.end()
        at += range(end, len(text))
        plain = _UNREAD.sub("", text)
    return Bare(_CONTROL.sub(" ", plain).translate(_NARROW), at)


def read_of(text: str) -> str:
    """Return what is read of a text, where nobody asks for places: see `bare`."""
    return bare(text).text if _is_otherwise(text) else text


def _is_otherwise(text: str) -> bool:
    return not (text.isascii() and text.isprintable()) and _OTHERWISE.search(text) is not None


def replaced(text: str, pattern: re.Pattern[str], by: Callable[[re.Match[str]], str]) -> str:
    """Return a text with what a pattern finds in what is read of it replaced, and what is hidden within."""
    read = bare(text)
    if read.at is None and read.text == text:
        return pattern.sub(by, text)
    kept: list[str] = []
    at = 0
    for match in pattern.finditer(read.text):
        begin, end = read.place(*match.span())
        kept += [text[at:begin], by(match)]
        at = end
    return "".join([*kept, text[at:]])


def without_hidden(text: str) -> str:
    """Return a text without tags and selectors that could carry words; line ends stay."""
    parts = _FLAG.split(text)
    return "".join(
        part if place % 2 else _SELECTORS.sub(_style, _TAGS.sub("", part)) for place, part in enumerate(parts)
    )


def _style(match: re.Match[str]) -> str:
    return match[0][0] if match[0][0] in _EMOJI_STYLE else ""


def hidden_words(text: str) -> str:
    """Return what tags or selectors say that nobody sees, as plain text; empty where they say nothing."""
    if text.isascii():
        return ""
    bare = _FLAG.sub("", text)
    said = ["".join(chr(ord(one) - 0xE0000) for one in run) for run in _TAGS.findall(bare)]
    for run in _SELECTORS.findall(bare):
        if len(run) >= _CARRIES:
            codes = (ord(one) for one in run)
            raw = bytes(code - 0xFE00 if code < 0xE0000 else code - 0xE0100 + 16 for code in codes)
            said.append(raw.decode("utf-8", "replace"))
    return " ".join(said)
