"""Whether the steps that ask a model may: while its server or the budget is gone they wait, and no try counts.

So they do while the configured model is not the one that an evaluation accepted, where that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from selo_dagster.llm.breaker import FIRST_WAIT_S, LONGEST_WAIT_S, Breaker, Standing, heard
from selo_dagster.llm.budgets.caps import Budget, Over
from selo_dagster.llm.budgets.standing import gone
from selo_dagster.llm.tables import CLOSED
from selo_dagster.reflections.acceptance import Acceptance
from selo_dagster.sagas.definition import Step
from selo_dagster.sagas.engine import Tools
from selo_dagster.sagas.given import Given
from selo_dagster.sagas.hearing import Heard
from selo_dagster.sagas.paying import Payer

MARGIN_S: Final = 30.0
"""Seconds beyond a step's own limit after which its probe is taken for lost."""

BEHIND: Final = 2.0
"""One whose probe failed waits so many times longer: another has the next."""


@dataclass
class Provider:
    """One run's view of the model's endpoint, for one step. Without a breaker everything may go on.

    over: the cap that leaves no room for any call of this type of saga today. held_back: whether what is configured is
    not the accepted one.
    """

    tools: Tools
    breaker: Breaker | None
    who: str
    lease_s: float
    budget: Budget | None = None
    type_name: str = ""
    over: Over | None = None
    acceptance: Acceptance | None = None
    probing: bool = False
    held_back: bool = False
    standing: Standing = field(default_factory=Standing)

    @property
    def parked(self) -> bool:
        """Whether nobody may ask, as far as this run knows."""
        return self.held_back or self.over is not None or (self.standing.is_open and not self.probing)

    def room(self, most: int) -> int:
        """Look, and take the probe if it is due; returns how many may ask at once: one until it has recovered."""
        if self.acceptance is not None:
            with self.tools.store.read() as connection:
                self.held_back = not self.acceptance.holds(connection)
        if self.budget is not None:
            with self.tools.store.read() as connection:
                self.over = gone(connection, self.budget, self.type_name, self.tools.clock.now())
        if self.breaker is None or self.held_back or self.over is not None:
            return most
        with self.tools.store.read() as connection:
            self.standing = self.breaker.standing(connection)
        if self.standing.probe_due:
            with self.tools.store.write() as connection:
                self.probing = self.breaker.take_probe(connection, self.who, self.lease_s)
        return most if self.standing.state == CLOSED else 1

    def again_at(self, now: datetime, *, tried: bool = False) -> datetime:
        """Return when to look again."""
        if self.over is not None and not self.held_back:
            return self.over.until
        # Somebody has to accept it: that takes longer than a server takes to come back.
        wait_s = LONGEST_WAIT_S if self.held_back else max(FIRST_WAIT_S, self.standing.wait_s)
        return now + timedelta(seconds=wait_s * BEHIND if tried else wait_s)

    def answered(self, connection: Connection) -> None:
        """Hear that the server answered; of a step that asked nothing, or another model, nothing is heard."""
        if self.breaker is not None and not self.standing.quiet:
            self.standing = self.breaker.answered(connection)
            self.probing = False

    def failed(self, connection: Connection, broken: Exception | None, before: Heard) -> bool:
        """Hear what a step ended with; true: its server is gone, and this try does not count.

        before: what it had heard until then.
        """
        if self.breaker is None or broken is None or not before.asked:
            return False
        said = heard(broken)
        if said == "nothing" and before.answered:
            # An answer that did not fit was an answer.
            said = "answered"
        if said == "answered":
            self.answered(connection)
        if said != "failed":
            return False
        self.standing = self.breaker.failed(connection, self.who)
        self.probing = False
        return self.standing.is_open

    def give_back(self) -> None:
        """Leave the probe to somebody else, if this run has it still."""
        if self.breaker is not None and self.probing:
            with self.tools.store.write() as connection:
                self.breaker.give_back(connection, self.who)
            self.probing = False

    def payer(self, given: Given, epoch: int) -> Payer | None:
        """Return who pays for what one saga asks; None: nothing is bounded."""
        if self.budget is None:
            return None
        return Payer(self.tools.store, self.budget, given, epoch, self.tools.random, self.lease_s)


def provider_of(tools: Tools, type_name: str, step: Step, run_id: str) -> Provider:
    """Return the provider of a step; only what is declared to ask a model has one."""
    lease_s = step.timeout_s + MARGIN_S
    if step.kind != "generate" or step.outside:
        return Provider(tools, None, run_id, lease_s)
    return Provider(tools, tools.breaker, run_id, lease_s, tools.budget, type_name, acceptance=tools.acceptance)
