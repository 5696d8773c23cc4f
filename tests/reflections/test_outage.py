"""The model's server is gone: work waits, loses nothing, and is done in order when it is back."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import func, select, update

from selo_dagster.clock import FixedClock
from selo_dagster.llm.breaker import FAILURES_TO_OPEN, Breaker, Place, Standing, breaker_of
from selo_dagster.llm.endpoint import endpoint_at
from selo_dagster.llm.errors import Fault, ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.llm.tables import CLOSED, HALF_OPEN, OPEN, model_endpoints
from selo_dagster.reflections.answers import person, why
from selo_dagster.reflections.cadences.by_cause import Wanted, ask
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol, ready_count
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.outage import NIGHTLY_SHARE, gate_of, who_probes
from selo_dagster.reflections.schedules import schedule_of
from selo_dagster.reflections.sensors import due_requests_sensor
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.support.command import Selo
from tests.support.dagster import instance_of
from tests.support.fakes import NOW, FakeModel, add_person, by_the_book, good_answer, limits, say, tools

SLOTS = 4
URL = "http://model.example:8080/v1"
BREAKER = Breaker(endpoint_at(URL), SLOTS)
TRIGGERED = KINDS["triggered"]


@dataclass
class Server:
    """A server that can be gone. under_way: calls at the moment of each call, itself included."""

    fault: Fault | None = None
    poisoned: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    under_way: list[int] = field(default_factory=list)
    _now: int = 0

    async def __call__(self, request: CompletionRequest) -> str:
        """Answer, or not."""
        self._now += 1
        self.asked.append(request.subject)
        self.under_way.append(self._now)
        try:
            await asyncio.sleep(0)
            if self.fault is not None or request.subject in self.poisoned:
                raise ModelError(self.fault or "server_error")
            return await by_the_book(request)
        finally:
            self._now -= 1


def people(store: Store, number: int, first: str = "2026-11-22T10:00:00Z") -> list[str]:
    names = [f"p{index:03}" for index in range(number)]
    for name in names:
        add_person(store, name)
        say(store, name, first, f"I am {name}")
    enrol(store, DAILY, NOW, 3)
    return names


def run(
    store: Store, server: Any, run_id: str, *, clock: FixedClock | None = None, by_hand: bool = False, **changes: Any
) -> list[Settlement]:
    """Run one cohort of the daily, or of `kind`."""
    kind = changes.pop("kind", DAILY)
    given = replace(tools(store, FakeModel(server), clock), breaker=BREAKER)
    cohort = Cohort(kind, run_id, limits(concurrency=SLOTS, **changes), given, lambda _: None, by_hand=by_hand)
    return [one for batch in settlements(cohort) for one in batch]


def standing(store: Store) -> Standing:
    with store.read() as connection:
        return BREAKER.standing(connection)


def its_time_has_come(store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(model_endpoints).values(next_probe_at=database_now(-1)))


def open_it(store: Store, breaker: Breaker = BREAKER) -> None:
    with store.write() as connection:
        for _ in range(FAILURES_TO_OPEN):
            breaker.failed(connection, "somebody")


def books(store: Store) -> tuple[int, int, int, Counter[str]]:
    """Return the attempts that count, those that are written down, the claims that were lost, and rows by state."""
    with store.read() as connection:
        counted, lost = connection.execute(select(func.sum(ledger.c.attempts), func.sum(ledger.c.lost))).one()
        written = connection.execute(select(func.count()).select_from(reflection_attempts)).scalar_one()
        states = Counter(connection.execute(select(ledger.c.state)).scalars())
    return int(counted), written, int(lost), states


@pytest.mark.parametrize("fault", ["connection", "overloaded", "auth", "timeout"])
def test_r5_an_outage_of_any_length_uses_no_attempt_after_the_breaker_has_opened(store: Store, fault: Fault) -> None:
    names = people(store, 60 if fault == "connection" else 12)
    server = Server(fault)
    clock = FixedClock(NOW)
    burned = len(run(store, server, "run-0", clock=clock))
    before = books(store)
    # What was under way when it opened is parked too: only what had failed before has used an attempt.
    assert before[:3] == (burned, burned, 0)
    assert burned == FAILURES_TO_OPEN - 1
    assert standing(store).state == OPEN
    asked = len(server.asked)
    for number in range(12):
        clock.advance(timedelta(hours=3))
        assert run(store, server, f"early-{number}", clock=clock) == []
        its_time_has_come(store)
        assert run(store, server, f"probe-{number}", clock=clock) == []
        assert len(server.asked) == asked + number + 1
        assert books(store)[:3] == before[:3]
    assert standing(store).probes == 12
    assert set(books(store)[3]) <= {"due", "failed", "dead" if fault == "auth" else "failed"}
    server.fault = None
    its_time_has_come(store)
    done = run(store, server, "back", clock=clock)
    assert Counter(one.outcome for one in done) == {"done": len(names)}
    counted, written, lost, states = books(store)
    assert (counted, written, lost, states) == (len(names) + burned, len(names) + burned, 0, Counter(done=len(names)))
    assert standing(store).state == CLOSED


def test_when_it_is_back_the_oldest_go_first_and_the_calls_grow_one_by_one(store: Store) -> None:
    people(store, 30)
    say(store, "p007", "2026-11-20T10:00:00Z", "friday", prefix="older")
    say(store, "p011", "2026-11-21T10:00:00Z", "saturday", prefix="old")
    enrol(store, DAILY, NOW, 3)
    open_it(store)
    its_time_has_come(store)
    server = Server()
    assert len(run(store, server, "back")) == 32
    with store.read() as connection:
        due = connection.execute(select(ledger.c.user_id).order_by(ledger.c.since, ledger.c.id)).scalars().all()
    assert due[:2] == ["p007", "p011"]
    assert server.asked == due
    assert server.under_way[0] == 1
    assert all(number <= 1 + place for place, number in enumerate(server.under_way))


def test_one_cohort_probes_and_the_other_claims_nothing_meanwhile(store: Store) -> None:
    people(store, 10)
    open_it(store)
    its_time_has_come(store)
    asked, answered = threading.Event(), threading.Event()

    async def answering(request: CompletionRequest) -> str:
        asked.set()
        await asyncio.get_running_loop().run_in_executor(None, answered.wait)
        return good_answer(request)

    first: list[Settlement] = []
    thread = threading.Thread(target=lambda: first.extend(run(store, answering, "first")))
    thread.start()
    assert asked.wait(20)
    second = Server()
    its_time_has_come(store)
    try:
        assert run(store, second, "second") == []
        assert run(store, second, "by-hand", by_hand=True) == []
        with store.read() as connection:
            held = connection.execute(select(func.count()).where(ledger.c.state == "claimed")).scalar()
    finally:
        answered.set()
        thread.join()
    assert (second.asked, held) == ([], 1)
    assert len(first) == 10


def test_a_probe_whose_holder_is_gone_is_taken_over_when_its_lease_has_ended(store: Store) -> None:
    people(store, 6)
    open_it(store)
    its_time_has_come(store)
    with store.write() as connection:
        assert BREAKER.take_probe(connection, "gone", 60.0)
    server = Server()
    assert run(store, server, "early") == []
    assert server.asked == []
    with store.write() as connection:
        connection.execute(update(model_endpoints).values(probe_until=database_now(-1)))
    assert len(run(store, server, "next")) == 6


def test_whoever_asks_by_hand_finds_out_at_once_and_once_only(store: Store) -> None:
    people(store, 3)
    open_it(store)
    server = Server("connection")
    assert run(store, server, "still-gone", by_hand=True) == []
    assert len(server.asked) == 1
    server.fault = None
    assert len(run(store, server, "back", by_hand=True)) == 3


def test_a_probe_that_finds_nothing_to_ask_is_left_to_another(store: Store) -> None:
    open_it(store)
    its_time_has_come(store)
    assert run(store, Server(), "nobody-is-due") == []
    assert standing(store).probe_due


def test_one_whose_call_always_fails_does_not_keep_the_others_waiting(store: Store) -> None:
    people(store, 8)
    open_it(store)
    server = Server(poisoned=frozenset({"p000", "p001"}))
    done: list[Settlement] = []
    for number in range(3):
        its_time_has_come(store)
        done += run(store, server, f"run-{number}")
    assert {one.user_id for one in done if one.outcome == "done"} == {f"p{number:03}" for number in range(2, 8)}
    assert {one.user_id for one in done if one.outcome == "failed"} == {"p000", "p001"}


@pytest.mark.parametrize("fault", ["rate_limited", "bad_request", "empty_answer"])
def test_what_does_not_concern_everybody_opens_nothing(store: Store, fault: Fault) -> None:
    people(store, 12)
    assert len(run(store, Server(fault), "run-1")) == 12
    assert standing(store) == Standing()


def test_answers_that_break_a_rule_open_nothing_and_close_what_is_open(store: Store) -> None:
    people(store, 12)

    async def answering(request: CompletionRequest) -> str:
        return good_answer(request, content="too short")

    open_it(store)
    its_time_has_come(store)
    assert Counter(one.outcome for one in run(store, answering, "run-1")) == {"rejected": 12}
    assert standing(store).state == CLOSED


def test_in_quiet_times_nothing_is_written_of_an_endpoint(store: Store) -> None:
    people(store, 12)
    run(store, Server(), "run-1")
    with store.read() as connection:
        assert connection.execute(select(model_endpoints)).all() == []


def test_a_kind_that_asks_no_model_and_an_installation_without_a_server_have_no_breaker(store: Store) -> None:
    open_it(store)
    audit = KINDS["relationship_answer_audit"]
    assert breaker_of(process_settings()) is None
    for gate in (
        gate_of(BREAKER, store, audit, "run-1", probe_s=1.0),
        gate_of(None, store, DAILY, "run-2", probe_s=1.0),
    ):
        passed = gate.look()
        assert passed is not None
        assert (passed.rows, gate.room(SLOTS)) == (None, SLOTS)


def test_while_it_drains_a_share_of_the_slots_is_left_to_what_was_just_asked_for(store: Store) -> None:
    open_it(store)
    with store.write() as connection:
        for _ in range(SLOTS):
            BREAKER.answered(connection)
    assert standing(store).state == CLOSED
    people(store, 20)
    server = Server()
    run(store, server, "drains")
    assert max(server.under_way) == SLOTS * NIGHTLY_SHARE
    gate = gate_of(BREAKER, store, TRIGGERED, "asked", probe_s=1.0)
    gate.look()
    assert gate.room(SLOTS) == SLOTS


def test_what_was_just_asked_for_has_the_first_probe_and_then_each_its_turn() -> None:
    waiting = [DAILY, KINDS["mantra"], TRIGGERED, KINDS["adaptive"]]
    turns = [who_probes(waiting, Standing(OPEN, probes=number)).name for number in range(5)]
    assert turns == ["triggered", "adaptive", "daily", "mantra", "triggered"]


class TestTold:
    @pytest.fixture
    def selo(
        self, store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Selo:
        """The command, where the settings name a server at which nobody listens."""
        monkeypatch.setenv("DATABASE_URL", store_url)
        monkeypatch.setenv("SELO_LLM_URL", "http://127.0.0.1:9/v1")
        monkeypatch.setenv("SELO_LLM_MODEL", "scripted")
        process_settings.cache_clear()
        people(store, 7)
        return Selo(capsys)

    @pytest.mark.usefixtures("selo")
    def test_why_says_since_when_the_server_has_been_gone(self, store: Store) -> None:
        with store.read() as connection:
            _, _, zones = person(connection, "p000")
            on = NOW.date() - timedelta(days=1)
            assert why(connection, DAILY, "p000", zones, on, NOW).outcome == "due"
        breaker = breaker_of(process_settings())
        assert breaker is not None
        open_it(store, breaker)
        with store.read() as connection:
            found = why(connection, DAILY, "p000", zones, on, NOW)
        assert (found.outcome, found.reason) == ("deferred", "provider_down")
        assert found.detail.startswith("The model's server 127.0.0.1:9 has been gone since 20")

    def test_a_night_parks_what_it_cannot_do_and_says_so(self, selo: Selo, store: Store) -> None:
        code, told = selo.json("night", "--now", NOW.isoformat())
        assert code == 1
        assert told["kinds"]["daily"]["deferred"] == 3
        assert books(store)[:3] == (FAILURES_TO_OPEN - 1, FAILURES_TO_OPEN - 1, 0)
        code, told = selo.json("reflect", "daily", "--user", "p006", "--now", NOW.isoformat())
        assert code == 1
        assert "127.0.0.1:9 has been gone since" in told["failures"][0]
        assert books(store)[0] == FAILURES_TO_OPEN - 1

    def test_the_status_names_the_endpoint_and_after_minutes_the_problem(self, selo: Selo, store: Store) -> None:
        breaker = breaker_of(process_settings())
        assert breaker is not None
        _, told = selo.json("status")
        assert told["model"] == {"endpoint": "127.0.0.1:9", "state": "closed", "since": None, "opened": 0}
        open_it(store, breaker)
        _, told = selo.json("status")
        assert (told["model"]["state"], told["model"]["opened"]) == ("open", 1)
        assert "provider_down" not in {one["code"] for one in told["problems"]}
        with store.write() as connection:
            connection.execute(update(model_endpoints).values(opened_at=database_now(-400)))
        _, told = selo.json("status")
        (problem,) = [one for one in told["problems"] if one["code"] == "provider_down"]
        assert problem["message"].startswith("the model's server 127.0.0.1:9 has been gone since 20")


class TestTicks:
    @pytest.fixture
    def instance(self, store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
        """Two people have a daily due, and one of them asked for something."""
        monkeypatch.setenv("DATABASE_URL", store_url)
        monkeypatch.setenv("SELO_LLM_URL", URL)
        monkeypatch.setenv("SELO_LLM_MODEL", "scripted")
        process_settings.cache_clear()
        people(store, 2)
        with store.write() as connection:
            _, _, zones = person(connection, "p000")
            cause = {"rule": "manual", "memories": [], "context": {}}
            ask(connection, TRIGGERED, Wanted("p000", zones, "wish-1", NOW, cause, NOW), NOW)
        with instance_of(store, on_disk=True) as made:
            yield made

    def sensed(self, instance: dg.DagsterInstance) -> list[str | None]:
        sensor = due_requests_sensor(KINDS, jobs, lambda: FixedClock(NOW))
        data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
        return [request.job_name for request in data.run_requests or []]

    def scheduled(self, instance: dg.DagsterInstance) -> tuple[int, str]:
        schedule = schedule_of(DAILY, jobs["daily"], lambda: FixedClock(NOW))
        at = datetime.fromisoformat(NOW.isoformat())
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        data = schedule.evaluate_tick(context)
        return len(data.run_requests or []), data.skip_message or ""

    def test_ticks_ask_for_no_run_but_one_that_probes(
        self, instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SELO_COHORT_SIZE", "1")
        process_settings.cache_clear()
        assert Counter(self.sensed(instance)) == {DAILY.job: 2, TRIGGERED.job: 1}
        assert self.scheduled(instance)[0] == 2
        open_it(store)
        assert self.sensed(instance) == []
        asked, why_none = self.scheduled(instance)
        assert asked == 0
        assert "2 ready, parked: the model's server model.example:8080 has been gone since" in why_none
        its_time_has_come(store)
        assert self.sensed(instance) == [TRIGGERED.job]
        assert self.scheduled(instance)[0] == 1
        with store.write() as connection:
            connection.execute(update(model_endpoints).values(state=HALF_OPEN, room=1))
        assert self.sensed(instance) == [TRIGGERED.job]
        with store.write() as connection:
            connection.execute(update(model_endpoints).values(state=CLOSED))
            assert ready_count(connection, DAILY, NOW) == 2
        assert len(self.sensed(instance)) == 3


def test_the_place_of_a_probe_that_failed_is_remembered(store: Store) -> None:
    people(store, 3)
    open_it(store)
    its_time_has_come(store)
    run(store, Server("connection"), "probe")
    with store.read() as connection:
        first = connection.execute(select(ledger.c.since, ledger.c.id).order_by(ledger.c.since, ledger.c.id)).first()
    assert first is not None
    assert standing(store).tried == Place(first.since, first.id)
