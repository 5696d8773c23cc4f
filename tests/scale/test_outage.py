"""A night in which the model's server is gone, and the morning on which it is back."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from selo_dagster.clock import FixedClock
from selo_dagster.llm.breaker import FAILURES_TO_OPEN, Breaker
from selo_dagster.llm.endpoint import endpoint_at
from selo_dagster.llm.openai_client import OpenAICompatibleModel
from selo_dagster.llm.tables import CLOSED, OPEN, model_endpoints
from selo_dagster.people.history import zones_of
from selo_dagster.reflections.cadences.by_cause import Wanted, ask
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.due import enrol, ready_count
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.outage import NIGHTLY_SHARE, who_probes
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.support import fault_server as fault
from tests.support.fakes import NOW, add_person, limits, remember, say, tools

FULL = os.environ.get("SELO_TEST_SCALE") == "full"
PEOPLE = 1_000 if FULL else 60
PROBES = 40 if FULL else 2
"""Even, so that the turn is at what was asked for when the server is back."""
ASKED = 20 if FULL else 4
SLOTS = 8
TRIGGERED = KINDS["triggered"]


class Night:
    """The daily of many, some of whom ask for something in the morning, and a server on one port."""

    def __init__(self, store: Store, url: str) -> None:
        self.store, self.url = store, url
        self.breaker = Breaker(endpoint_at(url), SLOTS)
        self.clock = FixedClock(NOW)
        self.settled: list[Settlement] = []
        self.runs = 0

    def run(self, kind: Kind) -> int:
        """Run a cohort; returns how many it settled."""
        self.runs += 1
        model = OpenAICompatibleModel(
            base_url=self.url,
            model=fault.MODEL,
            api_key=None,
            slots=SLOTS,
            max_tokens=600,
            temperature=0.0,
            random=Random(self.runs),
        )
        given = replace(tools(self.store, clock=self.clock), model=model, breaker=self.breaker)
        bounds = limits(person=Limits(20.0, 30.0), concurrency=SLOTS, chunk=50)
        cohort = Cohort(kind, f"run-{self.runs}-{uuid4().hex}", bounds, given, lambda _: None)
        found = [one for batch in settlements(cohort) for one in batch]
        self.settled += found
        return len(found)

    def next_run(self) -> Kind | None:
        """Run what the sensor would ask for; returns what that was."""
        with self.store.read() as connection:
            ready = [kind for kind in (DAILY, TRIGGERED) if ready_count(connection, kind, self.clock.now())]
            standing = self.breaker.standing(connection)
        if not ready:
            return None
        kind = who_probes(ready, standing)
        assert self.run(kind)
        return kind

    def an_hour_later(self) -> None:
        self.clock.advance(timedelta(hours=1))
        with self.store.write() as connection:
            connection.execute(update(model_endpoints).values(next_probe_at=database_now(-1)))

    def attempts(self) -> tuple[int, int, int]:
        """Return the attempts that count, those that are written down, and the claims that were lost."""
        with self.store.read() as connection:
            counted, lost = connection.execute(select(func.sum(ledger.c.attempts), func.sum(ledger.c.lost))).one()
            written = connection.execute(select(func.count()).select_from(reflection_attempts)).scalar_one()
        return int(counted), written, int(lost)

    def ask(self, number: int) -> None:
        """Let some people ask for a reflection."""
        names = [f"p{index:04}" for index in range(number)]
        for name in names:
            remember(self.store, name, f"m-{name}", "2026-11-22T10:05:00Z", f"{name} loves the winter sea", 0.9)
        with self.store.write() as connection:
            zones = zones_of(connection, names)
            for name in names:
                cause = {"rule": "manual", "memories": [f"m-{name}"], "context": {}}
                wanted = Wanted(name, zones[name], f"wish-{name}", self.clock.now(), cause, self.clock.now())
                assert ask(connection, TRIGGERED, wanted, self.clock.now()) is None


@pytest.mark.scale
@pytest.mark.timeout(900)
def test_r5_a_night_without_the_server_uses_no_attempt_and_the_morning_does_everything_in_order(store: Store) -> None:
    for number in range(PEOPLE):
        add_person(store, f"p{number:04}")
        say(store, f"p{number:04}", "2026-11-22T10:00:00Z", f"hello from p{number:04}")
    enrol(store, DAILY, NOW, 3)
    with fault.FaultServer() as reserved:
        url, port = reserved.url, int(reserved.url.rsplit(":", 1)[1].split("/")[0])
    night = Night(store, url)
    started = time.monotonic()
    night.run(DAILY)
    before = night.attempts()
    assert before == (FAILURES_TO_OPEN - 1, FAILURES_TO_OPEN - 1, 0)
    for _ in range(PROBES):
        assert night.run(DAILY) == 0
        night.an_hour_later()
        assert night.run(DAILY) == 0
    with store.read() as connection:
        down = night.breaker.standing(connection)
    assert (down.state, down.probes, night.attempts()) == (OPEN, PROBES, before)
    night.ask(ASKED)
    gone_s = time.monotonic() - started
    started = time.monotonic()
    with fault.FaultServer(lambda _: fault.slow(0.02), port=port) as server:
        night.an_hour_later()
        peaks: Counter[str] = Counter()
        while (kind := night.next_run()) is not None:
            peaks[kind.name], server.peak = max(peaks[kind.name], server.peak), 0
        requests = list(server.requests)
    with store.read() as connection:
        states = Counter(connection.execute(select(ledger.c.state)).scalars())
        asked = connection.execute(select(func.count()).where(ledger.c.kind == TRIGGERED.name)).scalar_one()
        back = night.breaker.standing(connection)
    assert (states, asked) == (Counter(done=PEOPLE + ASKED), ASKED)
    assert night.attempts() == (PEOPLE + ASKED + before[0], PEOPLE + ASKED + before[1], 0)
    assert (back.state, back.times_opened) == (CLOSED, 1)
    assert len(requests) == PEOPLE + ASKED
    # What somebody asked for in the morning came before what was due in the night, which left it its share.
    assert [one.kind for one in night.settled if one.outcome == "done"][:ASKED] == [TRIGGERED.name] * ASKED
    assert peaks[TRIGGERED.name] <= SLOTS
    assert peaks[DAILY.name] <= SLOTS * NIGHTLY_SHARE
    print(  # noqa: T201 - the figures: pytest -s
        f"{store.dialect}: {PEOPLE} people, {PROBES} probes in {gone_s:.1f} s, {before[0]} attempts before it opened "
        f"and none after; back: {len(requests)} done in {time.monotonic() - started:.1f} s, peaks {dict(peaks)}"
    )
