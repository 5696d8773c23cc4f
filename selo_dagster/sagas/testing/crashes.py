"""Scenarios of death: at every write of the journal, forward and back, just before and just after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from selo_dagster.sagas.given import RefusedError
from selo_dagster.sagas.testing.case import Trial, WrongError
from selo_dagster.sagas.testing.crash import Death, Moment, crash_at
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.sagas.testing.expected import Kit
from selo_dagster.sagas.testing.planted import planted, raising
from selo_dagster.sagas.testing.world import World

MOST_WRITES: Final = 1_000
MOMENTS: Final[tuple[Moment, ...]] = ("before", "after")


def crashes(kit: Kit) -> Iterator[Trial]:
    """Yield a trial for every write until the work is done without coming to another one."""
    for scenario, body in (("crash forward", _forward), ("crash while undoing", _back)):
        for moment in MOMENTS:
            for write in range(1, MOST_WRITES):
                deaths: list[Death] = []

                def dying(
                    driver: Driver,
                    before: World,
                    body: _Body = body,
                    write: int = write,
                    moment: Moment = moment,
                    deaths: list[Death] = deaths,
                ) -> None:
                    body(kit, driver, before, write, moment, deaths)

                yield kit.trial(f"{scenario}, {moment} a write", dying, write=write)
                if not deaths or not deaths[0].happened:
                    break


_Body = Callable[[Kit, Driver, World, int, Moment, list[Death]], None]


def _forward(kit: Kit, driver: Driver, before: World, write: int, moment: Moment, deaths: list[Death]) -> None:
    with crash_at(write, moment) as death:
        deaths.append(death)
        driver.start()
        driver.to_the_end()
    # Another process: it asks again with the same key, and takes over.
    driver.start()
    kit.done_once(driver, before, driver.to_the_end())


def _back(kit: Kit, driver: Driver, before: World, write: int, moment: Moment, deaths: list[Death]) -> None:
    pivot = kit.saga.pivot
    if pivot is None:
        driver.complete()
    else:
        driver.saga = planted(kit.saga, pivot.name, action=raising(lambda: RefusedError("planted")))
        driver.start()
        driver.turn()
        if driver.row().state != "compensating":
            raise WrongError(f"a refused pivot left it {driver.row().state}")
    with crash_at(write, moment) as death:
        deaths.append(death)
        _ask(driver, pivot is None)
    _ask(driver, pivot is None)
    kit.undone(driver, before, driver.row().state)


def _ask(driver: Driver, ask: bool) -> None:
    if ask:
        driver.ask_undo()
    driver.to_the_end()
