"""What the page of evaluations shows: scores by model, what is accepted, which cases fell short, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from selo_dagster.evaluation.accepting import report_of, tolerance_of
from selo_dagster.evaluation.measures import MEASURES
from selo_dagster.evaluation.report import Report, Score, lower
from selo_dagster.llm.evaluations import accepted, newest
from selo_dagster.operations.http.page.plot import Part
from selo_dagster.operations.http.page.view import BAD, CALM, GOOD
from selo_dagster.operations.http.page.words import counted, moment, number, plain, span
from selo_dagster.reflections.fingerprint import fingerprint_of
from selo_dagster.reflections.states import DONE, SKIPPED
from selo_dagster.settings import Settings

READ: Final = 60
"""Evaluations that are looked at, the newest ones."""

CARDS: Final = 4
ROWS: Final = 20

Mark = tuple[str, str]


@dataclass(frozen=True)
class MeasureRow:
    """One score. parts: as a flat bar; failing: (case, what it came to)."""

    name: str
    score: str
    says: str
    parts: tuple[Part, ...]
    marks: tuple[Mark, ...]
    failing: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Card:
    """The newest evaluation of one configuration."""

    title: str
    says: str
    marks: tuple[Mark, ...]
    measures: tuple[MeasureRow, ...]


@dataclass(frozen=True)
class EvaluationView:
    """The whole page. todo: what to do next, as (words, what to type)."""

    well: bool
    headline: str
    at: str
    gate: str
    todo: tuple[tuple[str, str], ...]
    cards: tuple[Card, ...]
    columns: tuple[str, ...]
    table: tuple[tuple[str, str, tuple[str, ...]], ...]


def evaluation_view(connection: Connection, settings: Settings, now: datetime) -> EvaluationView:
    """Return the page of the evaluations that were kept. now: the domain's clock."""
    rows, standing = newest(connection, READ), accepted(connection)
    used = fingerprint_of(settings)
    is_accepted = standing is not None and standing.fingerprint == used
    return EvaluationView(
        well=is_accepted or (standing is None and not settings.eval_gate),
        headline=_headline(standing, rows, is_accepted=is_accepted, is_gated=settings.eval_gate),
        at=moment(now),
        gate="reflections wait for an accepted model"
        if settings.eval_gate
        else "the gate is off: nothing is held back",
        todo=_todo(standing, rows, used, is_accepted=is_accepted),
        cards=tuple(_card(row, standing, used) for row in _chosen(rows, standing, used)),
        columns=tuple(plain(name) for name in MEASURES),
        table=tuple((moment(row.at), row.model, _numbers(row.scores)) for row in rows[:ROWS]),
    )


def _chosen(rows: Sequence[Any], standing: Any, used: str) -> list[Any]:
    """Return the newest evaluation of each configuration: what is in use first, then what is accepted, then the newest.

    What is accepted is there however long ago that was.
    """
    by_fingerprint: dict[str, Any] = {}
    for row in (*rows, *([] if standing is None else [standing])):
        by_fingerprint.setdefault(row.fingerprint, row)
    first = (used, None if standing is None else standing.fingerprint)
    ordered = sorted(
        by_fingerprint.values(), key=lambda row: first.index(row.fingerprint) if row.fingerprint in first else 2
    )
    return ordered[:CARDS]


def _headline(standing: Any, rows: Sequence[Any], *, is_accepted: bool, is_gated: bool) -> str:
    if is_accepted:
        return "The model in use is the accepted one"
    if standing is not None or is_gated:
        return "The model in use was not accepted"
    return "Nothing was accepted yet" if rows else "Nothing was evaluated yet"


def _todo(standing: Any, rows: Sequence[Any], used: str, *, is_accepted: bool) -> tuple[tuple[str, str], ...]:
    if is_accepted:
        return (("Measure again after every change of a prompt or a model.", "selo eval"),)
    found = []
    if not any(row.fingerprint == used for row in rows):
        found.append(("The model and prompts in use were not measured yet.", "selo eval"))
    found.append(("Accept them; it refuses if a score fell.", "selo eval --accept"))
    if standing is not None:
        found.append((f"Or go back to {standing.model}, which is accepted.", ""))
    return tuple(found)


def _card(row: Any, standing: Any, used: str) -> Card:
    report = report_of(row)
    comparable = standing is not None and standing.digest == row.digest and standing.id != row.id
    fell = lower(report.known, standing.scores, tolerance_of(report.model)) if comparable else {}
    marks: list[Mark] = [("in use", CALM)] if row.fingerprint == used else []
    if standing is not None and row.fingerprint == standing.fingerprint:
        marks.append(("accepted", GOOD))
    if not row.whole:
        marks.append(("not whole", BAD if report.unmeasured else CALM))
    if fell:
        marks.append((f"{number(len(fell))} fell", BAD))
    return Card(
        title=report.model,
        says=_says(row, report),
        marks=tuple(marks),
        measures=tuple(
            _measure(name, score, fell, standing.scores if comparable else {}) for name, score in report.scores.items()
        ),
    )


def _says(row: Any, report: Report) -> str:
    parts = [
        moment(row.at),
        f"prompts {row.fingerprint[:8]}",
        counted(row.number, "case", "cases"),
        counted(report.model_calls, "model call", "model calls"),
        f"{number(report.input_tokens + report.output_tokens)} tokens",
        f"took {span(report.seconds)}",
    ]
    refused = sum(report.rejections.values())
    if refused:
        codes = ", ".join(f"{plain(code)} {number(times)}" for code, times in report.rejections.items())
        parts.append(f"answers refused: {codes}")
    if report.unmeasured:
        parts.append(f"{counted(report.unmeasured, 'check', 'checks')} without an answer")
    return " · ".join(parts)


def _measure(
    name: str, score: Score, fell: Mapping[str, tuple[float, float]], former: Mapping[str, float]
) -> MeasureRow:
    share = 0.0 if score.score is None else 100 * score.score
    marks: list[Mark] = []
    if name in fell:
        marks.append((f"fell from {fell[name][1]:.2f}", BAD))
    elif MEASURES[name].engine and score.score is not None and score.score < 1:
        marks.append(("something is broken", BAD))
    elif score.score is not None and name in former and score.score > former[name]:
        marks.append((f"rose from {former[name]:.2f}", GOOD))
    if score.unmeasured:
        marks.append((f"{number(score.unmeasured)} not measured", BAD))
    return MeasureRow(
        name=plain(name),
        score="–" if score.score is None else f"{score.score:.2f}",
        says=f"{number(score.held)} of {number(score.of)}: {MEASURES[name].says}",
        parts=tuple(
            Part(of, x, 0.0, width, 0.0)
            for of, x, width in ((DONE, 0.0, share), (SKIPPED, share, 100 - share))
            if width
        ),
        marks=tuple(marks),
        failing=tuple(score.failing.items()),
    )


def _numbers(scores: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(f"{scores[name]:.2f}" if name in scores else "–" for name in MEASURES)
