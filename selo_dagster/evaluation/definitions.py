"""The evaluation room's face in Dagster."""

from __future__ import annotations

import dagster as dg

from selo_dagster.evaluation.asset import evaluate_job, evaluation_asset

definitions = dg.Definitions(assets=[evaluation_asset()], jobs=[evaluate_job])
