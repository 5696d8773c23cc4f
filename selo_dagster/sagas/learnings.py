"""What sagas learn of a person: kept once, each under an id of its own, and forgotten by that id."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints
from sqlalchemy import Connection, delete, insert, select

from selo_dagster.llm.answers import Cited, Learnings
from selo_dagster.memory.learnings import LEAST_CONFIDENCE
from selo_dagster.memory.learnings import learnings as table
from selo_dagster.sagas.asking import LONGEST_MODEL
from selo_dagster.sagas.given import Done, Effect, Given, id_from
from selo_dagster.sagas.handed import Handed
from selo_dagster.sagas.sources import Quoted, gone_of
from selo_dagster.sagas.taint import is_tainted

KEPT: Final = "kept"
MOST_SOURCES: Final = 20
"""Sources that one learning names."""

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=r"\S")]
Domain = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Source = Annotated[str, StringConstraints(min_length=1, max_length=240)]

_SPACES: Final = re.compile(r"\s+")
_ENDS: Final = " \t\n.!…"


class KeptLearning(Handed):
    """One thing learned of a person. confidence, importance: 0-1; evidence: what it rests on, as `message:ID`.

    citations: passages of that.
    """

    text: Text
    domain: Domain
    confidence: Unit
    importance: Unit
    evidence: Annotated[list[Source], Field(max_length=MOST_SOURCES)]
    citations: Annotated[list[Quoted], Field(max_length=MOST_SOURCES)] = Field(default=[])


class Kept(Handed):
    """The learnings that this saga made."""

    ids: list[str]


def learned(answer: Learnings, resting: Callable[[Sequence[Cited]], Mapping[str, Any]]) -> list[KeptLearning]:
    """Return a model's answer as it is to be kept. resting: `evidence` and `citations` of what one cites."""
    return [
        KeptLearning(
            text=one.text,
            domain=one.domain,
            confidence=one.confidence,
            importance=one.importance,
            **resting(one.evidence),
        )
        for one in answer.learnings
    ]


def keep_learnings(
    given: Given, *, source: str, model: str, learnings: Sequence[KeptLearning], tainted: bool = False
) -> list[str]:
    """Insert what is sure enough and not kept already; returns the ids, the same for every try of the step.

    source: `reflection:ID` or `conversation:ID`. Less than LEAST_CONFIDENCE is left out, and so is what says the same
    as something kept of this person, apart from case, spaces and the end of the sentence, or rests on what is gone.
    tainted: what was read for them was; what a tainted reflection understood is as well.
    """
    there = _kept_texts(given.connection, given.user_id)
    gone = gone_of(given.connection, given.user_id, (name for one in learnings for name in one.evidence))
    marked = tainted or is_tainted(given.connection, given.user_id, source)
    rows = []
    for place, one in enumerate(learnings):
        said = same_text(one.text)
        if one.confidence < LEAST_CONFIDENCE or said in there or not gone.isdisjoint(one.evidence):
            continue
        there.add(said)
        rows.append(
            {
                "id": id_from(f"{given.token}/{place}"),
                "user_id": given.user_id,
                "saga_id": given.saga_id,
                "source": source,
                "content": one.text,
                "domain": one.domain,
                "confidence": one.confidence,
                "importance": one.importance,
                "evidence": list(one.evidence),
                "citations": [cited.model_dump() for cited in one.citations],
                "model": model[:LONGEST_MODEL],
                "state": KEPT,
                "tainted": marked,
                "created_at": given.now,
            }
        )
    if rows:
        given.connection.execute(insert(table), rows)
    return [str(row["id"]) for row in rows]


def kept(ids: list[str]) -> Done:
    """Return what a step answers that has kept these."""
    made = Kept(ids=ids)
    return Done(made, undo=made, effects=tuple(Effect(f"learnings:{one}", None, KEPT) for one in ids))


def forget_learnings(given: Given, ids: Sequence[str]) -> None:
    """Delete exactly these, as far as they are this saga's: what others learned stays."""
    given.connection.execute(delete(table).where(table.c.id.in_(list(ids)), table.c.saga_id == given.saga_id))


def same_text(text: str) -> str:
    """Return a text in the form in which two are the same that differ in case, spaces or the end only."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip(_ENDS)


def _kept_texts(connection: Connection, user_id: str) -> set[str]:
    # Compared here: SQLite folds the case of ASCII letters only.
    chosen = select(table.c.content).where(table.c.user_id == user_id, table.c.state == KEPT)
    return {same_text(text) for text in connection.execute(chosen).scalars()}
