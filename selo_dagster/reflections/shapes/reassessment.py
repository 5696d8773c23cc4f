"""A reassessment of the persona: by how much each trait drifts home. Computed, not asked of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from selo_dagster.people.persona import Drift
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.settle import Made, Nothing
from selo_dagster.reflections.shapes.computed import Computed
from selo_dagster.reflections.states import UNCHANGED, Reason

MODEL: Final = "homeostasis"


@dataclass(frozen=True)
class MadeReassessment:
    """What is wished for: [{name, delta, reason}]. The saga that it asks for applies and records it."""

    id: str
    wishes: tuple[dict[str, Any], ...]
    model: str = MODEL
    words: int | None = None
    dropped: tuple[str, ...] = ()
    tainted: bool = False

    def store(self, connection: Connection, claim: Claim, now: datetime) -> None:
        """Store nothing: the wishes are the input of the evolution that is asked for in the same transaction."""


def _drifts(report: tuple[Drift, ...]) -> bool:
    return any(one.delta for one in report)


@dataclass(frozen=True)
class ReassessmentShape(Computed):
    """Computes wishes."""

    checks: Sequence[object] = (_drifts,)

    def computed(self, context: Context, new_id: Callable[[], str]) -> Made | Nothing:
        """Return a wish for each trait that drifts; unchanged where every one is at home."""
        report = context.report
        if not isinstance(report, tuple) or not _drifts(report):
            return Nothing(UNCHANGED, Reason.NOTHING_NEW)
        wishes = tuple({"name": one.name, "delta": one.delta, "reason": "drifts home"} for one in report if one.delta)
        return MadeReassessment(new_id(), wishes)


REASSESSMENT: Final = ReassessmentShape()
