"""Scenarios of delivery: twice, too late, in the wrong order, and by somebody who was taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from selo_dagster.sagas.definition import Step
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.testing.case import Trial, WrongError
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.sagas.testing.expected import Kit
from selo_dagster.sagas.testing.planted import counted, first, planted
from selo_dagster.sagas.testing.world import World, look, require_same

Work = Callable[[Step, Token, str], object]


def deliveries(kit: Kit) -> Iterator[Trial]:
    """Yield the trials of every step."""
    for place, step in enumerate(kit.saga.order):
        name = step.name
        yield kit.trial("duplicate delivery", partial(_twice, kit, place), step=name)
        yield kit.trial("paused zombie", partial(_zombie, kit, place), step=name)
        if not step.in_database:
            yield kit.trial("zombie paused inside its call", partial(_paused_inside, kit, name), step=name)
    if kit.saga.pivot is not None:
        return
    yield kit.trial("undo without do", partial(_undo_without_do, kit))
    for place, step in enumerate(kit.saga.order):
        name = step.name
        yield kit.trial("do after undo", partial(_do_after_undo, kit, place), step=name)
        yield kit.trial("duplicate delivery of the undo", partial(_undo_twice, kit, place), step=name)
        yield kit.trial("paused zombie of the undo", partial(_undo_zombie, kit, place), step=name)
        if step.outside:
            yield kit.trial("zombie paused inside its undo", partial(_paused_inside_undo, kit, name), step=name)


def _changes_nothing(kit: Kit, driver: Driver, what: str, work: Callable[[], object]) -> None:
    """Require that a delivery writes nothing: neither in the world nor in the steps."""
    world, steps = look(kit.case), driver.steps()
    work()
    require_same(world, look(kit.case), what)
    if driver.steps() != steps:
        raise WrongError(f"{what}: the journal was written")


def _repeated(kit: Kit, driver: Driver, work: Work, step: Step, token: Token, run_id: str) -> None:
    _changes_nothing(kit, driver, "delivered twice", lambda: work(step, token, run_id))
    _changes_nothing(kit, driver, "with a stale token", lambda: work(step, (token[0], token[1] - 1), run_id))
    _changes_nothing(kit, driver, "by another run", lambda: work(step, token, f"not-{run_id[:20]}"))


def _twice(kit: Kit, place: int, driver: Driver, before: World) -> None:
    driver.start()
    token, run_id = driver.claim()
    driver.forward(token, run_id, kit.saga.order[: place + 1])
    _repeated(kit, driver, driver.do, kit.saga.order[place], token, run_id)
    driver.forward(token, run_id)
    kit.done_once(driver, before, driver.row().state)


def _zombie(kit: Kit, place: int, driver: Driver, before: World) -> None:
    """Let somebody keep a claim over a take-over."""
    driver.start()
    token, run_id = driver.claim()
    driver.forward(token, run_id, kit.saga.order[:place])
    driver.lose()
    step = kit.saga.order[place]
    _changes_nothing(kit, driver, "after its lease", lambda: driver.do(step, token, run_id))
    new_token, new_run = driver.claim()
    _changes_nothing(kit, driver, "after a take-over", lambda: driver.do(step, token, run_id))
    driver.forward(new_token, new_run)
    kit.done_once(driver, before, driver.row().state)


def _paused_inside(kit: Kit, name: str, driver: Driver, before: World) -> None:
    """Let somebody wake up in the middle of a call that another has made and finished meanwhile."""
    other = Driver(kit.case, kit.saga, driver.clock, driver.key)

    def meanwhile() -> None:
        other.saga_id = driver.saga_id
        other.lose()
        other.to_the_end()

    driver.start()
    driver.saga = planted(kit.saga, name, action=first(meanwhile))
    driver.turn()
    kit.done_once(driver, before, driver.row().state)


def _undo_without_do(kit: Kit, driver: Driver, before: World) -> None:
    calls: list[str] = []
    for step in kit.saga.steps:
        driver.saga = planted(driver.saga, step.name, undo=counted(calls, step))
    driver.start()
    driver.ask_undo()
    kit.undone(driver, before, driver.to_the_end())
    if calls:
        raise WrongError(f"the undo of {', '.join(calls)} was called although nothing was done")


def _do_after_undo(kit: Kit, place: int, driver: Driver, before: World) -> None:
    driver.start()
    token, run_id = driver.claim()
    driver.forward(token, run_id, kit.saga.order[: place + 1])
    driver.ask_undo()

    def late() -> None:
        for step in kit.saga.order:
            driver.do(step, token, run_id)

    _changes_nothing(kit, driver, "done after its undo was asked for", late)
    new_token, new_run = driver.claim()
    _changes_nothing(kit, driver, "done while it is undone", late)
    driver.back(new_token, new_run)
    _changes_nothing(kit, driver, "done after its undo", late)
    kit.undone(driver, before, driver.row().state)


def _undo_twice(kit: Kit, place: int, driver: Driver, before: World) -> None:
    driver.complete()
    driver.ask_undo()
    token, run_id = driver.claim()
    for step in reversed(kit.saga.order[place:]):
        driver.undo(step, token, run_id)
    _repeated(kit, driver, driver.undo, kit.saga.order[place], token, run_id)
    driver.back(token, run_id)
    kit.undone(driver, before, driver.row().state)


def _undo_zombie(kit: Kit, place: int, driver: Driver, before: World) -> None:
    driver.complete()
    driver.ask_undo()
    token, run_id = driver.claim()
    for step in reversed(kit.saga.order[place + 1 :]):
        driver.undo(step, token, run_id)
    driver.lose()
    new_token, new_run = driver.claim()
    step = kit.saga.order[place]
    _changes_nothing(kit, driver, "undone after a take-over", lambda: driver.undo(step, token, run_id))
    driver.back(new_token, new_run)
    kit.undone(driver, before, driver.row().state)


def _paused_inside_undo(kit: Kit, name: str, driver: Driver, before: World) -> None:
    driver.complete()
    other = Driver(kit.case, kit.saga, driver.clock, driver.key, driver.saga_id)

    def meanwhile() -> None:
        other.lose()
        other.to_the_end()

    driver.ask_undo()
    driver.saga = planted(kit.saga, name, undo=first(meanwhile))
    driver.turn()
    kit.undone(driver, before, driver.row().state)
