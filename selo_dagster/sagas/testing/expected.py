"""What every trial ends with: the work was done once, or nothing is left of it, and the journal says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from selo_dagster.clock import FixedClock
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.states import COMPENSATED, NOTHING_TO_UNDO, UNDO_SETTLED, StepState
from selo_dagster.sagas.testing.case import Case, Trial, WrongError
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.sagas.testing.world import Change, World, change, look, require_same, varying, without

UNDISTURBED: Final = "undisturbed"


@dataclass
class Kit:
    """A case and what it leaves when nothing disturbs it, learned from two undisturbed runs."""

    case: Case
    clean: Change | None = None
    columns: dict[str, frozenset[str]] = field(default_factory=dict)
    _soiled: bool = False

    def trial(
        self,
        scenario: str,
        body: Callable[[Driver, World], None],
        *,
        step: str | None = None,
        write: int | None = None,
        later: timedelta = timedelta(0),
    ) -> Trial:
        """Run one scenario on a saga of its own; whatever is wrong with it is its fault."""
        if self._soiled:
            # What went wrong before has left something: this trial is compared with the world as it is now.
            self._soiled = False
            list(self.learn())
        with self.case.store.write() as connection:
            self.case.prepare(connection)
        driver = Driver(self.case, self.case.saga, FixedClock(self.case.begin + later))
        fault: str | None = None
        try:
            body(driver, look(self.case))
        except WrongError as wrong:
            fault = str(wrong)
        except Exception as broken:  # noqa: BLE001 - whatever comes out of the engine is a finding
            fault = f"{type(broken).__name__} came out of the engine: {broken}"
        finally:
            driver.forget()
        self._soiled = fault is not None and scenario != UNDISTURBED
        return Trial(scenario, step, write, fault)

    def learn(self) -> Iterator[Trial]:
        """Yield two undisturbed trials; what differs between them says nothing about an effect."""
        seen: list[Change] = []

        def body(driver: Driver, before: World) -> None:
            driver.complete()
            seen.append(change(before, look(self.case)))
            self.take_back(driver, before)

        # At two times, since a trial may have to wait.
        for later in (timedelta(0), timedelta(days=1, minutes=1)):
            yield self.trial(UNDISTURBED, body, later=later)
        if len(seen) == 2:
            self.columns = varying(*seen)
            self.clean = without(self.columns, seen[0])

    @property
    def saga(self) -> Saga:
        """The definition."""
        return self.case.saga

    def done_once(self, driver: Driver, before: World, state: str) -> None:
        """Require that a saga is completed and left what an undisturbed one does; then take it back."""
        driver.require("completed", state)
        made = without(self.columns, change(before, look(self.case)))
        if self.clean is not None and made != self.clean:
            raise WrongError(f"it did {_told(made)}; undisturbed, it does {_told(self.clean)}")
        self.take_back(driver, before)

    def take_back(self, driver: Driver, before: World) -> None:
        """Undo a completed saga, where there is a way back, and require that nothing is left."""
        if self.saga.pivot is None:
            driver.saga = self.saga
            driver.ask_undo()
            self.undone(driver, before, driver.to_the_end())

    def undone(self, driver: Driver, before: World, state: str) -> None:
        """Require that nothing is left of a saga but its declared residue, and that the journal tells the truth."""
        rows = driver.steps()
        left = sorted(name for name, row in rows.items() if row.state not in UNDO_SETTLED)
        owed = sorted(
            step.name
            for step in self.saga.steps
            if step.compensation is not None
            and step.name in rows
            and rows[step.name].done_at is not None
            and rows[step.name].state != StepState.UNDONE
        )
        if left or owed:
            raise WrongError(f"it is {state} although {', '.join(left or owed)} is not undone")
        # What stays because its definition says so was something that it did.
        undid = any(row.state in {StepState.UNDONE, StepState.WAIVED} for row in rows.values())
        driver.require(COMPENSATED if undid else NOTHING_TO_UNDO, state)
        require_same(before, look(self.case), f"it is {state}, and not everything is as before")


def _told(made: Change) -> str:
    rows = [f"{count.total()} rows of {table}" for table, count in made.came.items() if count]
    return ", ".join([*rows, *([f"{made.outside} effects outside"] if made.outside else [])]) or "nothing"
