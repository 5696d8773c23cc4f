"""Makes what one person's obligation asks for: call, reading, checks, one chance to correct. Touches no database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from selo_dagster.llm.budgets.calls import Tab
from selo_dagster.llm.protocol import Completion, CompletionRequest, LanguageModel
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.refusing import refusing
from selo_dagster.reflections.settle import Cost, Made, Nothing, Rejected
from selo_dagster.reflections.validate import corrected_by
from selo_dagster.tracing.model_calls import model_call

LEAST_CALL_S = 0.05
"""A call that would have less time than this is not begun."""


@dataclass(frozen=True)
class Limits:
    """Seconds: of one call, and of the whole of one person's reflection. call < person."""

    call_s: float
    person_s: float


@dataclass(frozen=True)
class Generated:
    """What came of it, and what it cost."""

    result: Made | Rejected | Nothing
    cost: Cost


@dataclass(frozen=True)
class Paid:
    """What is paid for out of a budget. another: whether there is room for one more request, which is reserved then."""

    tab: Tab
    another: Callable[[CompletionRequest], Awaitable[bool]]


async def generate(
    model: LanguageModel,
    context: Context,
    kind: Kind,
    prompt: Prompt,
    *,
    limits: Limits,
    new_id: Callable[[], str],
    paid: Paid | None = None,
) -> Generated:
    """Ask the model for one reflection and check the answer; a model that can mend its answer is told once.

    paid: then it is told only if there is room for that. Raises asyncio.TimeoutError when a call takes longer than
    `limits.call_s`, and ModelError.
    """
    started = time.perf_counter()
    completion = await _call(model, prompt, limits.call_s, paid)
    result = _judged(completion, prompt, context, kind, new_id)
    spent = [completion]
    left = limits.person_s - (time.perf_counter() - started)
    if isinstance(result, Rejected) and model.corrigible and left > LEAST_CALL_S:
        told = replace(prompt, request=replace(prompt.request, correction=corrected_by(result.codes, kind)))
        if paid is None or await paid.another(told.request):
            completion = await _call(model, told, min(limits.call_s, left), paid)
            result = _judged(completion, prompt, context, kind, new_id)
            spent.append(completion)
    cost = Cost(
        seconds=time.perf_counter() - started,
        model_calls=sum(one.calls for one in spent),
        input_tokens=sum(one.input_tokens for one in spent),
        output_tokens=sum(one.output_tokens for one in spent),
        words=None if isinstance(result, Nothing) else result.words,
    )
    return Generated(result, cost)


async def _call(model: LanguageModel, prompt: Prompt, seconds: float, paid: Paid | None) -> Completion:
    request = replace(prompt.request, deadline_s=seconds, once=paid is not None)
    with model_call(model.name, prompt.request.task) as told:
        completion = await asyncio.wait_for(model.complete(request), seconds)
        told.answered(completion)
    if paid is not None:
        paid.tab.answered(completion)
    return completion


def _judged(
    completion: Completion, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
) -> Made | Rejected | Nothing:
    if completion.finish_reason == "length":
        return Rejected(("answer_cut_off",), completion.text)
    text = prompt.veil.lifted(completion.text)
    return refusing(kind.shape.judged(text, completion.model, prompt, context, kind, new_id), text, prompt)
