"""Checks of an answer, each on its own and with a code of its own."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import chain
from typing import Final

from selo_dagster.llm import citations, figures
from selo_dagster.llm.citations import Passage, Sources
from selo_dagster.llm.quotes import says
from selo_dagster.llm.trust.refusals import HINTS as REFUSALS
from selo_dagster.reflections.answer import (
    CONTENT_LIMIT,
    INSIGHT_LIMIT,
    MAX_EACH,
    MAX_TRAIT_CHANGES,
    MAX_TRAIT_DELTA,
    SHORT_LIMIT,
    Answer,
    Insight,
)
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt

TOO_SIMILAR: Final = 0.92
"""Likeness to a former reflection from which an answer says nothing new (the predecessor's sentence bound)."""


@dataclass(frozen=True)
class Shown:
    """What the model was shown, as far as an answer can be held against it.

    beside: returns for aliases what was shown beside their texts and may be told again: their times, the day, a name.
    """

    kind: Kind
    sources: Sources
    earlier: tuple[str, ...]
    beside: Callable[[Collection[str]], Iterator[str]]


def shown_to(prompt: Prompt, context: Context, kind: Kind) -> Shown:
    """Return what a request has shown."""

    def beside(aliases: Collection[str]) -> Iterator[str]:
        request, window = prompt.request, context.window
        yield from (request.covers, request.subject, f"{window.on:%Y-%m-%d}", f"{window.start:%Y-%m-%d}")
        for one in request.evidence:
            # A tag names a theme of the whole time.
            yield from one.tags
            if one.alias in aliases:
                yield from (one.alias, one.local, "" if one.importance is None else f"{one.importance:.2f}")

    return Shown(kind, prompt.sources, context.earlier, beside)


@dataclass(frozen=True)
class Verdict:
    """A checked answer. answer: without the claims that do not hold; codes: of the checks that failed.

    dropped: for each claim that does not hold why, the first reason of several; the answer stands without it.
    """

    answer: Answer
    codes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


Check = Callable[[Answer, Shown], str | None]


def checked(answer: Answer, shown: Shown) -> Verdict:
    """Hold an answer against what was shown.

    A faulty citation, or a number that no source has, costs its insight, not the answer; an answer without any insight
    left is refused. Themes, actions and feelings without a word, such as an emoji alone, are not kept.
    """
    kept, dropped = [], []
    for one in answer.insights:
        held = held_insight(one, shown)
        if isinstance(held, str):
            dropped.append(held)
        else:
            kept.append(held)
    answer = replace(
        answer,
        insights=tuple(kept),
        themes=tuple(filter(says, answer.themes)),
        actions=tuple(filter(says, answer.actions)),
        secondary=tuple(filter(says, answer.secondary)),
    )
    codes = tuple(code for check in CHECKS if (code := check(answer, shown)) is not None)
    return Verdict(answer, codes, tuple(dropped))


def held_insight(one: Insight, shown: Shown) -> Insight | str:
    """Return an insight with the passages that it rests on, or the code of what does not hold."""
    passages, codes = shown.sources.held(one.evidence)
    if codes:
        return codes[0]
    fault = unsourced(one.text, passages, shown)
    return replace(one, passages=passages) if fault is None else fault


def unsourced(claim: str, passages: Sequence[Passage], shown: Shown) -> str | None:
    """Return the code of a number or time in a claim that neither its sources have nor what was shown beside them."""
    aliases = {one.source for one in passages}
    return figures.unsourced(claim, chain(map(shown.sources.text_of, aliases), shown.beside(aliases)))


def _fields(answer: Answer, _: Shown) -> str | None:
    filled = says(answer.content) and answer.themes and answer.actions and says(answer.primary)
    return None if filled else "missing_required_fields"


def _bounds(answer: Answer, _: Shown) -> str | None:
    lists = (answer.themes, answer.insights, answer.actions)
    fits = (
        len(answer.content) <= CONTENT_LIMIT
        and all(len(some) <= MAX_EACH for some in lists)
        and all(len(text) <= SHORT_LIMIT for text in (*answer.themes, *answer.actions, *answer.secondary))
        and all(len(one.text) <= INSIGHT_LIMIT and says(one.text) for one in answer.insights)
        and all(says(one.name) and len(one.name) <= SHORT_LIMIT for one in answer.trait_changes)
        and all(len(one.reason) <= SHORT_LIMIT for one in answer.trait_changes)
        and len(answer.secondary) <= 2
        and len(answer.primary) <= SHORT_LIMIT
    )
    return None if fits else "schema_validation_failed"


def _length(answer: Answer, shown: Shown) -> str | None:
    low, high = shown.kind.words
    slack = shown.kind.word_tolerance
    return None if low - slack <= answer.words <= high + slack else "content_length_out_of_bounds"


def _evidence(answer: Answer, _: Shown) -> str | None:
    return None if answer.insights else "insight_without_evidence"


def _emotion(answer: Answer, _: Shown) -> str | None:
    return None if 0 <= answer.intensity <= 1 else "intensity_out_of_bounds"


def _traits(answer: Answer, _: Shown) -> str | None:
    if len(answer.trait_changes) > MAX_TRAIT_CHANGES:
        return "too_many_trait_changes"
    net: dict[str, float] = defaultdict(float)
    for change in answer.trait_changes:
        net[change.name] += change.delta
        # Held at every point of the list, so that a large step cannot be undone on paper only.
        if abs(net[change.name]) > MAX_TRAIT_DELTA + 1e-9:
            return "trait_delta_out_of_bounds"
    return None


def _duplicate(answer: Answer, shown: Shown) -> str | None:
    said = _plain(answer.content)
    for former in shown.earlier:
        matcher = SequenceMatcher(None, said, _plain(former), autojunk=False)
        # Cheap upper bounds first.
        if all(ratio() >= TOO_SIMILAR for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)):
            return "duplicate_content_high_overlap"
    return None


def _plain(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


_HINTS: Final = {
    **citations.HINTS,
    **figures.HINTS,
    "schema_validation_failed": "it was not one JSON document of the requested shape and bounds",
    "answer_cut_off": "it was cut off: be shorter",
    "missing_required_fields": "content, themes, actions and emotional_state.primary must all be filled with words",
    "insight_without_evidence": "no insight was left that rests on a source",
    "intensity_out_of_bounds": "emotional_state.intensity must be from 0 to 1",
    "too_many_trait_changes": f"there may be at most {MAX_TRAIT_CHANGES} trait_changes",
    "trait_delta_out_of_bounds": f"the deltas of one trait may add up to at most {MAX_TRAIT_DELTA}",
    "duplicate_content_high_overlap": "it repeats an earlier one: say what is new",
    "mantra_not_one_line": "the mantra must be one line of words",
    "mantra_quoted": "the mantra must not stand in quotation marks",
    "forbidden_token": "it spoke of prompts, models or rules",
    **REFUSALS,
}


def corrected_by(codes: tuple[str, ...], kind: Kind) -> str:
    """Return what a model is told about an answer that was refused: rules of ours, nothing of anybody's words."""
    length = f"the main text must have {kind.words[0]} to {kind.words[1]} words"
    hints = dict.fromkeys(_HINTS.get(code, length) for code in codes)
    return f"Your last answer was refused: {'; '.join(hints)}. Answer again, whole, with one JSON document."


CHECKS: Final[tuple[Check, ...]] = (_fields, _bounds, _length, _evidence, _emotion, _traits, _duplicate)
