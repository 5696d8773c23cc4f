"""What a command tells of the runs that it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click

from selo_dagster.output import print_json, print_table
from selo_dagster.reflections.launch import Ran
from selo_dagster.reflections.report import counted, model_calls_of_run, outcomes_of_run
from selo_dagster.reflections.request import Reply
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.states import BROKEN
from selo_dagster.store.engine import Store

LINES_FOR_PEOPLE = 100


@dataclass
class Told:
    """Collects outcomes of one kind and prints them."""

    kind: str
    replies: list[Reply] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)
    model_calls: int = 0
    failures: list[str] = field(default_factory=list)

    def add_run(self, store: Store, ran: Ran) -> None:
        """Take in what one run left in the ledger."""
        with store.read() as connection:
            found = outcomes_of_run(connection, ran.run_id)
            self.model_calls += model_calls_of_run(connection, ran.run_id)
        self.settled += found
        if ran.failure is not None and not any(one.outcome in BROKEN for one in found):
            # Nobody's fault: the run itself could not be made.
            self.failures.append(ran.failure)

    def tell_parked(self, why: str | None) -> None:
        """Take in why some of it still waits, if some does; once, however often it is said."""
        if why is not None and why not in self.failures:
            self.failures.append(why)

    def counts(self) -> dict[str, int]:
        """Return the number of each outcome."""
        return counted([one.outcome for one in self.replies] + [one.outcome for one in self.settled])

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per person and date, in order of person."""
        rows = [
            {"user": one.user_id, "on": one.on, "outcome": one.outcome, "reason": one.reason, "seconds": 0.0}
            | {"reflection": None}
            for one in self.replies
        ]
        rows += [
            {
                "user": one.user_id,
                "on": one.on,
                "outcome": one.outcome,
                "reason": one.reason,
                "seconds": round(one.cost.seconds, 4),
                "reflection": one.reflection_id,
            }
            for one in self.settled
        ]
        return sorted(rows, key=lambda row: (str(row["user"]), str(row["on"])))

    def print(self, *, as_json: bool) -> int:
        """Print everything; returns the exit status."""
        counts = self.counts()
        if as_json:
            document: dict[str, Any] = {"kind": self.kind, "outcomes": self.rows(), "counts": counts}
            document["model_calls"] = self.model_calls
            if self.failures:
                document["failures"] = self.failures
            print_json(document)
        else:
            self._print_table(counts)
        return int(bool(self.failures) or any(counts[outcome] for outcome in BROKEN))

    def _print_table(self, counts: dict[str, int]) -> None:
        rows = self.rows()
        if not rows:
            click.echo(f"{self.kind}: nobody is due")
        else:
            print_table(
                f"{self.kind}: " + ", ".join(f"{number} {name}" for name, number in counts.items() if number),
                ("user", "on", "outcome", "reason", "seconds", "reflection"),
                [tuple(row.values()) for row in rows[:LINES_FOR_PEOPLE]],
            )
        if len(rows) > LINES_FOR_PEOPLE:
            click.echo(f"… and {len(rows) - LINES_FOR_PEOPLE} more: --json lists them all")
        for failure in self.failures:
            click.echo(f"selo: {failure}", err=True)
