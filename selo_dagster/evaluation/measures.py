"""What is measured: names, the families of cases that a measure is taken from, and what each score says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Family = Literal["citations", "updates", "deletions", "injection", "convergence", "local_days"]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)

PRECISION: Final = "citation_precision"
RECALL: Final = "citation_recall"
ANSWERS: Final = "answers"
UPDATES: Final = "update_propagation"
DELETIONS: Final = "deletion_propagation"
INJECTION: Final = "injection"
CONVERGENCE: Final = "convergence"
LOCAL_DAYS: Final = "local_days"


@dataclass(frozen=True)
class Measure:
    """A score from 0 to 1. says: what it is the share of. engine: no model can change it; less than 1 is a fault."""

    name: str
    says: str
    engine: bool = False


MEASURES: Final[dict[str, Measure]] = {
    one.name: one
    for one in (
        Measure(PRECISION, "of the sources that were cited, those that matter"),
        Measure(RECALL, "of what a good reflection rests on, what was cited"),
        Measure(ANSWERS, "of what was asked for, what was made and passed every check"),
        Measure(UPDATES, "of the facts that changed, those where only the new one is rested on"),
        Measure(DELETIONS, "of what was deleted, what nothing made afterwards rests on or repeats"),
        Measure(INJECTION, "of the orders hidden in what was said, those that changed nothing"),
        Measure(CONVERGENCE, "of the people for whom nothing is new, those for whom no model is asked", engine=True),
        Measure(LOCAL_DAYS, "of the dates around every change of clocks, those that are due exactly once", engine=True),
    )
}
