"""What an evaluation found: a score for each measure, what it rests on, and which cases fell short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from selo_dagster.evaluation.judging import Verdict
from selo_dagster.evaluation.measures import MEASURES

SHOWN: Final = 50
"""Cases that fell short which a report names for one measure."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Score(_Part):
    """One measure. score: held / of, from 0 to 1, None where nothing could be measured.

    unmeasured: checks without an answer. failing: ids of the cases that fell short -> what the first one came to.
    """

    score: float | None
    held: int
    of: int
    unmeasured: int
    failing: dict[str, str]


class Report(_Part):
    """One evaluation. It is about bundled people: nothing in it is private.

    fingerprint: of the prompts, the schemas and the model, see `fingerprint_of`. cases, digest: the set and its files.
    families: what was asked for. obligations: reflections that were asked for; rejections: refused answers by code;
    faults: calls without an answer by class. seconds: of the whole. full: every family was asked for.
    """

    model: str
    fingerprint: str
    cases: str
    digest: str
    number: int
    families: tuple[str, ...]
    full: bool
    scores: dict[str, Score]
    obligations: int
    rejections: dict[str, int]
    faults: dict[str, int]
    model_calls: int
    input_tokens: int
    output_tokens: int
    seconds: float

    @property
    def unmeasured(self) -> int:
        """Return how many checks have no answer."""
        return sum(one.unmeasured for one in self.scores.values())

    @property
    def complete(self) -> bool:
        """Whether everything of what was asked for could be measured."""
        return not self.unmeasured and not self.unknown

    @property
    def known(self) -> dict[str, float]:
        """Return the scores that there are."""
        return {name: one.score for name, one in self.scores.items() if one.score is not None}

    @property
    def unknown(self) -> list[str]:
        """Return the measures that have no score."""
        return [name for name, one in self.scores.items() if one.score is None]


def scores_of(verdicts: Iterable[Verdict], wanted: Iterable[str]) -> dict[str, Score]:
    """Return the score of each wanted measure, in the order of the measures."""
    by_measure: dict[str, list[Verdict]] = {name: [] for name in MEASURES if name in set(wanted)}
    for one in verdicts:
        if one.measure in by_measure:
            by_measure[one.measure].append(one)
    return {name: _score(found) for name, found in by_measure.items()}


def _score(found: list[Verdict]) -> Score:
    held, of = sum(one.held for one in found), sum(one.of for one in found)
    failing: dict[str, str] = {}
    for one in found:
        if one.measured and one.held < one.of and len(failing) < SHOWN:
            failing.setdefault(one.case, one.says)
    return Score(
        score=round(held / of, 4) if of else None,
        held=held,
        of=of,
        unmeasured=sum(not one.measured for one in found),
        failing=failing,
    )


def lower(found: Mapping[str, float], than: Mapping[str, float], tolerance: float) -> dict[str, tuple[float, float]]:
    """Return the measures in which `found` is lower by more than the tolerance: name -> (found, than)."""
    return {
        name: (found[name], former)
        for name, former in than.items()
        if name in found and found[name] < former - tolerance - 1e-9
    }
