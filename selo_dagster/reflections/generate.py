"""Makes one person's reflection: call, reading, checks, and one chance to correct. Touches no database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from selo_dagster.llm.protocol import Completion, LanguageModel
from selo_dagster.people.zones import zone_rules_version
from selo_dagster.reflections.answer import Answer, MalformedAnswerError, read_answer
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kinds import Kind
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.settle import Cost, Made
from selo_dagster.reflections.validate import Shown, checked, corrected_by

LEAST_CALL_S = 0.05
"""A call that would have less time than this is not begun."""


@dataclass(frozen=True)
class Limits:
    """Seconds: of one call, and of the whole of one person's reflection. call < person."""

    call_s: float
    person_s: float


@dataclass(frozen=True)
class Rejected:
    """An answer that may not be used, with the codes that say why."""

    codes: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Generated:
    """What came of it, and what it cost."""

    result: Made | Rejected
    cost: Cost


async def generate(
    model: LanguageModel, context: Context, kind: Kind, prompt: Prompt, *, limits: Limits, new_id: Callable[[], str]
) -> Generated:
    """Ask the model for one reflection and check the answer; a model that can mend its answer is told once.

    Raises asyncio.TimeoutError when a call takes longer than `limits.call_s`, and ModelError.
    """
    started = time.perf_counter()
    completion = await _call(model, prompt, limits.call_s)
    result, words = _judged(completion, prompt, context, kind, new_id)
    spent = [completion]
    left = limits.person_s - (time.perf_counter() - started)
    if isinstance(result, Rejected) and model.corrigible and left > LEAST_CALL_S:
        told = replace(prompt, request=replace(prompt.request, correction=corrected_by(result.codes, kind)))
        completion = await _call(model, told, min(limits.call_s, left))
        result, words = _judged(completion, prompt, context, kind, new_id)
        spent.append(completion)
    cost = Cost(
        seconds=time.perf_counter() - started,
        model_calls=sum(one.calls for one in spent),
        input_tokens=sum(one.input_tokens for one in spent),
        output_tokens=sum(one.output_tokens for one in spent),
        words=words,
    )
    return Generated(result, cost)


async def _call(model: LanguageModel, prompt: Prompt, seconds: float) -> Completion:
    return await asyncio.wait_for(model.complete(replace(prompt.request, deadline_s=seconds)), seconds)


def _judged(
    completion: Completion, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
) -> tuple[Made | Rejected, int | None]:
    if completion.finish_reason == "length":
        return Rejected(("answer_cut_off",), completion.text), None
    try:
        answer = read_answer(completion.text)
    except MalformedAnswerError:
        return Rejected(("schema_validation_failed",), completion.text), None
    kept, codes = checked(answer, Shown(kind, frozenset(prompt.shown), context.earlier))
    if codes:
        return Rejected(codes, completion.text), answer.words
    return _made(kept, completion.model, prompt, context, new_id), answer.words


def _made(answer: Answer, model: str, prompt: Prompt, context: Context, new_id: Callable[[], str]) -> Made:
    cited = {alias for one in answer.insights for alias in one.evidence}
    read = tuple(
        (source.source, source.id, "cited" if alias in cited else "read") for alias, source in prompt.shown.items()
    )
    dropped = tuple((source.source, source.id, "dropped") for source in context.dropped)
    return Made(
        id=new_id(),
        content=answer.content,
        themes=list(answer.themes),
        insights=[
            {"text": one.text, "evidence": [_name(prompt, alias) for alias in one.evidence]} for one in answer.insights
        ],
        actions=list(answer.actions),
        emotional_state={
            "primary": answer.primary,
            "intensity": answer.intensity,
            "secondary": list(answer.secondary),
        },
        trait_changes=[{"name": one.name, "delta": one.delta, "reason": one.reason} for one in answer.trait_changes],
        model=model,
        zone=context.window.zone,
        zone_rules=zone_rules_version(),
        window_start=context.window.start,
        window_end=context.window.end,
        input_hash=prompt.input_hash,
        sources=(*read, *dropped),  # type: ignore[arg-type]
        late_days=context.late_days,
    )


def _name(prompt: Prompt, alias: str) -> str:
    source = prompt.shown[alias]
    return f"{source.source}:{source.id}"
