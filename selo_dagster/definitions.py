"""The front door of the code location: merges what the rooms define, nothing else."""

from __future__ import annotations

import dagster as dg

from selo_dagster.console import console
from selo_dagster.people.definitions import definitions as people
from selo_dagster.reflections.definitions import definitions as reflections

defs = dg.Definitions.merge(people, reflections, dg.Definitions(loggers={"console": console}))
