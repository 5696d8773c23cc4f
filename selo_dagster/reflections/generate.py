"""Makes one person's reflection: prompt, call, reading, checks. Touches no database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from selo_dagster.llm.protocol import LanguageModel
from selo_dagster.people.zones import zone_rules_version
from selo_dagster.reflections.answer import Answer, MalformedAnswerError, read_answer
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kinds import Kind
from selo_dagster.reflections.prompt import Prompt, prompt_for
from selo_dagster.reflections.settle import Cost, Made
from selo_dagster.reflections.validate import Shown, checked


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
    model: LanguageModel, context: Context, kind: Kind, *, limits: Limits, new_id: Callable[[], str]
) -> Generated:
    """Ask the model for one reflection and check the answer.

    Raises asyncio.TimeoutError when the call takes longer than `limits.call_s`, and whatever the model raises.
    """
    started = time.perf_counter()
    prompt = prompt_for(context, kind, limits.call_s)
    completion = await asyncio.wait_for(model.complete(prompt.request), limits.call_s)
    result, words = _judged(completion.text, completion.model, prompt, context, kind, new_id)
    cost = Cost(
        seconds=time.perf_counter() - started,
        model_calls=1,
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        words=words,
    )
    return Generated(result, cost)


def _judged(
    text: str, model: str, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
) -> tuple[Made | Rejected, int | None]:
    try:
        answer = read_answer(text)
    except MalformedAnswerError:
        return Rejected(("schema_validation_failed",), text), None
    kept, codes = checked(answer, Shown(kind, frozenset(prompt.shown), context.earlier))
    if codes:
        return Rejected(codes, text), answer.words
    return _made(kept, model, prompt, context, new_id), answer.words


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
