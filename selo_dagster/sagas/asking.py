"""What a generate step asks a model for: one request, one checked answer, sources under aliases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import SystemRandom
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from selo_dagster.llm import citations, figures
from selo_dagster.llm.answers import Answer, Beside, Cited, schema_of
from selo_dagster.llm.budgets.calls import Tab
from selo_dagster.llm.citations import Sources, resting_on
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.opening import cheaper_model, language_model
from selo_dagster.llm.protocol import Completion, CompletionRequest, Evidence, LanguageModel, Task
from selo_dagster.llm.trust import refusals
from selo_dagster.llm.trust.refusals import refused_in, strings_of
from selo_dagster.llm.trust.veil import Veil, hidden_from
from selo_dagster.reflections.trusted import called
from selo_dagster.sagas.definition import Retry
from selo_dagster.sagas.given import RefusedError, TransientError
from selo_dagster.sagas.hearing import note_answer, note_request
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

HINTS: Final = {**citations.HINTS, **figures.HINTS, **refusals.HINTS}
CORRECTION: Final = "Your answer did not fit: {codes}. Answer again with one JSON document that fits."


@dataclass(frozen=True)
class Question(Generic[AnswerT]):
    """What is asked. checks: each returns a code for an answer that it refuses; citations are checked anyway.

    words: accepted number of words of the main text, inclusive; subject: the person's name; covers: in words.
    region: the country in which they live, as ISO 3166 two letters, by which telephone numbers are known.
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
    region: str | None = None


@dataclass(frozen=True)
class Answered(Generic[AnswerT]):
    """A checked answer, and the name of the model that gave it. sources: what its citations stand in."""

    answer: AnswerT
    model: str
    sources: Sources

    def resting_on(self, cited: Iterable[Cited], named: Callable[[str], str]) -> dict[str, list[Any]]:
        """Return citations of the answer as they are stored: `evidence` and `citations`."""
        passages, _ = self.sources.held(one.citation for one in cited)
        return resting_on(passages, named)


def ask(question: Question[AnswerT]) -> Answered[AnswerT]:
    """Ask the model that the settings name; a model that can mend its answer is told once.

    Raises ModelError, RefusedError where there is nothing to ask about, TransientError for an answer that does not
    fit: another try may give one that does, and NoRoomError where no budget has room for it.
    """
    if not question.evidence:
        raise RefusedError("nothing to ask about")
    settings = process_settings()
    model = language_model(settings, SystemRandom())
    # What the usual model must not see, a cheaper one is not shown either.
    veil = Veil(hidden_from(settings.redact, in_process=model.in_process), question.region)
    request = _request(question, settings.call_timeout_s, veil)
    payer = payer_now()
    if payer is None:
        return asyncio.run(_asked(model, question, request, veil, settings.call_timeout_s))
    tab = payer.begin(request)
    try:
        cheaper = cheaper_model(settings, SystemRandom()) if tab.model else model
        assert cheaper is not None  # noqa: S101 - only a budget that names one has room in it
        paid = _Paid(payer, tab)
        once = replace(request, once=True)
        return asyncio.run(_asked(cheaper, question, once, veil, settings.call_timeout_s, paid))
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
    veil: Veil,
    call_s: float,
    paid: _Paid | None = None,
) -> Answered[AnswerT]:
    texts = {one.alias: one.text if one.stored is None else one.stored for one in question.evidence}
    otherwise = {one.alias: one.text for one in question.evidence if one.stored is not None}
    sources = Sources(texts, otherwise)
    try:
        completion = _lifted(await _call(model, request, call_s, paid), veil)
        answer, codes = _read(question, completion, sources)
        if answer is None and model.corrigible:
            said = CORRECTION.format(codes=", ".join(HINTS.get(code, code) for code in codes))
            told = replace(request, correction=said)
            if paid is None or paid.payer.another(paid.tab, told):
                completion = _lifted(await _call(model, told, call_s, paid), veil)
                answer, codes = _read(question, completion, sources)
    finally:
        await model.aclose()
    if answer is None:
        raise TransientError(f"the answer does not fit: {', '.join(codes)}")
    return Answered(answer, completion.model, sources)


async def _call(model: LanguageModel, request: CompletionRequest, call_s: float, paid: _Paid | None) -> Completion:
    if not model.in_process:
        note_request()
    try:
        with model_call(model.name, request.task) as told:
            completion = await asyncio.wait_for(model.complete(request), call_s)
            told.answered(completion)
    except asyncio.TimeoutError:
        raise ModelError("timeout") from None
    if not model.in_process:
        note_answer()
    if paid is not None:
        paid.tab.answered(completion)
    return completion


def _lifted(completion: Completion, veil: Veil) -> Completion:
    return replace(completion, text=veil.lifted(completion.text))


def _request(question: Question[AnswerT], call_s: float, veil: Veil) -> CompletionRequest:
    return CompletionRequest(
        task=question.task,
        kind=question.kind,
        instructions=question.instructions,
        subject=veil.over(called(question.subject)[0]),
        covers=question.covers,
        evidence=tuple(
            replace(one, text=veil.over(one.text), tags=tuple(map(veil.over, one.tags))) for one in question.evidence
        ),
        schema=schema_of(question.answer, [one.alias for one in question.evidence]),
        words=question.words,
        deadline_s=call_s,
        persona=question.persona or {},
    )


def _read(question: Question[AnswerT], completion: Completion, sources: Sources) -> tuple[AnswerT | None, list[str]]:
    """Return an answer without what does not hold of it; None, and why, where nothing of it may be used."""
    if completion.finish_reason == "length":
        return None, ["answer_cut_off"]
    try:
        answer = question.answer.model_validate_json(completion.text)
    except ValidationError as refused:
        faults = refused.errors(include_url=False, include_input=False, include_context=False)
        return None, [f"{_where(one['type'], one['loc'])}: {one['type']}" for one in faults[:5]]
    held, dropped = answer.held(sources, _beside(question))
    if held is None:
        return None, list(dict.fromkeys(dropped))
    told = refused_in(strings_of(held.model_dump()), [one.text for one in question.evidence])
    codes = [*told, *(code for check in question.checks if (code := check(held)) is not None)]
    return (None, codes) if codes else (held, [])


def _beside(question: Question[AnswerT]) -> Beside:
    def beside(aliases: Collection[str]) -> Iterator[str]:
        yield from (question.covers, question.subject)
        for one in question.evidence:
            if one.alias in aliases:
                yield from (one.alias, one.local, *one.tags)

    return beside


def _where(kind: str, place: tuple[int | str, ...]) -> str:
    # The name of a field that nobody asked for is the model's own text.
    known = place[:-1] if kind == "extra_forbidden" else place
    return ".".join(str(part) for part in known) or "answer"
