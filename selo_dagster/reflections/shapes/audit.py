"""An audit of answers: computed, not asked of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from selo_dagster.reflections.audits.audit import Report
from selo_dagster.reflections.audits.store import store_audit
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.settle import Made, Nothing
from selo_dagster.reflections.shapes.computed import Computed
from selo_dagster.reflections.states import SKIPPED, Reason


@dataclass(frozen=True)
class MadeAudit:
    """A report ready to be stored."""

    id: str
    report: Report
    words: int | None = None
    dropped: tuple[str, ...] = ()
    tainted: bool = False

    def store(self, connection: Connection, claim: Claim, now: datetime) -> None:
        """Insert it as the next version of its date."""
        store_audit(connection, user_id=claim.user_id, on=claim.on, report=self.report, now=now, new_id=lambda: self.id)


def _something(report: Report) -> bool:
    return report.answers > 0


@dataclass(frozen=True)
class AuditShape(Computed):
    """Computes a report."""

    checks: Sequence[object] = (_something,)

    def computed(self, context: Context, new_id: Callable[[], str]) -> Made | Nothing:
        """Return the report on the answers that were read."""
        report = context.report
        if not isinstance(report, Report) or not _something(report):
            return Nothing(SKIPPED, Reason.NOTHING_NEW)
        return MadeAudit(new_id(), report)


AUDIT: Final = AuditShape()
