"""The console logger of this project's runs: quiet about single people."""

from __future__ import annotations

import logging
import sys

import dagster as dg


@dg.logger(
    {"log_level": dg.Field(str, default_value="INFO", is_required=False, description="DEBUG shows every event.")},
    description="Writes a run's log to standard error, without the thousands of events that show single people.",
)
def console(context: dg.InitLoggerContext) -> logging.Logger:
    """Return a logger to standard error at the configured level."""
    made = logging.Logger(context.job_def.name if context.job_def else "selo_dagster")  # noqa: LOG001 - not shared
    made.setLevel(str(context.logger_config["log_level"]))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    made.addHandler(handler)
    return made
