"""R11: spent ≤ cap, also with 16 parallel calls, whoever of them dies."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import select

from selo_dagster.llm.budgets.calls import Call, Tab, give_back
from selo_dagster.llm.budgets.reserving import Granted, Waits, reserve
from selo_dagster.llm.budgets.standing import lines, spenders
from selo_dagster.llm.budgets.tables import spending_calls
from selo_dagster.llm.errors import ModelError
from selo_dagster.store.engine import Store
from tests.llm.budgets import LEASE_S, answer, asked, tokens
from tests.support.fakes import NOW, add_person

FULL = os.environ.get("SELO_TEST_SCALE") == "full"
PARTS = 20 if FULL else 1
SCHEDULES = 50 if FULL else 20
"""Of each part: a thousand in all, which several processes may share."""
PARALLEL = 16
CAP = 1_000
BUDGET = tokens(fleet=CAP, kind=700, user=400)
CAPS = {"fleet": CAP, "kind": 700, "user": 400}
PEOPLE = tuple(f"p{number}" for number in range(5))
TRIES = 3
"""Times that somebody looks whether room has come back."""


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """A database with a connection for everybody."""
    opened = Store(postgres_url, pool_size=PARALLEL + 1)
    for who in PEOPLE:
        add_person(opened, who)
    yield opened
    opened.close()


@dataclass
class Schedule:
    """One random day of sixteen who ask at once. spent: tokens, as those knew who were answered."""

    store: Store
    number: int
    together: threading.Barrier
    spent: list[int] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    most_seen: int = 0
    given_back: list[int] = field(default_factory=list)
    refused: int = 0
    broken: list[BaseException] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """Noon of a day of its own."""
        return NOW + timedelta(days=self.number)

    def work(self, who: int) -> None:
        """Ask some times; each time something else may happen."""
        random = Random(self.number * PARALLEL + who)
        try:
            self.together.wait()
            for turn in range(random.randint(1, 3)):
                call = self._begin(random, f"{self.number}/{who}/{turn}")
                self.look()
                if call is not None:
                    self._end(random, call)
        except BaseException as broken:  # noqa: BLE001 - told by whoever waits for the thread
            self.broken.append(broken)

    def _begin(self, random: Random, owner: str) -> Call | None:
        kind, user = random.choice(["daily", "weekly"]), random.choice(PEOPLE)
        wanted = asked(owner, random.randint(20, 350), user=user, kind=kind)
        for _ in range(TRIES):
            with self.store.write() as connection:
                (reply,) = reserve(connection, BUDGET, [wanted], self.now, LEASE_S)
            if isinstance(reply, Granted):
                return reply.call
            if not isinstance(reply, Waits):
                break
        self.refused += 1
        return None

    def _end(self, random: Random, call: Call) -> None:
        tab, how = Tab(calls=[call]), random.random()
        if how < 0.15:
            # Died: what it had reserved is left, until somebody finds it.
            self.left_behind.append(call.owner)
            return
        if how < 0.25:
            tab.broke(ModelError(random.choice(["connection", "overloaded"])))
            self.spent.append(0)
        elif how < 0.4:
            tab.broke(ModelError("timeout"))
            self.spent.append(call.most.tokens)
        else:
            completion = answer(random.randint(0, call.bound.input), random.randint(0, call.bound.output))
            tab.answered(completion)
            self.spent.append(call.used_by(completion).tokens)
        with self.store.write() as connection:
            tab.count(connection)
        if random.random() < 0.3 and self.left_behind:
            with self.store.write() as connection:
                self.given_back.append(give_back(connection, self.left_behind))

    def look(self) -> None:
        """Hold in one snapshot that no cap is passed, whatever the others are doing."""
        with self.store.read() as connection:
            found = [*lines(connection, BUDGET, self.now), *spenders(connection, BUDGET, self.now)]
        for line in found:
            held = line.spent.tokens + line.reserved.tokens
            assert held <= CAPS[line.scope], line
            self.most_seen = max(self.most_seen, held if line.scope == "fleet" else 0)


@pytest.mark.postgres
@pytest.mark.scale
@pytest.mark.timeout(900 if FULL else 120)
@pytest.mark.parametrize("part", range(PARTS))
def test_r11_a_cap_is_never_passed_by_sixteen_at_once_over_random_schedules(store: Store, part: int) -> None:
    full, refused, given_back = 0, 0, 0
    for number in range(part * SCHEDULES, (part + 1) * SCHEDULES):
        schedule = Schedule(store, number, threading.Barrier(PARALLEL))
        threads = [threading.Thread(target=schedule.work, args=(who,)) for who in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert schedule.broken == []
        with store.write() as connection:
            if schedule.left_behind:
                schedule.given_back.append(give_back(connection, schedule.left_behind))
        assert sum(schedule.given_back) == len(schedule.left_behind)
        given_back += sum(schedule.given_back)
        with store.read() as connection:
            assert connection.execute(select(spending_calls)).all() == []
            (fleet, *_) = lines(connection, BUDGET, schedule.now)
        assert (fleet.spent.tokens, fleet.reserved.tokens) == (sum(schedule.spent), 0)
        assert fleet.spent.tokens <= CAP
        full += schedule.most_seen > CAP // 2
        refused += schedule.refused
    # Otherwise nothing was tried.
    assert full > SCHEDULES // 2
    assert refused > SCHEDULES
    print(  # noqa: T201 - the figures: pytest -s
        f"{SCHEDULES} schedules of {PARALLEL}: over half full in {full}, {refused} refused, {given_back} left behind"
    )
