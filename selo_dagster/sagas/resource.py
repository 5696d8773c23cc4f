"""The lease as a resource: it outlives each op and the waits between their retries."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from selo_dagster.sagas.lease import Beating
from selo_dagster.settings import process_settings
from selo_dagster.tracing.switch import Flushed

LEASE = "saga_lease"


class SagaLease(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Keeps the claims of a run alive as long as the run's process lives."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["SagaLease"]:
        """Beat from the first op to the last."""
        if context.run is None:
            yield self
            return
        settings = process_settings()
        with Beating(settings.store_url, context.run.run_id, settings.lease_s), Flushed():
            yield self
