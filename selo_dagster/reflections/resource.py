"""The Dagster resource from which reflection runs get their model, so that a deployment or a test may give another."""

from __future__ import annotations

import dagster as dg

from selo_dagster.clock import Clock
from selo_dagster.reflections.equipment import Tools
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.tools import tools_for
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store

MIND = "mind"


class Mind(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Builds what a cohort works with. Override `tools` to use another model."""

    def tools(self, store: Store, settings: Settings, clock: Clock, kind: Kind) -> Tools:
        """Return the tools of one run of a kind."""
        return tools_for(store, settings, clock, kind)
