"""The forms in which an order could be read in a text, however it is written."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from selo_dagster.llm.trust.hints import EVERYDAY, TELLING, URGING
from selo_dagster.llm.trust.seen import hidden_words, read_of

_LOOK_ALIKE: Final = {
    "a": "аαɑᴀ",
    "b": "ʙƅЬь",
    "c": "сϲᴄⅽ",
    "d": "ԁɗᴅⅾ",
    "e": "еєҽᴇ",
    "f": "ꜰϝ",
    "g": "ɡɢց",
    "h": "һհʜ",
    "i": "іıɩɪι",
    "j": "јᴊϳ",
    "k": "кκᴋ",
    "l": "ӏℓⅼʟ",
    "m": "мᴍⅿ",
    "n": "ոпηɴν",
    "o": "оοօᴏσ",
    "p": "рρᴘ",
    "q": "ԛզ",
    "r": "гᴦʀ",
    "s": "ѕꜱ",
    "t": "тτᴛ",
    "u": "սυᴜц",
    "v": "ѵᴠⅴ",
    "w": "ԝѡᴡω",
    "x": "хχⅹ",
    "y": "уүγʏ",
    "z": "ᴢʐ",
}
_ALIKE: Final = str.maketrans({other: letter for letter, others in _LOOK_ALIKE.items() for other in others})
"""Letters of other scripts that look like Latin ones (the common part of Unicode's confusables)."""

_LEET: Final = str.maketrans("013457@$!|", "oieastasil")
_STACKED: Final = re.compile("[\u0300-\u036f\u0488\u0489\u1abe\u20dd-\u20e4\ua670-\ua672]")
_LETTERS_APART: Final = re.compile(
    # It begins where no letter of it stands before: a row is gone through once.
    r"(?<!\w)(?<!(?<!\w)[^\W\d_][ \t.\-_*·•/|+~,])(?<!(?<!\w)[^\W\d_][.\-_*·•/|+~,]\s)"
    r"(?:[^\W\d_](?:[ \t]|[.\-_*·•/|+~,]\s?)){5,}[^\W\d_](?!\w)"
)
_APART: Final = re.compile(r"[\s.\-_*·•/|+~,]+")
_MIXED: Final = re.compile(r"[a-z][\u0370-\u052f\u0500-\u058f\u1d00-\u1d7f]|[\u0370-\u052f\u1d00-\u1d7f][a-z]")
_FOREIGN_LETTER: Final = re.compile(r"[\u0131\u0261\u0269\u0370-\u058f\u1d00-\u1d7f\u2c60-\u2c7f\ua730-\ua7ff]")
_LEET_WORD: Final = re.compile(r"[a-z][013457@$!|][a-z]|\b[013457@$!|][a-z]{2}|[a-z]{2}[013457@$!|]\w", re.IGNORECASE)
_CHOPPED: Final = re.compile(r"(?:(?:^|[.,;:!?…]\s)\s*[^\W_]+(?=[.,;:!?…])){3}")
_SPLIT_WORD: Final = re.compile(r"(?<=[a-z])[-_*·•.~](?=[a-z])", re.IGNORECASE)
_MARKED: Final = re.compile(r"[a-z][-_*·•~][a-z]+[-_*·•~][a-z]|\*\*|__", re.IGNORECASE)
_ENCODED: Final = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{20,}={0,2}(?![A-Za-z0-9+/=_-])")
_HEX: Final = re.compile(r"(?<![A-Za-z0-9_])(?:(?:0x|\\x|%)?[0-9a-fA-F]{2}[\s,:]?){12,}(?![A-Za-z0-9_])")
_ESCAPES: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}){4,}")
_ENTITIES: Final = re.compile(r"&(?:#x?[0-9a-fA-F]{1,6}|[a-z]{2,8});")
_BINARY: Final = re.compile(r"(?:[01]{8}\s?){6,}")
_ROT13: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
_TELLING: Final = ("instruct", "prompt", "system", "ignore", "reveal", "disregard", "guideline")
_TELLING_WORDS: Final = TELLING | EVERYDAY | URGING
_MIRRORED: Final = tuple(word[::-1] for word in _TELLING)
_ROTATED: Final = tuple(word.translate(_ROT13) for word in _TELLING)
_WORD: Final = re.compile(r"[^\W_]+")
_ACCENTED: Final = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_PAST: Final = re.compile(r"[áéíóúàèìòù]\W*\Z")
"""Who ignored instructions in a Romance language gives no order: without the accent at its end it would be one."""

_AFTER_AN_ORDER: Final = frozenset(["all", "any", "every", "everything", "the", "these", "those", "your", "previous"])

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\uff66-\uff9f"
_GLUED: Final = re.compile(
    rf"(?<=[a-z0-9])(?=[{_UNSPACED}])|(?<=[{_UNSPACED}])(?=[a-z0-9])|(?<![a-z0-9])_+|_+(?![a-z0-9])"
)
"""Where a word has an edge that patterns do not see: beside a script without spaces, and beside a low line."""

_LONG: Final = 20
_DEEP: Final = 2
"""How often what was decoded is decoded again."""


