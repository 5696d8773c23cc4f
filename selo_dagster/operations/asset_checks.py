"""Truth about the assets: a green partition says that somebody was settled once, a check says who is behind."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import dagster as dg
from sqlalchemy import Connection, select

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock
from selo_dagster.operations.kind_status import kind_status
from selo_dagster.operations.problems import kind_problems
from selo_dagster.people.tables import users
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

NAME: Final = "status_checks"
OP: Final = "answer_checks"
"""Dagster wants the names of ops and jobs to differ."""

CHECKS: Final = {
    "on_time": ({"overdue"}, "Nobody waits for longer than the kind's target."),
    "nothing_broken": ({"dead", "rejected"}, "No obligation is dead, and no answer waits for somebody to look."),
    "not_in_vain": ({"silent_success"}, "What is settled makes something."),
}
"""Name -> (codes of problems that break it, what it says)."""

NAMED_AT_MOST: Final = 20


def status_checks(clock: Callable[[], Clock] = SystemClock) -> dg.AssetChecksDefinition:
    """Build the checks of every kind's asset, answered by what `selo status` says too."""

    @dg.multi_asset_check(
        name=OP,
        specs=[
            dg.AssetCheckSpec(name=name, asset=kind.asset, description=says)
            for kind in KINDS.values()
            for name, (_, says) in CHECKS.items()
        ],
        description="Asks the ledger how each kind of reflection is doing.",
    )
    def checks() -> Iterator[dg.AssetCheckResult]:
        now = clock().now()
        with private_boundary(NAME), open_store(process_settings()) as store, store.read() as connection:
            for kind in KINDS.values():
                found = kind_status(connection, kind.name, now)
                broken = {one.code: one.message for one in kind_problems(kind.name, found)}
                behind = _behind(connection, kind.name, now) if "overdue" in broken else []
                for name, (codes, _) in CHECKS.items():
                    yield dg.AssetCheckResult(
                        asset_key=kind.asset,
                        check_name=name,
                        passed=not codes.intersection(broken),
                        severity=dg.AssetCheckSeverity.ERROR,
                        description="; ".join(said for code, said in broken.items() if code in codes) or None,
                        metadata=_told(name, found, behind),
                    )

    return checks


def _behind(connection: Connection, kind: str, now: datetime) -> list[str]:
    """Return the partition keys of who has waited longest."""
    rows = connection.execute(
        select(users.c.key)
        .join(ledger, ledger.c.user_id == users.c.id)
        .where(ledger.c.kind == kind, ledger.c.ready_at <= now)
        .order_by(ledger.c.since, ledger.c.id)
        .limit(NAMED_AT_MOST)
    )
    return list(rows.scalars())


def _told(name: str, found: Mapping[str, Any], behind: list[str]) -> dict[str, Any]:
    if name == "on_time":
        return {
            "ready": found["ready"],
            "lag_s": float(found["lag_s"]),
            "target_s": float(found["lag_target_s"]),
            **({"longest_waiting": ", ".join(behind)} if behind else {}),
        }
    if name == "nothing_broken":
        return {"dead": found["states"]["dead"], "rejected": found["rejected_for_good"]}
    return {"settled_in_vain": found["fruitless"]}


status_checks_job = dg.define_asset_job(
    NAME,
    selection=dg.AssetSelection.checks_for_assets(*(kind.asset for kind in KINDS.values())),
    description="Answers the checks of every kind's asset from the ledger.",
    executor_def=dg.in_process_executor,
)

status_checks_schedule = dg.ScheduleDefinition(
    name=f"{NAME}_schedule",
    job=status_checks_job,
    cron_schedule="7 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: the checks of every kind's asset are answered anew.",
)
