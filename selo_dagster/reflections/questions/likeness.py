"""Whether two questions ask the same, and whether a memory answers one: by words, without a model, in any script."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from typing import Final

SHARED_WORDS: Final = 0.6
"""Jaccard index of content words from which two questions are one. With the usual two to five content words this
lets one word in four differ ("sister exam went" and "sister exam went well") but not one in two."""

SAME_TEXT: Final = 0.85
"""Ratio of SequenceMatcher on the content words as text from which two questions are one: catches another ending
or a typing error in a word, which the words alone would count as two different ones."""

FEWEST_WORDS: Final = 3
"""Content words that a question needs before a memory can count as its answer: fewer are found together by chance."""

CONTAINED: Final = 0.8
"""Share of a question's content words that an answering memory holds. Below 1, since the word that asks for the
unknown ("kind", "name") is often missing in the answer; not lower, since a memory on the same topic would answer."""

COMPARED_CHARACTERS: Final = 1_000
"""Characters of a text that are compared. A longer one would hold most words of any question by chance."""

_STOP_WORDS: Final = frozenset(
    word
    for line in (
        "what which who whom whose when where why how a an the this that these those there here i me my mine",
        "we us our you your yours he him his she her hers it its they them their am is are was were be been",
        "being do does did done have has had having can could may might must shall should will would of to in",
        "on at for with and or but about from by as if so than then not no still any ever yet just also too",
        "very re ve ll don didn doesn isn aren wasn",
    )
    for word in line.split()
)

# Scripts that put no spaces between words: Thai to Burmese, Khmer, kana, Han and its extensions.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+"
)

# In Chinese, the question words, pronouns and particles; they end a run as a space would.
_CHINESE_STOPS: Final = re.compile(
    "为什么|為什麼|什么|什麼|怎么样|怎么|怎麼|哪里|哪裡|[哪谁誰吗嗎呢你您我他她它们們的是了在和也都]"
)


class _Letters(dict[int, str]):
    """Turns into a space what is no letter, mark or digit. Marks stay: without them Indic words fall to pieces."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        kept = self[point] = character if unicodedata.category(character)[0] in "LMN" else " "
        return kept


_LETTERS: Final = _Letters()


def words(text: str) -> list[str]:
    """Return the words of `text` in order, folded; a run of a script without spaces is one word."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS).split()


def content_words(text: str) -> list[str]:
    """Return what of `text` carries its meaning, in order, from its first thousand characters.

    Words without those that hold any sentence together; for scripts without spaces, pairs of neighbouring
    characters. The stop words are English and Chinese: those of other languages count as content on both sides.
    """
    found: list[str] = []
    for word in words(text[:COMPARED_CHARACTERS]):
        for run in re.split(f"({_UNSPACED.pattern})", word):
            if _UNSPACED.match(run):
                for part in filter(None, _CHINESE_STOPS.split(run)):
                    found += [part[place : place + 2] for place in range(max(1, len(part) - 1))]
            elif run and run not in _STOP_WORDS and not (len(run) == 1 and run.isascii() and run.isalpha()):
                found.append(run)
    return found


def same_question(one: str, other: str) -> bool:
    """Tell whether two questions ask the same thing.

    Texts are compared without stop words, so that a shared "What do you like about your …" makes nothing alike,
    and never count as one by their letters where their numbers differ ("chapter 2", "chapter 3").
    """
    first, second = content_words(one), content_words(other)
    if not first or not second:
        return _alike(" ".join(words(one[:COMPARED_CHARACTERS])), " ".join(words(other[:COMPARED_CHARACTERS])))
    if len(set(first) & set(second)) >= SHARED_WORDS * len(set(first) | set(second)):
        return True
    return numbers_in(first) == numbers_in(second) and _alike(" ".join(first), " ".join(second))


def answered_by(question: str, memory_text: str) -> bool:
    """Tell whether a memory already says what a question asks for, as far as their words can tell."""
    return words_answered_by(frozenset(content_words(question)), frozenset(content_words(memory_text)))


def words_answered_by(question: frozenset[str], memory: frozenset[str]) -> bool:
    """Tell the same from content words, for a caller that compares many."""
    return len(question) >= FEWEST_WORDS and len(question & memory) >= CONTAINED * len(question)


def numbers_in(found: list[str]) -> set[str]:
    """Return the words that hold a digit."""
    return {word for word in found if any(character.isdigit() for character in word)}


def _alike(one: str, other: str) -> bool:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    # Cheap upper bounds first: nearly every pair ends there.
    return (
        matcher.real_quick_ratio() >= SAME_TEXT and matcher.quick_ratio() >= SAME_TEXT and matcher.ratio() >= SAME_TEXT
    )