def folded(text: str) -> str:
    """Return a text in lower case on one line, in the compatible form of each character, without what nobody sees."""
    seen = read_of(text)
    if not seen.isascii():
        # Signs stacked upon letters hide words from patterns; a language's own accents are composed by now, and a
        # capital I with a dot has come apart.
        seen = _STACKED.sub("", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(seen.casefold().split())


def unglued(folded_text: str) -> str:
    """Return a folded text with its words apart from a script without spaces, and from low lines around them."""
    return _GLUED.sub(" ", folded_text)


def without_accents(text: str) -> str:
    """Return a text with its Latin letters bare of what stands above and below them."""
    if not _ACCENTED.search(text):
        return text
    return unicodedata.normalize("NFC", _STACKED.sub("", unicodedata.normalize("NFD", text)))


def forms(text: str, depth: int = _DEEP) -> Iterator[str]:
    """Yield the folded forms in which a text could be read: as it stands, with look-alikes, unspaced, decoded."""
    plain = folded(text)
    yield plain
    if not plain.isascii() and (_MIXED.search(plain) or _FOREIGN_LETTER.search(plain)):
        yield plain.translate(_ALIKE)
    if not plain.isascii() and _ACCENTED.search(plain):
        yield from _unaccented(plain)
    if ("_" in plain or not plain.isascii()) and _GLUED.search(plain):
        yield unglued(plain)
    if _LEET_WORD.search(plain):
        yield plain.translate(_ALIKE).translate(_LEET)
    read = read_of(text)
    if _LETTERS_APART.search(plain):
        yield from _unspaced(read)
    if _CHOPPED.search(plain):
        yield " ".join(re.sub(r"[^\w\s]+", " ", plain).split())
    if _MARKED.search(plain):
        yield " ".join(_SPLIT_WORD.sub("", plain).replace("*", "").replace("_", " ").split())
        yield " ".join(re.sub(r"[-_*·•~]+", " ", plain).split())
    if depth > 0:
        # What is written in another writing may itself be.
        for one in (hidden_words(text), *_decoded(read)):
            if one.strip():
                yield from forms(one, depth - 1)
    if depth == _DEEP and any(word in plain for word in _MIRRORED):
        yield plain[::-1]
    if depth == _DEEP and any(word in plain for word in _ROTATED):
        yield plain.translate(_ROT13)


def _unaccented(plain: str) -> Iterator[str]:
    """Yield a text without accents where that makes a word of it one that orders are given with."""
    bare = without_accents(plain)
    if _TELLING_WORDS.isdisjoint({*_WORD.findall(bare)} - {*_WORD.findall(plain)}):
        return
    words, without = plain.split(" "), bare.split(" ")
    yield " ".join(
        word if _PAST.search(word) and after not in _AFTER_AN_ORDER else one
        for word, one, after in zip(words, without, [*without[1:], ""], strict=True)
    )


def _unspaced(text: str) -> Iterator[str]:
    # Two spaces, or a space among dots, still part the words.
    raw = text.casefold()
    yield " ".join(
        _LETTERS_APART.sub(lambda match: _APART.sub("", match[0]), part) for part in re.split(r"\s{2,}", raw)
    )
    yield re.sub(r"[\W_]+", "", raw)


def _decoded(text: str) -> list[str]:
    """Return what is written in another writing: base64, hexadecimal, binary, escapes, entities."""
    found: list[str] = []
    if max(map(len, text.split()), default=0) >= _LONG:
        found += [_base64(match[0]) for match in _ENCODED.finditer(text)]
    if any(map(str.isdigit, text)):
        found += [_hexadecimal(match[0]) for match in _HEX.finditer(text)]
        found += [_binary(match[0]) for match in _BINARY.finditer(text)]
    if "%" in text and re.search(r"%[0-9a-fA-F]{2}", text):
        found.append(unquote(text))
    if "&" in text and _ENTITIES.search(text):
        found.append(html.unescape(text))
    if "\\" in text and _ESCAPES.search(text):
        found.append(_ESCAPES.sub(_unescaped, text))
    return found


def _unescaped(match: re.Match[str]) -> str:
    return re.sub(r"\\[ux]([0-9a-fA-F]{2,4})", lambda one: chr(int(one[1], 16)), match[0])


def _readable(raw: bytes) -> str:
    try:
        said = raw.decode()
    except UnicodeDecodeError:
        return ""
    return said if sum(one.isprintable() or one.isspace() for one in said) >= 0.9 * len(said) else ""


def _base64(text: str) -> str:
    for alphabet in (None, b"-_"):
        try:
            raw = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=alphabet)
        except (binascii.Error, ValueError):
            continue
        if found := _readable(raw):
            return found
    return ""


def _hexadecimal(text: str) -> str:
    digits = re.sub(r"0x|\\x|[%\s,:]", "", text)
    return _readable(bytes.fromhex(digits)) if len(digits) % 2 == 0 else ""


def _binary(text: str) -> str:
    digits = text.replace(" ", "")
    whole = len(digits) - len(digits) % 8
    return _readable(bytes(int(digits[at : at + 8], 2) for at in range(0, whole, 8)))
