"""Reports as an evaluation would make them."""

from __future__ import annotations

from typing import Any

from selo_dagster.evaluation.accepting import accept_report, compared, store_report
from selo_dagster.evaluation.measures import FAMILIES, MEASURES
from selo_dagster.evaluation.report import Report, Score
from selo_dagster.reflections.fingerprint import fingerprint_of
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW


def report(model: str = "qwen", fingerprint: str = "a" * 64, **scores: float) -> Report:
    """Return a report with every score 0.9, and 1.0 for what no model can change, but for those given."""
    values = {name: scores.get(name, 1.0 if one.engine else 0.9) for name, one in MEASURES.items()}
    return Report(
        model=model,
        fingerprint=fingerprint,
        cases="v1",
        digest="d" * 16,
        number=37,
        families=FAMILIES,
        full=True,
        scores={
            name: Score(score=value, held=int(value * 100), of=100, unmeasured=0, failing={"a-case": "not cited"})
            for name, value in values.items()
        },
        obligations=60,
        rejections={"insight_without_evidence": 2},
        faults={},
        model_calls=61,
        input_tokens=70_000,
        output_tokens=9_000,
        seconds=84.2,
    )


def unmeasured(made: Report, name: str, number: int = 1) -> Report:
    """Return the report with checks of one measure that have no answer."""
    changed: dict[str, Any] = {**made.scores, name: made.scores[name].model_copy(update={"unmeasured": number})}
    return made.model_copy(update={"scores": changed, "faults": {"timeout": number}})


def accept_configured(store: Store, settings: Settings) -> None:
    """Let what the settings name be the accepted configuration."""
    made = report(settings.llm_model or "extractive", fingerprint_of(settings))
    with store.write() as connection:
        found = compared(connection, made)
        store_report(connection, made, NOW, "accepted")
        assert accept_report(connection, "accepted", found, NOW)
