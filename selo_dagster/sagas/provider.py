"""Whether the steps that ask a model may: while its server is gone they wait, and no try of theirs counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from selo_dagster.llm.breaker import FIRST_WAIT_S, Breaker, Standing, heard
from selo_dagster.llm.tables import CLOSED
from selo_dagster.sagas.definition import Step
from selo_dagster.sagas.engine import Tools
from selo_dagster.sagas.given import TransientError

MARGIN_S: Final = 30.0
"""Seconds beyond a step's own limit after which its probe is taken for lost."""

BEHIND: Final = 2.0
"""One whose probe failed waits so many times longer: another has the next."""


@dataclass
class Provider:
    """One run's view of the model's endpoint, for one step. Without a breaker everything may go on."""

    tools: Tools
    breaker: Breaker | None
    who: str
    lease_s: float
    probing: bool = False
    standing: Standing = field(default_factory=Standing)

    @property
    def parked(self) -> bool:
        """Whether nobody may ask, as far as this run knows."""
        return self.standing.is_open and not self.probing

    def room(self, most: int) -> int:
        """Look, and take the probe if it is due; returns how many may ask at once: one until it has recovered."""
        if self.breaker is None:
            return most
        with self.tools.store.read() as connection:
            self.standing = self.breaker.standing(connection)
        if self.standing.probe_due:
            with self.tools.store.write() as connection:
                self.probing = self.breaker.take_probe(connection, self.who, self.lease_s)
        return most if self.standing.state == CLOSED else 1

    def again_at(self, now: datetime, *, tried: bool = False) -> datetime:
        """Return when to look again."""
        wait_s = max(FIRST_WAIT_S, self.standing.wait_s)
        return now + timedelta(seconds=wait_s * BEHIND if tried else wait_s)

    def answered(self, connection: Connection) -> None:
        """Hear that the server answered."""
        if self.breaker is not None and not self.standing.quiet:
            self.standing = self.breaker.answered(connection)
            self.probing = False

    def failed(self, connection: Connection, broken: Exception | None) -> bool:
        """Hear what a call ended with; true: its server is gone, and this try does not count."""
        if self.breaker is None or broken is None:
            return False
        # An answer that did not fit was an answer.
        said = "answered" if isinstance(broken, TransientError) else heard(broken)
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


def provider_of(tools: Tools, step: Step, run_id: str) -> Provider:
    """Return the provider of a step; only what is declared to ask a model has one."""
    asks = step.kind == "generate" and not step.outside
    return Provider(tools, tools.breaker if asks else None, run_id, step.timeout_s + MARGIN_S)
