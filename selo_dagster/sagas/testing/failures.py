"""Scenarios of failure and of time: at each step, for good, for a while, unheard, too late; and undos that fail."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from selo_dagster.sagas.claim import claimable_count
from selo_dagster.sagas.definition import Step
from selo_dagster.sagas.given import RefusedError, TransientError
from selo_dagster.sagas.states import (
    COMPENSATED,
    COMPENSATION_INCOMPLETE,
    FORWARD,
    IN_DOUBT,
    PARKED,
)
from selo_dagster.sagas.testing.case import Trial, WrongError
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.sagas.testing.expected import Kit
from selo_dagster.sagas.testing.planted import Around, planted, raising
from selo_dagster.sagas.testing.world import World, change, look, require_same


class PlantedError(Exception):
    """An error that no definition knows."""


def failures(kit: Kit) -> Iterator[Trial]:
    """Yield the trials of every step."""
    for place, step in enumerate(kit.saga.order):
        name = step.name
        yield kit.trial("failure", partial(_fails, kit, step), step=name)
        yield kit.trial("deadline", partial(_too_late, kit, place), step=name)
        yield kit.trial("budget spent", partial(_never, kit, step), step=name)
        if step.retry.attempts > 1:
            yield kit.trial("passing failure", partial(_passes, kit, step), step=name)
        if step.outside and step.probe is not None:
            yield kit.trial("lost answer", partial(_unheard, kit, step), step=name)
            yield kit.trial("in doubt, then found", partial(_doubtful, kit, step), step=name)
            yield kit.trial("in doubt, done, undone", partial(_doubted, kit, step, True, True), step=name)
            yield kit.trial("in doubt, not done, undone", partial(_doubted, kit, step, False, True), step=name)
            yield kit.trial("in doubt, probed, undone", partial(_doubted, kit, step, True, False), step=name)
        if step.compensation is not None and kit.saga.pivot is None:
            yield kit.trial("undo that fails", partial(_undo_fails, kit, step), step=name)


def disturbance(kit: Kit) -> Iterator[Trial]:
    """Yield the trial of an undo after somebody else's change, which stays: it is the last one."""
    if kit.case.disturb is not None and kit.saga.pivot is None:
        yield kit.trial("undo after somebody else's change", partial(_disturbed, kit))


def _unfinished(kit: Kit, step: Step, driver: Driver, before: World, state: str) -> None:
    """Require that a saga that failed at a step went back, or waits for a person where there is no way back."""
    if step.kind != "retriable":
        kit.undone(driver, before, state)
        return
    driver.require(PARKED, state)
    driver.saga = kit.saga
    driver.retry()
    kit.done_once(driver, before, driver.to_the_end())


def _with(kit: Kit, step: Step, driver: Driver, around: Around, *, blind: bool = False) -> str:
    driver.start()
    driver.saga = planted(kit.saga, step.name, action=around, blind=blind)
    return driver.to_the_end()


def _fails(kit: Kit, step: Step, driver: Driver, before: World) -> None:
    # In the database everything is rolled back with the step; outside only what is refused has had no effect.
    error = raising(lambda: RefusedError("planted")) if step.outside else raising(PlantedError, after=True)
    _unfinished(kit, step, driver, before, _with(kit, step, driver, error))


def _never(kit: Kit, step: Step, driver: Driver, before: World) -> None:
    _unfinished(kit, step, driver, before, _with(kit, step, driver, raising(lambda: TransientError("planted"))))
    if driver.clock.instant < kit.case.begin:
        raise WrongError("time went backwards")


def _passes(kit: Kit, step: Step, driver: Driver, before: World) -> None:
    driver.start()
    driver.saga = planted(kit.saga, step.name, action=raising(lambda: TransientError("planted"), times=1))
    driver.turn()
    row = driver.row()
    if row.state != "waiting" or row.next_attempt_at is None:
        raise WrongError(f"after a passing failure it is {row.state} and has no time for another try")
    if row.next_attempt_at > driver.clock.now():
        with kit.case.store.read() as connection:
            if claimable_count(connection, kit.saga, FORWARD, driver.clock.now()):
                raise WrongError("it can be claimed before its time")
    kit.done_once(driver, before, driver.to_the_end())


