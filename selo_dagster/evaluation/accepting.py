"""When a configuration becomes the accepted one: it was measured whole, and no score fell.

Where none was accepted before, it is held against the embedded model, which serves where nothing is configured.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from selo_dagster.evaluation.baseline import baseline
from selo_dagster.evaluation.measures import MEASURES
from selo_dagster.evaluation.report import Report, lower
from selo_dagster.llm.evaluations import accept, accepted, keep
from selo_dagster.llm.extractive.model import NAME as EXTRACTIVE

TOLERANCE: Final = 0.03
"""By how much a score of a model that answers by chance may be lower than the accepted one's: about one check of the
smallest families would be more. The extractive model answers the same each time: none."""


@dataclass(frozen=True)
class Compared:
    """A report beside the accepted one. refusals: why it may not become the accepted one; notes: what else to know.

    fell: measure -> (found, was) where it is lower by more than the tolerance.
    """

    refusals: tuple[str, ...]
    fell: dict[str, tuple[float, float]]
    notes: tuple[str, ...] = ()


def compared(connection: Connection, report: Report) -> Compared:
    """Hold a report against the configuration that is accepted, else against the embedded model's baseline."""
    former = accepted(connection)
    held: Any = baseline() if former is None else former
    whose = f"{EXTRACTIVE}, which serves by default" if former is None else f"{former.model}, accepted"
    refusals, notes = list(_faults(report)), []
    fell: dict[str, tuple[float, float]] = {}
    if former is None:
        notes.append(f"nothing was accepted before: held against {whose}")
    if held.digest != report.digest:
        notes.append(f"the bundled cases are others than those of {whose}: not comparable")
    else:
        fell = lower(report.known, held.scores, tolerance_of(report.model))
        refusals += [f"{name} fell from {was:.4f} ({whose}) to {found:.4f}" for name, (found, was) in fell.items()]
    return Compared(tuple(refusals), fell, tuple(notes))


def tolerance_of(model: str) -> float:
    """Return by how much a score may be lower without having fallen."""
    return 0.0 if model == EXTRACTIVE else TOLERANCE


def _faults(report: Report) -> list[str]:
    found = []
    if not report.full:
        found.append("not every family was asked for")
    if report.unmeasured:
        said = ", ".join(f"{name} {number}" for name, number in report.faults.items())
        found.append(f"{report.unmeasured} checks could not be measured{f' ({said})' if said else ''}")
    if report.unknown:
        found.append(f"there is no score for {', '.join(report.unknown)}")
    found += [
        f"{name} is {score:.4f}: no model can change it, so something is broken"
        for name, score in report.known.items()
        if MEASURES[name].engine and score < 1
    ]
    return found


def store_report(connection: Connection, report: Report, now: datetime, evaluation_id: str) -> None:
    """Keep a report."""
    keep(
        connection,
        id=evaluation_id,
        at=now,
        model=report.model[:200],
        fingerprint=report.fingerprint,
        cases=report.cases,
        digest=report.digest,
        scores=report.known,
        report=report.model_dump(mode="json"),
        number=report.number,
        whole=report.full and report.complete,
    )


def accept_report(connection: Connection, evaluation_id: str, found: Compared, now: datetime) -> bool:
    """Let a kept report's configuration be the accepted one unless something speaks against it; tells whether it is."""
    if found.refusals:
        return False
    accept(connection, evaluation_id, now)
    return True


def report_of(row: Any) -> Report:
    """Return the report that was kept."""
    return Report.model_validate(row.report)
