"""What a pattern cannot match without: most texts hold nothing of it, and need not be searched.

Read from the parsed pattern, which `re` keeps to itself; where that is not as expected, every text is searched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

_LEAST: Final = 2
"""Letters of a part that is looked for: a single one is in every text."""

_MOST_SETS: Final = 3


@dataclass(frozen=True, slots=True)
class Gated:
    """A pattern, and sets of texts of each of which one has to be there, the rarest set first.

    plain: whether a text of ASCII alone can hold it.
    """

    pattern: re.Pattern[str]
    needs: tuple[tuple[str, ...], ...]
    plain: bool

    def could_be_in(self, text: str, known: dict[tuple[str, ...], bool]) -> bool:
        """Tell whether everything that is needed is there. known: what is known of this text, by set."""
        for one in self.needs:
            there = known.get(one)
            if there is None:
                there = known[one] = any(map(text.__contains__, one))
            if not there:
                return False
        return True


def gated(pattern: str) -> Gated:
    """Compile a pattern together with what it cannot match without."""
    try:
        sets = _required(_parser().parse(pattern))
    except (ImportError, AttributeError, TypeError, ValueError, KeyError):
        sets = []
    useful = {tuple(sorted(one)) for one in sets if min(map(len, one)) >= _LEAST}
    ordered = sorted(useful, key=lambda one: (-min(map(len, one)), len(one), one))
    plain = all(any(map(str.isascii, one)) for one in ordered)
    return Gated(re.compile(pattern), tuple(ordered[:_MOST_SETS]), plain)


def _parser() -> Any:
    try:
        return import_module("re._parser")
    except ImportError:
        # Python 3.10.
        return import_module("sre_parse")


def _required(parsed: Any) -> list[frozenset[str]]:
    """Return sets of literal texts, of each of which every match holds at least one."""
    found: list[frozenset[str]] = []
    run = ""
    for operation, given in parsed:
        name = str(operation)
        if name == "LITERAL":
            run += chr(given)
            continue
        if run:
            found.append(frozenset([run]))
            run = ""
        found += _of(name, given)
    return [*found, frozenset([run])] if run else found


def _of(name: str, given: Any) -> list[frozenset[str]]:
    if name == "SUBPATTERN":
        return _required(given[-1])
    if name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
        return _required(given[2]) if given[0] >= 1 else []
    if name == "ATOMIC_GROUP":
        return _required(given)
    if name == "BRANCH":
        return _of_branches(given[1])
    # A look ahead has to match as well; one that must not, and classes of characters, say nothing.
    return _required(given[1]) if name == "ASSERT" and given[0] > 0 else []


def _of_branches(branches: Sequence[Any]) -> list[frozenset[str]]:
    """Return one set for an alternation: of each branch the part that is the least likely to be there by chance."""
    chosen: set[str] = set()
    for branch in branches:
        sets = _required(branch)
        if not sets:
            return []
        chosen |= max(sets, key=lambda one: (min(map(len, one)), -len(one)))
    return [frozenset(chosen)]
