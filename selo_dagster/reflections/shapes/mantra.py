"""A mantra: one line to live by until the next one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from selo_dagster.llm.quotes import says
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.settle import Made, Nothing, Rejected
from selo_dagster.reflections.tables import mantras
from selo_dagster.reflections.validate import TOO_SIMILAR

CHARACTERS: Final = 240
"""The longest line, from the predecessor, as are the words and the tokens below."""

FORBIDDEN: Final = frozenset({"ai", "llm", "gpt", "json", "prompt", "guidelines", "###", "assistant"})
"""Whole words that betray what writes the line; "remain" and "again" are innocent."""

FORBIDDEN_PHRASES: Final = ("system prompt", "language model")


@dataclass(frozen=True)
class MadeMantra:
    """A line ready to be stored."""

    id: str
    words: int | None
    text: str
    reflection_id: str
    model: str
    dropped: tuple[str, ...] = ()
    tainted: bool = False

    def store(self, connection: Connection, claim: Claim, now: datetime) -> None:
        """Insert it as the next version of its date; the former lines stay as history."""
        newest = connection.execute(
            select(func.max(mantras.c.version)).where(mantras.c.user_id == claim.user_id, mantras.c.on == claim.on)
        ).scalar()
        connection.execute(
            insert(mantras).values(
                id=self.id,
                user_id=claim.user_id,
                on=claim.on,
                version=int(newest or 0) + 1,
                text=self.text,
                reflection_id=self.reflection_id,
                model=self.model,
                tainted=self.tainted,
                created_at=now,
            )
        )


def _one_line(line: str, _: Context, __: Kind) -> str | None:
    return "mantra_not_one_line" if not says(line) or len(line.splitlines()) != 1 else None


def _unquoted(line: str, _: Context, __: Kind) -> str | None:
    pairs = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u2018", "\u2019"), ("\u00ab", "\u00bb"))
    quoted = len(line) > 1 and any(line[0] == first and line[-1] == last for first, last in pairs)
    return "mantra_quoted" if quoted else None


def _length(line: str, _: Context, kind: Kind) -> str | None:
    low, high = kind.words
    return None if low <= len(line.split()) <= high and len(line) <= CHARACTERS else "content_length_out_of_bounds"


def _tokens(line: str, _: Context, __: Kind) -> str | None:
    plain = line.casefold()
    words = set(re.findall(r"\w+|#{3,}", plain))
    return "forbidden_token" if words & FORBIDDEN or any(one in plain for one in FORBIDDEN_PHRASES) else None


def _fresh(line: str, context: Context, _: Kind) -> str | None:
    said = re.findall(r"\w+", line.casefold())
    for former in context.earlier:
        matcher = SequenceMatcher(None, said, re.findall(r"\w+", former.casefold()), autojunk=False)
        if matcher.ratio() >= TOO_SIMILAR:
            return "duplicate_content_high_overlap"
    return None


CHECKS: Final = (_one_line, _unquoted, _length, _tokens, _fresh)


@dataclass(frozen=True)
class MantraShape:
    """Asks for one line."""

    task: Final = "mantra"
    checks: Sequence[object] = CHECKS

    def schema(self, context: Context, aliases: tuple[str, ...]) -> dict[str, Any]:  # noqa: ARG002
        """Return the schema of one bounded line."""
        return {
            "type": "object",
            "properties": {"mantra": {"type": "string", "minLength": 1, "maxLength": CHARACTERS}},
            "required": ["mantra"],
            "additionalProperties": False,
        }

    def judged(
        self, text: str, model: str, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
    ) -> Made | Rejected | Nothing:
        """Read and check a model's text."""
        line = read_mantra(text)
        if line is None:
            return Rejected(("schema_validation_failed",), text)
        codes = tuple(code for check in CHECKS if (code := check(line, context, kind)) is not None)
        if codes:
            return Rejected(codes, text, len(line.split()))
        source = next(one for one in prompt.shown.values() if one.source == "reflection")
        return MadeMantra(new_id(), len(line.split()), line, source.id, model, tainted=context.tainted)

    def computed(self, context: Context, new_id: Callable[[], str]) -> Made | Nothing:
        """Never: a mantra is a model's."""
        raise NotImplementedError


def read_mantra(text: str) -> str | None:
    """Return the line of an answer; None where it is not one JSON object with a line of text."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    line = document.get("mantra") if isinstance(document, dict) else None
    if not isinstance(line, str) or "\x00" in line:
        return None
    try:
        line.encode()
    except UnicodeEncodeError:
        return None
    return line.strip()


MANTRA_SHAPE: Final = MantraShape()
