"""Evaluations in Dagster: an asset with a check for each measure, so that the UI plots scores over time."""

from collections.abc import Callable
from typing import Final
from uuid import uuid4

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock
from selo_dagster.evaluation.measures import MEASURES
from selo_dagster.evaluation.report import Score
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

NAME: Final = "evaluation"
JOB: Final = "evaluate"
"""Dagster wants the names of ops and jobs to differ."""

NAMED_AT_MOST: Final = 20


def evaluation_asset(clock: Callable[[], Clock] = SystemClock) -> dg.AssetsDefinition:
    """Build the asset. It plays bundled cases in a store of its own and keeps the report; it accepts nothing."""

    @dg.asset(
        name=NAME,
        description="How good what the configured model makes is, on the bundled cases. It costs as many calls of the "
        "model as the cases have reflections, so nothing starts it by itself.",
        kinds={"selo"},
        check_specs=[
            dg.AssetCheckSpec(name=one.name, asset=NAME, description=f"The share {one.says}.")
            for one in MEASURES.values()
        ],
    )
    def evaluate_it(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        # What it plays with is not needed for loading the code location.
        from selo_dagster.evaluation.accepting import compared, store_report
        from selo_dagster.evaluation.evaluate import evaluate

        settings, now = process_settings(), clock().now()
        with private_boundary(JOB), open_store(settings) as store:
            report = evaluate(settings)
            with store.write() as connection:
                found = compared(connection, report)
                store_report(connection, report, now, uuid4().hex)
        context.log.info(f"{report.number} cases, {report.model_calls} model calls, {report.seconds:.1f} s")
        return dg.MaterializeResult(
            metadata={
                **report.known,
                "model": report.model,
                "fingerprint": report.fingerprint[:12],
                "cases": report.number,
                "model_calls": report.model_calls,
                "tokens": report.input_tokens + report.output_tokens,
                "seconds": report.seconds,
                "rejections": sum(report.rejections.values()),
                "not_measured": report.unmeasured,
            },
            check_results=[
                _check(name, report.scores[name], found.fell.get(name), engine=MEASURES[name].engine)
                for name in MEASURES
            ],
        )

    return evaluate_it


def _check(name: str, score: Score, fell: tuple[float, float] | None, *, engine: bool) -> dg.AssetCheckResult:
    """Return a check. It fails where a score fell, is not whole or, for what no model can change, is less than 1."""
    broken = engine and score.score is not None and score.score < 1
    missing = score.score is None or score.unmeasured > 0
    said = []
    if fell is not None:
        said.append(f"fell from {fell[1]:.4f}, which is accepted, to {fell[0]:.4f}")
    if broken:
        said.append("no model can change it: something is broken")
    if missing:
        said.append(f"{score.unmeasured} could not be measured: the model gave no answer")
    return dg.AssetCheckResult(
        check_name=name,
        passed=not said,
        severity=dg.AssetCheckSeverity.ERROR if broken or fell else dg.AssetCheckSeverity.WARN,
        description="; ".join(said) or None,
        metadata={
            **({} if score.score is None else {"score": score.score}),
            "held": score.held,
            "of": score.of,
            "not_measured": score.unmeasured,
            **({"fell_short": ", ".join(list(score.failing)[:NAMED_AT_MOST])} if score.failing else {}),
        },
    )


evaluate_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(NAME),
    description="Plays the bundled cases with the model that is configured, and keeps the scores.",
    executor_def=dg.in_process_executor,
)
