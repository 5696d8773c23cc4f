"""Carries one saga on as its runs would: claims, steps, verdict, in this process and under a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import delete, func, select, update

from selo_dagster.clock import FixedClock
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.carrying import put_off
from selo_dagster.sagas.claim import ALONE_AFTER_LOST, claim, take_back_expired
from selo_dagster.sagas.definition import Saga, Step
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.engine import Report, Tools
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.states import ENDED, FORWARD, NEEDS_A_PERSON
from selo_dagster.sagas.tables import saga_alerts, saga_locks, saga_steps, sagas
from selo_dagster.sagas.testing.case import Case, WrongError
from selo_dagster.sagas.undo import undo_step
from selo_dagster.sagas.verdict import verdict
from selo_dagster.store.types import database_now

LEASE_S: Final = 300.0
MOST_TURNS: Final = 200
JITTER: Final = 7


@dataclass
class Driver:
    """One saga of a case. saga: the definition that carries it on, which may have a fault planted in it."""

    case: Case
    saga: Saga
    clock: FixedClock
    key: str = field(default_factory=lambda: uuid4().hex)
    saga_id: str = ""

    @property
    def tools(self) -> Tools:
        """The engine's tools, under the virtual clock."""
        return Tools(self.case.store, self.clock, Random(JITTER))  # noqa: S311 - jitter is no secret

    def start(self) -> None:
        """Ask for the saga; the same key asks once."""
        with self.case.store.write() as connection:
            self.saga_id = self.case.ask(connection, self.case, self.key, self.clock.now())

    def row(self) -> Any:
        """Return the saga's row."""
        with self.case.store.read() as connection:
            return connection.execute(select(sagas).where(sagas.c.id == self.saga_id)).one()

    def steps(self) -> dict[str, Any]:
        """Return the rows of its steps, of the present generation."""
        newest = select(sagas.c.generation).where(sagas.c.id == self.saga_id).scalar_subquery()
        with self.case.store.read() as connection:
            rows = connection.execute(
                select(saga_steps).where(saga_steps.c.saga_id == self.saga_id, saga_steps.c.generation == newest)
            ).all()
        return {row.step: row for row in rows}

    def claim(self) -> tuple[Token, str]:
        """Claim it for a run of its own; returns the token and the run. Raises WrongError where it is not free."""
        row, run_id = self.row(), uuid4().hex
        with self.case.store.write() as connection:
            tokens = claim(
                connection,
                self.saga,
                row.direction,
                run_id=run_id,
                now=self.clock.now(),
                lease_s=LEASE_S,
                limit=1,
                ids=[self.saga_id],
                alone=row.lost >= ALONE_AFTER_LOST,
            )
        if not tokens:
            raise WrongError(f"a saga that is {row.state} cannot be claimed")
        return tokens[0], run_id

    def lose(self) -> None:
        """Let the lease of whoever holds it run out, and take it back."""
        with self.case.store.write() as connection:
            connection.execute(
                update(sagas)
                .where(sagas.c.id == self.saga_id, sagas.c.lease_until.is_not(None))
                .values(lease_until=database_now(-1.0))
            )
            take_back_expired(connection)

    def do(self, step: Step, token: Token, run_id: str) -> Report:
        """Carry one step out."""
        report = forward_step(self.tools, self.saga, step, [token], run_id)
        if report.passing:
            put_off(self.tools, [token], run_id, report)
        return report

    def undo(self, step: Step, token: Token, run_id: str) -> Report:
        """Undo one step."""
        return undo_step(self.tools, self.saga, step, [token], run_id)

    def forward(self, token: Token, run_id: str, steps: Iterable[Step] | None = None) -> None:
        """Go on with these steps, or all, as far as they are come through."""
        for step in self.saga.order if steps is None else steps:
            if not self.do(self.saga.step(step.name), token, run_id).through:
                return

    def back(self, token: Token, run_id: str) -> None:
        """Undo all steps, and say what it came to."""
        for step in reversed(self.saga.order):
            self.undo(step, token, run_id)
        verdict(self.tools, self.saga, [token], run_id)

    def turn(self) -> None:
        """Be one run: claim it, and carry it on in its direction."""
        token, run_id = self.claim()
        (self.forward if self.row().direction == FORWARD else self.back)(token, run_id)

    def to_the_end(self) -> str:
        """Be as many runs as it takes, without waiting; returns the state in which it ended or waits for a person."""
        for _ in range(MOST_TURNS):
            row = self.row()
            if row.state in {*ENDED, *NEEDS_A_PERSON}:
                return str(row.state)
            if row.lease_until is not None:
                self.lose()
            elif row.next_attempt_at is not None:
                self.clock.instant = max(self.clock.instant, row.next_attempt_at)
            self.turn()
        raise WrongError(f"it came to no end within {MOST_TURNS} runs and is {self.row().state}")

    def complete(self) -> None:
        """Start it and carry it to its end. Raises WrongError unless it is completed."""
        self.start()
        self.require("completed", self.to_the_end())

    def ask_undo(self) -> None:
        """Ask for its undo, as an operator would."""
        with self.case.store.write() as connection:
            self._desk(connection).compensate(self.saga_id)

    def retry(self) -> None:
        """Let it go on, as an operator would."""
        with self.case.store.write() as connection:
            self._desk(connection).retry(self.saga_id)

    def _desk(self, connection: Any) -> Desk:
        return Desk(connection, self.clock.now(), lambda _name, _version: self.case.saga, "saga test kit", "a trial")

    def late(self) -> None:
        """Let its deadline pass."""
        self.clock.instant = self.row().deadline_at + timedelta(seconds=1)

    def alerts(self) -> list[str]:
        """Return the codes of the alerts that are not settled."""
        with self.case.store.read() as connection:
            return list(
                connection.execute(
                    select(saga_alerts.c.code).where(
                        saga_alerts.c.saga_id == self.saga_id, saga_alerts.c.resolved_at.is_(None)
                    )
                ).scalars()
            )

    def require(self, wanted: str, found: str) -> None:
        """Raise WrongError unless a state is the wanted one; an end must leave no lock, claim or open alert."""
        if found != wanted:
            error = self.row().error or {}
            raise WrongError(f"it is {found} instead of {wanted} ({error.get('step', '-')}: {error.get('class', '-')})")
        if found not in ENDED:
            return
        with self.case.store.read() as connection:
            locks = connection.execute(
                select(func.count()).select_from(saga_locks).where(saga_locks.c.saga_id == self.saga_id)
            ).scalar_one()
        if locks or self.alerts() or self.row().lease_until is not None:
            raise WrongError(f"it is {found} and left a lock, a claim, or an open alert")

    def forget(self) -> None:
        """Delete it from the journal, so that the person's next one can begin."""
        with self.case.store.write() as connection:
            connection.execute(delete(sagas).where(sagas.c.id == self.saga_id))
