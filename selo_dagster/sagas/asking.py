"""What a generate step asks a model for: one request, one checked answer, sources under aliases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import SystemRandom
from typing import Final, Generic, TypeVar

from pydantic import ValidationError

from selo_dagster.llm.answers import Answer, schema_of
from selo_dagster.llm.budgets.calls import Tab
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.opening import cheaper_model, language_model
from selo_dagster.llm.protocol import Completion, CompletionRequest, Evidence, LanguageModel, Task
from selo_dagster.sagas.definition import Retry
from selo_dagster.sagas.given import RefusedError, TransientError
from selo_dagster.sagas.paying import Payer, payer_now
from selo_dagster.settings import process_settings
from selo_dagster.tracing.model_calls import model_call

AnswerT = TypeVar("AnswerT", bound=Answer)

ASK_TIMEOUT_S: Final = 120.0
"""Seconds of a step that asks: an answer and its correction, each within REFLECTION_LLM_TIMEOUT_S."""

ASK_RETRY: Final = Retry(attempts=3, base_s=5.0, cap_s=60.0)
"""How a step that asks is tried again."""

LONGEST_MODEL: Final = 200
"""Characters of a model's name that are stored beside what it wrote."""

CORRECTION: Final = "Your answer did not fit: {codes}. Answer again with one JSON document that fits."


@dataclass(frozen=True)
class Question(Generic[AnswerT]):
    """What is asked. checks: each returns a code for an answer that it refuses; aliases are checked anyway.

    words: accepted number of words of the main text, inclusive; subject: the person's name; covers: in words.
    """

    task: Task
    kind: str
    instructions: str
    subject: str
    covers: str
    evidence: tuple[Evidence, ...]
    answer: type[AnswerT]
    words: tuple[int, int]
    persona: dict[str, float] | None = None
    checks: Sequence[Callable[[AnswerT], str | None]] = ()


@dataclass(frozen=True)
class Answered(Generic[AnswerT]):
    """A checked answer, and the name of the model that gave it."""

    answer: AnswerT
    model: str


def ask(question: Question[AnswerT]) -> Answered[AnswerT]:
    """Ask the model that the settings name; a model that can mend its answer is told once.

    Raises ModelError, RefusedError where there is nothing to ask about, TransientError for an answer that does not
    fit: another try may give one that does, and NoRoomError where no budget has room for it.
    """
    if not question.evidence:
        raise RefusedError("nothing to ask about")
    settings = process_settings()
    request = _request(question, settings.call_timeout_s)
    payer = payer_now()
    if payer is None:
        return asyncio.run(_asked(language_model(settings, SystemRandom()), question, request, settings.call_timeout_s))
    tab = payer.begin(request)
    try:
        usual = not tab.model
        model = language_model(settings, SystemRandom()) if usual else cheaper_model(settings, SystemRandom())
        assert model is not None  # noqa: S101 - only a budget that names one has room in it
        paid = _Paid(payer, tab)
        return asyncio.run(_asked(model, question, replace(request, once=True), settings.call_timeout_s, paid))
    except Exception as broken:
        tab.broke(broken)
        raise
    finally:
        payer.count(tab)


@dataclass(frozen=True)
class _Paid:
    """Who pays, and what for."""

    payer: Payer
    tab: Tab


async def _asked(
    model: LanguageModel,
    question: Question[AnswerT],
    request: CompletionRequest,
    call_s: float,
    paid: _Paid | None = None,
) -> Answered[AnswerT]:
    try:
        completion = await _call(model, request, call_s, paid)
        answer, codes = _read(question, completion)
        if answer is None and model.corrigible:
            told = replace(request, correction=CORRECTION.format(codes=", ".join(codes)))
            if paid is None or paid.payer.another(paid.tab, told):
                completion = await _call(model, told, call_s, paid)
                answer, codes = _read(question, completion)
    finally:
        await model.aclose()
    if answer is None:
        raise TransientError(f"the answer does not fit: {', '.join(codes)}")
    return Answered(answer, completion.model)


async def _call(model: LanguageModel, request: CompletionRequest, call_s: float, paid: _Paid | None) -> Completion:
    try:
        with model_call(model.name, request.task) as told:
            completion = await asyncio.wait_for(model.complete(request), call_s)
            told.answered(completion)
    except asyncio.TimeoutError:
        raise ModelError("timeout") from None
    if paid is not None:
        paid.tab.answered(completion)
    return completion


def _request(question: Question[AnswerT], call_s: float) -> CompletionRequest:
    return CompletionRequest(
        task=question.task,
        kind=question.kind,
        instructions=question.instructions,
        subject=question.subject,
        covers=question.covers,
        evidence=question.evidence,
        schema=schema_of(question.answer, [one.alias for one in question.evidence]),
        words=question.words,
        deadline_s=call_s,
        persona=question.persona or {},
    )


def _read(question: Question[AnswerT], completion: Completion) -> tuple[AnswerT | None, list[str]]:
    if completion.finish_reason == "length":
        return None, ["answer_cut_off"]
    try:
        answer = question.answer.model_validate_json(completion.text)
    except ValidationError as refused:
        faults = refused.errors(include_url=False, include_input=False, include_context=False)
        return None, [f"{_where(one['type'], one['loc'])}: {one['type']}" for one in faults[:5]]
    known = {one.alias for one in question.evidence}
    codes = [] if _cited(answer) <= known else ["unknown_alias"]
    codes += [code for check in question.checks if (code := check(answer)) is not None]
    return (None, codes) if codes else (answer, [])


def _where(kind: str, place: tuple[int | str, ...]) -> str:
    # The name of a field that nobody asked for is the model's own text.
    known = place[:-1] if kind == "extra_forbidden" else place
    return ".".join(str(part) for part in known) or "answer"


def _cited(answer: Answer) -> set[str]:
    """Return every alias that an answer names, at any depth."""
    found: set[str] = set()
    for name in type(answer).model_fields:
        value = getattr(answer, name)
        if name == "evidence":
            found |= set(value)
        elif isinstance(value, list):
            found |= {alias for one in value if isinstance(one, Answer) for alias in _cited(one)}
    return found
