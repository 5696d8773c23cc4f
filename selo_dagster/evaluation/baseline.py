"""What the embedded model scores: a change of prompts or of its code may not make it worse by accident.

`python -m selo_dagster.evaluation.baseline` measures anew and writes `baseline.json`: to be committed on purpose.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Final

import click
from pydantic import BaseModel, ConfigDict

from selo_dagster.evaluation.evaluate import evaluate
from selo_dagster.evaluation.report import Report, lower
from selo_dagster.settings import load_settings

FILE: Final = "baseline.json"
RENEW: Final = (
    "look at it with `selo eval`; if it is meant, renew the baseline with "
    "`python -m selo_dagster.evaluation.baseline` and commit it with the reason"
)


class Baseline(BaseModel):
    """The scores of the embedded model on one set of cases."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: str
    digest: str
    scores: dict[str, float]


def baseline() -> Baseline:
    """Return the committed baseline."""
    return Baseline.model_validate_json((resources.files("selo_dagster.evaluation") / FILE).read_text(encoding="utf-8"))


def faults(report: Report, held_against: Baseline) -> list[str]:
    """Return what speaks against a report of the embedded model, each with what to do; nothing where it is as good."""
    if report.digest != held_against.digest:
        return [f"the cases are others than the baseline's: {RENEW}"]
    return [
        f"{name} fell from {was:.4f} to {found:.4f}: {RENEW}"
        for name, (found, was) in lower(report.known, held_against.scores, 0.0).items()
    ]


def renewed() -> Baseline:
    """Measure the embedded model, with the settings that it has by default."""
    report = evaluate(load_settings({}))
    return Baseline(cases=report.cases, digest=report.digest, scores=report.known)


if __name__ == "__main__":
    made = renewed().model_dump()
    (Path(__file__).parent / FILE).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(made, indent=2))
