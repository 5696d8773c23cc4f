"""Many sagas of few people, several runs at once, failures in between: each person's order is kept, and sums agree."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import insert, select, update

from selo_dagster.people.tables import persona_traits
from selo_dagster.sagas.definition import Compensation, Retry, Saga, Step
from selo_dagster.sagas.given import Done, Effect, Given, RefusedError, TransientError
from selo_dagster.sagas.start import start
from selo_dagster.sagas.states import COMPENSATE, ENDED
from selo_dagster.sagas.tables import saga_steps
from selo_dagster.store.engine import Store
from tests.sagas.builders import Model, Room, saga_of

PEOPLE, SAGAS, RUNS = 20, 200, 4
UNIT = 1 / 4096
"""A sum of these is exact: 60 steps of at most 8 units a person stay below 1."""


class Change(Model):
    """By how many units each step changes a person's trait, and where it goes wrong."""

    units: int
    fail_at: str = ""
    how: str = ""


class Changed(Model):
    """How many units were really added."""

    units: int


def add(given: Given, change: Change) -> Done:
    """Read, add and write: two of these at the same time would lose one."""
    whose = persona_traits.c.user_id == given.user_id
    before = given.connection.execute(select(persona_traits.c.value).where(whose)).scalar_one()
    given.connection.execute(update(persona_traits).where(whose).values(value=before + change.units * UNIT))
    if change.fail_at == given.step:
        tried = given.connection.execute(
            select(saga_steps.c.attempts).where(saga_steps.c.saga_id == given.saga_id, saga_steps.c.step == given.step)
        ).scalar()
        if change.how == "passing" and not tried:
            raise TransientError
        if change.how == "refused":
            raise RefusedError
        if change.how == "stubborn":
            raise TransientError
    changed = Changed(units=change.units)
    return Done(changed, undo=changed, effects=(Effect("traits", before, before + change.units * UNIT),))


def take_away(given: Given, changed: Changed) -> None:
    """Take away what was really added, whatever has become of the trait since."""
    whose = persona_traits.c.user_id == given.user_id
    before = given.connection.execute(select(persona_traits.c.value).where(whose)).scalar_one()
    given.connection.execute(update(persona_traits).where(whose).values(value=before - changed.units * UNIT))


def _step(name: str, after: tuple[str, ...] = ()) -> Step:
    model: type[BaseModel] = Change
    return Step(
        name=name,
        says="adds to a trait",
        kind="effect",
        action=add,
        input=model,
        output=Changed,
        takes={field: f"input.{field}" for field in Change.model_fields},
        after=after,
        records=Changed,
        compensation=Compensation(handler=take_away, accepts=Changed),
        retry=Retry(attempts=3, base_s=0.5, cap_s=1.0),
    )


ADDING: Saga = saga_of(
    "test_adding", _step("first"), _step("second", ("first",)), _step("third", ("second",)), input=Change
)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """PostgreSQL only: many connections that really write at the same time."""
    opened = Store(postgres_url, pool_size=RUNS * 2)
    yield opened
    opened.close()


def filled(store: Store, random: Random) -> tuple[Room, dict[str, Change]]:
    """Ask for the sagas, a tenth of which goes wrong."""
    room = Room(store)
    people = room.people(PEOPLE)
    with store.write() as connection:
        connection.execute(
            insert(persona_traits),
            [{"user_id": name, "name": "calm", "category": "mood", "value": 0.0} for name in people],
        )
    wanted: dict[str, Change] = {}
    bad = set(random.sample(range(SAGAS), SAGAS // 10))
    for number in range(SAGAS):
        change = Change(units=random.randint(1, 8))
        if number in bad:
            change = change.model_copy(
                update={
                    "fail_at": random.choice(("first", "second", "third")),
                    "how": random.choice(("passing", "refused", "stubborn")),
                }
            )
        with store.write() as connection:
            saga_id = start(
                connection,
                ADDING,
                user_id=people[number % PEOPLE],
                key=f"{number}",
                given=change,
                now=room.clock.now(),
                new_id=lambda number=number: f"{number:032}",  # type: ignore[misc]
            ).id
        wanted[saga_id] = change
    return room, wanted


def carried(room: Room, run_id: str, stop: threading.Event, seen: list[tuple[str, str, str]]) -> None:
    """Claim and carry in both directions until everything has ended; remember what was done to whom, in order."""
    number = 0
    while not stop.is_set():
        number += 1
        name = f"{run_id}-{number}"
        back = room.claim(ADDING, COMPENSATE, name, limit=5)
        for step in reversed(ADDING.order):
            room.undo(ADDING, step.name, back, name)
        room.judge(ADDING, back, name)
        tokens = room.claim(ADDING, run_id=name, limit=5)
        for step in ADDING.order:
            report = room.step(ADDING, step.name, tokens, name)
            seen += [(saga_id, step.name, name) for saga_id in report.done]
        if not back and not tokens:
            # Whoever waits for another try is waited for by moving the time on, which all runs share.
            room.later(seconds=1)
            if all(row.state in ENDED for row in room.rows()):
                stop.set()


def test_two_hundred_sagas_of_twenty_people_with_failures_keep_every_order_and_every_sum(
    postgres_store: Store,
) -> None:
    random = Random(11)
    room, wanted = filled(postgres_store, random)
    stop = threading.Event()
    broken: list[BaseException] = []
    seen: list[tuple[str, str, str]] = []

    def run(index: int) -> None:
        try:
            carried(replace_room(room, index), f"run-{index}", stop, seen)
        except BaseException as raised:  # noqa: BLE001 - told by the test's own thread
            broken.append(raised)
            stop.set()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(RUNS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    stop.set()
    assert broken == []

    rows = room.rows()
    lasting = {row.id for row in rows if row.state == "completed"}
    undone = {row.id for row in rows if row.state in {"compensated", "nothing_to_undo"}}
    assert len(lasting) + len(undone) == SAGAS
    # What went wrong for good is what was meant to.
    assert undone == {saga_id for saga_id, one in wanted.items() if one.how in {"refused", "stubborn"}}
    assert len(undone) >= 5
    # No step was done twice.
    assert len({(saga_id, step) for saga_id, step, _ in seen}) == len(seen)
    # Sums: what each person has is what is left of their sagas, to the unit.
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.id in lasting:
            sums[row.user_id] += 3 * wanted[row.id].units
    with postgres_store.read() as connection:
        values = {row.user_id: row.value for row in connection.execute(select(persona_traits))}
    assert {user: round(value / UNIT) for user, value in values.items()} == dict(sums)
    # Order: a person's next saga begins when the one before has ended, in the order in which they were asked for.
    ends: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    steps = _span(postgres_store)
    for row in rows:
        if row.id in steps:
            ends[row.user_id].append(steps[row.id])
    for spans in ends.values():
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
    assert room.locks() == {}


def replace_room(room: Room, index: int) -> Room:
    """Return the same room for another run: its own chance, the same clock."""
    other = object.__new__(Room)
    other.__dict__.update(vars(room) | {"random": Random(index)})
    return other


def _span(store: Store) -> dict[str, tuple[Any, Any]]:
    """Return when each saga was first and last worked on, by the database's clock."""
    found: dict[str, list[Any]] = defaultdict(list)
    with store.read() as connection:
        for row in connection.execute(select(saga_steps)):
            found[row.saga_id] += [at for at in (row.done_at, row.undone_at) if at is not None]
    return {saga_id: (min(times), max(times)) for saga_id, times in found.items()}
