"""Questions that the companion would like to ask: up to three, each new, each resting on a source."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from selo_dagster.llm.citations import Sources, citation_of, citations_schema
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.questions.draft import Draft, normalised
from selo_dagster.reflections.questions.enqueue import enqueue
from selo_dagster.reflections.questions.likeness import answered_by, same_question
from selo_dagster.reflections.settle import Made, Nothing, Rejected
from selo_dagster.reflections.standing import require_standing
from selo_dagster.reflections.states import UNCHANGED, Reason

QUESTION_CHARACTERS: Final = 400
TOPIC_CHARACTERS: Final = 40
NOTES_CHARACTERS: Final = 400


@dataclass(frozen=True)
class MadeQuestions:
    """Questions ready to be queued. words: of all of them together."""

    id: str
    words: int | None
    drafts: tuple[Draft, ...]
    model: str
    new_id: Callable[[], str]
    dropped: tuple[str, ...] = ()
    tainted: bool = False

    def store(self, connection: Connection, claim: Claim, now: datetime) -> None:
        """Queue those that are still new; the queue itself refuses what it holds already.

        Raises SourceGoneError where something that one rests on was deleted since it was read.
        """
        cited = {name.partition(":") for draft in self.drafts for name in draft.evidence}
        require_standing(connection, claim.user_id, ((kind, source_id) for kind, _, source_id in cited))
        enqueue(
            connection,
            user_id=claim.user_id,
            ledger_id=claim.id,
            on=claim.on,
            drafts=self.drafts,
            model=self.model,
            now=now,
            new_id=self.new_id,
            tainted=self.tainted,
        )


def _worded(draft: Draft, _: Context, kind: Kind) -> bool:
    low, high = kind.words
    return low <= len(draft.question.split()) <= high and len(draft.question) <= QUESTION_CHARACTERS


def _new(draft: Draft, context: Context, _: Kind) -> bool:
    return not any(same_question(draft.question, known) for known in context.earlier)


def _open(draft: Draft, context: Context, _: Kind) -> bool:
    # What it rests on is where it comes from, not its answer.
    told = [one.text for one in context.sources if one.source == "memory" and f"memory:{one.id}" not in draft.evidence]
    return not any(answered_by(draft.question, text) for text in told)


CHECKS: Final = (_worded, _new, _open)
"""Each drops a question, as does a citation that does not hold; what is left is queued."""

MOST_SOURCES: Final = 3


@dataclass(frozen=True)
class QuestionsShape:
    """Asks for as many questions as the queue has room for."""

    task: Final = "questions"
    checks: Sequence[object] = CHECKS

    def schema(self, context: Context, aliases: tuple[str, ...]) -> dict[str, Any]:
        """Return the schema of a bounded list, each with sources among these aliases."""
        question = {
            "question": {"type": "string", "minLength": 1, "maxLength": QUESTION_CHARACTERS},
            "topic": {"type": "string", "minLength": 1, "maxLength": TOPIC_CHARACTERS},
            "priority": {"type": "integer", "minimum": 1, "maximum": 5},
            "suggested_delay_days": {"type": "integer", "minimum": 0, "maximum": 365},
            "evidence": citations_schema(aliases, MOST_SOURCES),
        }
        return _object(
            questions={"type": "array", "items": _object(**question), "minItems": 0, "maxItems": context.room},
            notes={"type": "string", "maxLength": NOTES_CHARACTERS},
        )

    def judged(
        self, text: str, model: str, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
    ) -> Made | Rejected | Nothing:
        """Read a model's text and keep the questions that may be asked.

        Rejected where one was proposed that rests on nothing, and none is left: a model that invents what it quotes
        is no night without a question.
        """
        proposed = _read(text)
        if proposed is None:
            return Rejected(("schema_validation_failed",), text)
        kept: list[Draft] = []
        dropped: list[str] = []
        for one in proposed:
            draft = _draft(one, prompt, prompt.sources)
            if isinstance(draft, str):
                dropped.append(draft)
                continue
            fits = all(check(draft, context, kind) for check in CHECKS)
            if fits and not any(same_question(draft.question, other.question) for other in kept):
                kept.append(draft)
        if not kept:
            return Rejected(tuple(dropped), text) if dropped else Nothing(UNCHANGED, Reason.NOTHING_TO_ASK)
        chosen = tuple(kept[: context.room])
        words = sum(len(one.question.split()) for one in chosen)
        return MadeQuestions(new_id(), words, chosen, model, new_id, tuple(dropped), context.tainted)

    def computed(self, context: Context, new_id: Callable[[], str]) -> Made | Nothing:
        """Never: questions are a model's."""
        raise NotImplementedError


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _read(text: str) -> list[dict[str, Any]] | None:
    """Return what was proposed; nothing that is not at least of the shape of a question."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    questions = document.get("questions") if isinstance(document, dict) else None
    if not isinstance(questions, list):
        return None
    return [one for one in questions if isinstance(one, dict) and _is_shaped(one)]


def _is_shaped(one: dict[str, Any]) -> bool:
    question, topic, evidence = one.get("question"), one.get("topic", ""), one.get("evidence")
    if not isinstance(question, str) or not isinstance(topic, str) or not isinstance(evidence, list):
        return False
    cited = [citation_of(value) for value in evidence]
    try:
        "".join([question, topic, *(f"{one.source}{one.quote}" for one in cited if one)]).encode()
    except UnicodeEncodeError:
        return False
    return None not in cited


def _draft(one: dict[str, Any], prompt: Prompt, sources: Sources) -> Draft | str:
    """Return a question with what it rests on, or the code of what does not hold."""
    passages, codes = sources.held(cited for value in one["evidence"] if (cited := citation_of(value)))
    if codes:
        return codes[0]
    # Its numbers are its own: a question claims nothing.
    return normalised(
        Draft(
            question=one["question"].replace("\x00", " "),
            topic=one.get("topic", "").replace("\x00", " "),
            priority=_whole(one.get("priority"), 3),
            delay_days=_whole(one.get("suggested_delay_days"), 7),
            citations=tuple((prompt.named(passage.source), passage) for passage in passages),
        )
    )


def _whole(value: object, otherwise: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e6 < value < 1e6:
        return otherwise
    return int(value)


QUESTIONS_SHAPE: Final = QuestionsShape()
