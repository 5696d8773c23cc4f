"""Questions that the companion would like to ask: up to three, each new, each resting on a source."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.questions.draft import Draft, normalised
from selo_dagster.reflections.questions.enqueue import enqueue
from selo_dagster.reflections.questions.likeness import answered_by, same_question
from selo_dagster.reflections.settle import Made, Nothing, Rejected
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

    def store(self, connection: Connection, claim: Claim, now: datetime) -> None:
        """Queue those that are still new; the queue itself refuses what it holds already."""
        enqueue(
            connection,
            user_id=claim.user_id,
            ledger_id=claim.id,
            on=claim.on,
            drafts=self.drafts,
            model=self.model,
            now=now,
            new_id=self.new_id,
        )


def _worded(draft: Draft, _: Context, kind: Kind) -> bool:
    low, high = kind.words
    return low <= len(draft.question.split()) <= high and len(draft.question) <= QUESTION_CHARACTERS


def _grounded(draft: Draft, _: Context, __: Kind) -> bool:
    return bool(draft.evidence)


def _new(draft: Draft, context: Context, _: Kind) -> bool:
    return not any(same_question(draft.question, known) for known in context.earlier)


def _open(draft: Draft, context: Context, _: Kind) -> bool:
    # What it rests on is where it comes from, not its answer.
    told = [one.text for one in context.sources if one.source == "memory" and f"memory:{one.id}" not in draft.evidence]
    return not any(answered_by(draft.question, text) for text in told)


CHECKS: Final = (_worded, _grounded, _new, _open)
"""Each drops a question; what is left is queued."""


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
            "evidence": {
                "type": "array",
                "items": {"type": "string", "enum": list(aliases)},
                "minItems": 1,
                "maxItems": 3,
            },
        }
        return _object(
            questions={"type": "array", "items": _object(**question), "minItems": 0, "maxItems": context.room},
            notes={"type": "string", "maxLength": NOTES_CHARACTERS},
        )

    def judged(
        self, text: str, model: str, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
    ) -> Made | Rejected | Nothing:
        """Read a model's text and keep the questions that may be asked."""
        drafts = _read(text, prompt)
        if drafts is None:
            return Rejected(("schema_validation_failed",), text)
        kept: list[Draft] = []
        for draft in drafts:
            fits = all(check(draft, context, kind) for check in CHECKS)
            if fits and not any(same_question(draft.question, other.question) for other in kept):
                kept.append(draft)
        if not kept:
            return Nothing(UNCHANGED, Reason.NOTHING_TO_ASK)
        chosen = tuple(kept[: context.room])
        words = sum(len(one.question.split()) for one in chosen)
        return MadeQuestions(new_id(), words, chosen, model, new_id)

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


def _read(text: str, prompt: Prompt) -> list[Draft] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    questions = document.get("questions") if isinstance(document, dict) else None
    if not isinstance(questions, list):
        return None
    return [draft for one in questions if (draft := _draft(one, prompt)) is not None]


def _draft(one: object, prompt: Prompt) -> Draft | None:
    if not isinstance(one, dict):
        return None
    question, topic, evidence = one.get("question"), one.get("topic", ""), one.get("evidence")
    if not isinstance(question, str) or not isinstance(topic, str) or not isinstance(evidence, list):
        return None
    try:
        f"{question}{topic}".encode()
    except UnicodeEncodeError:
        return None
    known = [alias for alias in evidence if isinstance(alias, str) and alias in prompt.shown]
    if len(known) != len(evidence):
        return None
    return normalised(
        Draft(
            question=question.replace("\x00", " "),
            topic=topic.replace("\x00", " "),
            priority=_whole(one.get("priority"), 3),
            delay_days=_whole(one.get("suggested_delay_days"), 7),
            evidence=tuple(prompt.named(alias) for alias in dict.fromkeys(known)),
        )
    )


def _whole(value: object, otherwise: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e6 < value < 1e6:
        return otherwise
    return int(value)


QUESTIONS_SHAPE: Final = QuestionsShape()
