"""The embedded model on the bundled cases: a change of its prompts or its code may not make it worse by accident."""

from __future__ import annotations

import pytest

from selo_dagster.evaluation.baseline import RENEW, Baseline, baseline, faults
from selo_dagster.evaluation.evaluate import evaluate
from selo_dagster.evaluation.measures import CONVERGENCE, LOCAL_DAYS, RECALL
from selo_dagster.evaluation.report import Report
from selo_dagster.settings import load_settings


@pytest.fixture(scope="module")
def report() -> Report:
    """The embedded model on every bundled case."""
    return evaluate(load_settings({}))


def test_the_embedded_model_is_as_good_as_its_baseline(report: Report) -> None:
    """R10, R7: a second pass makes no call; each date around a change of clocks is due once."""
    assert faults(report, baseline()) == []
    assert report.complete
    assert report.full
    assert (report.scores[CONVERGENCE].score, report.scores[LOCAL_DAYS].score) == (1.0, 1.0)
    assert report.scores[LOCAL_DAYS].of > 150


def test_a_lower_score_is_named_with_how_to_see_it_and_how_to_renew_the_baseline(report: Report) -> None:
    better = baseline().scores | {RECALL: 1.1}
    (said,) = faults(report, Baseline(cases="v1", digest=report.digest, scores=better))
    assert said.startswith(f"{RECALL} fell from 1.1000 to ")
    assert RENEW in said


def test_other_cases_ask_for_a_new_baseline(report: Report) -> None:
    (said,) = faults(report, baseline().model_copy(update={"digest": "other"}))
    assert "the cases are others" in said
