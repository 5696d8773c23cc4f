"""The sagas room's face in Dagster."""

from __future__ import annotations

import dagster as dg

from selo_dagster.sagas.assets import mind_assets, persona_undo
from selo_dagster.sagas.compiler import job_of
from selo_dagster.sagas.desk_job import saga_desk
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.resource import LEASE, SagaLease
from selo_dagster.sagas.sensors import saga_monitor_sensor, saga_runs_sensor

_known = registry()
jobs = {key: job_of(saga, newest=_known.newest[saga.name] is saga) for key, saga in _known.by_version.items()}

definitions = dg.Definitions(
    assets=[*mind_assets, persona_undo],
    jobs=[*jobs.values(), saga_desk],
    resources={LEASE: SagaLease()},
    sensors=[*([saga_runs_sensor(_known, jobs)] if jobs else []), saga_monitor_sensor(_known)],
)
