"""Evaluations in Dagster: numbers that the UI plots, and a check for each measure."""

from __future__ import annotations

import dagster as dg
import pytest

from selo_dagster.clock import FixedClock
from selo_dagster.evaluation import evaluate
from selo_dagster.evaluation.accepting import accept_report, compared, store_report
from selo_dagster.evaluation.asset import evaluation_asset
from selo_dagster.evaluation.measures import MEASURES, RECALL, UPDATES
from selo_dagster.evaluation.report import Report
from selo_dagster.llm.evaluations import newest
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.evaluation.reports import report, unmeasured
from tests.support.fakes import NOW


@pytest.fixture(autouse=True)
def installation(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs work on that database."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()


def materialised(found: Report, monkeypatch: pytest.MonkeyPatch) -> dg.ExecuteInProcessResult:
    """Materialise the asset, with an evaluation that finds this."""
    monkeypatch.setattr(evaluate, "evaluate", lambda _: found)
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([evaluation_asset(lambda: FixedClock(NOW))], instance=instance)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_scores_are_numbers_and_the_report_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    result = materialised(report(), monkeypatch)
    (event,) = result.asset_materializations_for_node("evaluation")
    assert event.metadata[RECALL].value == 0.9
    assert event.metadata["model_calls"].value == 61
    assert {name: one.passed for name, one in checks(result).items()} == dict.fromkeys(MEASURES, True)
    assert checks(result)[RECALL].metadata["score"].value == 0.9
    with store.read() as connection:
        assert [one.model for one in newest(connection, 5)] == ["qwen"]


def test_a_score_that_fell_is_an_error_and_one_without_an_answer_a_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.write() as connection:
        store_report(connection, report(), NOW, "accepted")
        assert accept_report(connection, "accepted", compared(connection, report()), NOW)
    found = checks(materialised(unmeasured(report("llama", "b" * 64, citation_recall=0.5), UPDATES), monkeypatch))
    assert (found[RECALL].passed, found[RECALL].severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found[RECALL].description == "fell from 0.9000, which is accepted, to 0.5000"
    assert (found[UPDATES].passed, found[UPDATES].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert [name for name, one in found.items() if not one.passed] == [RECALL, UPDATES]