def _too_late(kit: Kit, place: int, driver: Driver, before: World) -> None:
    """Let the deadline pass before a step: it goes back, or is pushed on after the pivot."""
    driver.start()
    token, run_id = driver.claim()
    driver.forward(token, run_id, kit.saga.order[:place])
    driver.late()
    driver.forward(token, run_id)
    state = driver.to_the_end()
    if kit.saga.pivot in kit.saga.order[:place]:
        kit.done_once(driver, before, state)
    else:
        kit.undone(driver, before, state)


def _unheard(kit: Kit, step: Step, driver: Driver, before: World) -> None:
    """Let the answer get lost after the work was done: the probe finds it, and it is not done again."""
    kit.done_once(driver, before, _with(kit, step, driver, raising(PlantedError, after=True)))


def _doubtful(kit: Kit, step: Step, driver: Driver, before: World) -> None:
    driver.require(IN_DOUBT, _with(kit, step, driver, raising(PlantedError, after=True), blind=True))
    if IN_DOUBT not in driver.alerts():
        raise WrongError("it is in doubt, and nobody is told")
    driver.saga = kit.saga
    driver.retry()
    kit.done_once(driver, before, driver.to_the_end())


def _doubted(kit: Kit, step: Step, done: bool, blind: bool, driver: Driver, before: World) -> None:
    """Undo what nobody knows to be there, or, unless the probe stays blind, what the probe finds."""
    driver.require(IN_DOUBT, _with(kit, step, driver, raising(PlantedError, after=done), blind=True))
    if step.kind != "effect":
        return
    if not blind:
        driver.saga = kit.saga
    driver.ask_undo()
    kit.undone(driver, before, driver.to_the_end())


def _undo_fails(kit: Kit, step: Step, driver: Driver, before: World) -> None:
    driver.complete()
    driver.ask_undo()
    driver.saga = planted(kit.saga, step.name, undo=raising(PlantedError, after=True))
    driver.require(COMPENSATION_INCOMPLETE, driver.to_the_end())
    left = (driver.row().error or {}).get("left", [])
    if step.name not in left or COMPENSATION_INCOMPLETE not in driver.alerts():
        raise WrongError("its undo is incomplete, and it does not say what is left, or to nobody")
    driver.saga = kit.saga
    driver.retry()
    kit.undone(driver, before, driver.to_the_end())


def _disturbed(kit: Kit, driver: Driver, _before: World) -> None:
    """Require that an undo keeps what another did since, or leaves it to a person. R7."""
    disturb = kit.case.disturb
    if disturb is None:
        return
    alone = _alone(kit)
    driver.complete()
    unchanged = look(kit.case)
    with kit.case.store.write() as connection:
        disturb(connection)
    disturbed = look(kit.case)
    theirs = change(unchanged, disturbed).came
    if not any(theirs.values()):
        raise WrongError("what was to disturb it changed nothing: look at `disturb` and `tables`")
    driver.ask_undo()
    state = driver.to_the_end()
    if state == COMPENSATED:
        require_same(alone, look(kit.case), "its undo took somebody else's change with it")
    elif state == COMPENSATION_INCOMPLETE:
        now = look(kit.case).rows
        lost = sorted(table for table, rows in theirs.items() if rows - now[table])
        if lost:
            raise WrongError(f"its undo was refused, and still changed what somebody else did in {', '.join(lost)}")
    else:
        driver.require(f"{COMPENSATED} or {COMPENSATION_INCOMPLETE}", state)


def _alone(kit: Kit) -> World:
    """Return the world as it would be with somebody else's change and without the saga."""
    assert kit.case.disturb is not None  # noqa: S101 - asked before
    with kit.case.store.engine.connect() as connection, connection.begin() as transaction:
        kit.case.disturb(connection)
        found = look(kit.case, connection)
        transaction.rollback()
    return found
