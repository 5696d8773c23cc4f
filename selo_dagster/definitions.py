"""The front door of the code location: merges what the rooms define, nothing else."""

from __future__ import annotations

import gc

import dagster as dg

# Loading makes a million objects that stay: going through them again and again would take a sixth of its time.
_collecting = gc.isenabled()
gc.disable()
try:
    # As modules: Dagster wants a single Definitions among a module's names.
    from selo_dagster.evaluation import definitions as evaluation
    from selo_dagster.operations import definitions as operations
    from selo_dagster.people import definitions as people
    from selo_dagster.private_logs import keep_logs_private
    from selo_dagster.reflections import definitions as reflections
    from selo_dagster.sagas import definitions as sagas
    from selo_dagster.triggers import definitions as triggers
finally:
    if _collecting:
        gc.enable()

keep_logs_private()

defs = dg.Definitions.merge(
    people.definitions,
    reflections.definitions,
    triggers.definitions,
    sagas.definitions,
    evaluation.definitions,
    operations.definitions,
)
