"""Budgets: what has no room waits without an attempt, is done on the next day, and nothing passes a cap."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import event, func, select, update

from selo_dagster.clock import FixedClock
from selo_dagster.llm.breaker import FAILURES_TO_OPEN, Breaker
from selo_dagster.llm.budgets.bound import bound_of
from selo_dagster.llm.budgets.caps import Budget, Cap, Policy
from selo_dagster.llm.budgets.money import Price
from selo_dagster.llm.budgets.standing import REFUSED_TO_CLOSE
from selo_dagster.llm.budgets.tables import spending_calls, spending_days
from selo_dagster.llm.endpoint import endpoint_at
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.extractive import ExtractiveModel
from selo_dagster.llm.protocol import Completion, CompletionRequest
from selo_dagster.llm.tables import CLOSED, model_endpoints
from selo_dagster.reflections import cohort, settling
from selo_dagster.reflections.claim import begin_attempts, claim, ledger, take_back_expired
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.gather import gather
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.prompt import prompt_for
from selo_dagster.reflections.schedules import schedule_of
from selo_dagster.reflections.sensors import due_requests_sensor
from selo_dagster.reflections.settle import Settlement, settle_done
from selo_dagster.reflections.spending import Purse
from selo_dagster.reflections.tables import reflection_attempts, reflections
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.llm.budgets import book
from tests.support.command import Selo
from tests.support.dagster import instance_of
from tests.support.fakes import NOW, FakeModel, add_person, good_answer, limits, people_with_a_day, say, tools

TOMORROW = datetime.fromisoformat("2026-11-24T00:00:00+00:00")
MAX_TOKENS = 600
BREAKER = Breaker(endpoint_at("http://model.example/v1"), 4)


@dataclass
class Metered(FakeModel):
    """A model whose answers use so much of what they may. under_way: calls at the moment of each, itself included."""

    used: float | Random = 0.2
    under_way: list[int] = field(default_factory=list)
    _now: int = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer as told."""
        self._now += 1
        self.under_way.append(self._now)
        try:
            answered = await super().complete(request)
        finally:
            self._now -= 1
        share = self.used.random() if isinstance(self.used, Random) else self.used
        bound = bound_of(request, MAX_TOKENS)
        read, written = max(1, int(share * bound.input)), max(1, int(share * bound.output))
        return replace(answered, input_tokens=read, output_tokens=written)


def one_call(store: Store) -> int:
    """Return the tokens that the first one's call may use: everybody's are alike."""
    with store.write() as connection:
        undone = connection.begin_nested()
        (first,) = claim(connection, DAILY, run_id="looks", now=NOW, lease_s=1.0, limit=1)
        context = gather(connection, DAILY, [first], 10_000)[first.id]
        undone.rollback()
    assert isinstance(context, Context)
    bound = bound_of(prompt_for(context, DAILY, 5.0).request, MAX_TOKENS)
    return bound.input + bound.output


def budget(**caps: int | None) -> Budget:
    fleet, kind, user = (Cap(caps.get(scope)) for scope in ("fleet", "kind", "user"))
    return Budget(fleet, kind, user, max_tokens=MAX_TOKENS)


def run(
    store: Store,
    model: FakeModel,
    allowed: Budget | None,
    run_id: str = "run-1",
    *,
    now: datetime = NOW,
    **changes: Any,
) -> list[Settlement]:
    """Run one cohort of the daily."""
    given = {name: changes.pop(name) for name in ("cheaper", "breaker") if name in changes}
    made = replace(tools(store, model, FixedClock(now)), budget=allowed, **given)
    cohort = Cohort(DAILY, run_id, limits(**changes), made, lambda _: None)
    return [one for batch in settlements(cohort) for one in batch]


def rows(store: Store) -> Counter[tuple[str, str | None]]:
    with store.read() as connection:
        return Counter((row.state, row.reason) for row in connection.execute(select(ledger.c.state, ledger.c.reason)))


def attempts(store: Store) -> tuple[int, int]:
    """Return the attempts that count, and those that are written down."""
    with store.read() as connection:
        counted = connection.execute(select(func.sum(ledger.c.attempts))).scalar_one()
        return int(counted), connection.execute(select(func.count()).select_from(reflection_attempts)).scalar_one()


def reserved(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(spending_calls)).scalar_one()


def test_r11_a_cohort_of_sixteen_at_once_never_spends_more_than_its_cap(store: Store) -> None:
    people_with_a_day(store, 60)
    most = one_call(store)
    allowed = budget(fleet=9 * most, user=most)
    full = asyncio.Event()

    async def together(request: CompletionRequest) -> str:
        if len(model.asked) == 9:
            full.set()
        await full.wait()
        return good_answer(request)

    model = Metered(together, used=Random(11))
    settled = run(store, model, allowed, concurrency=16, chunk=50)
    fleet = book(store, allowed)[""]
    assert fleet.spent.tokens <= 9 * most
    assert fleet.spent.tokens + most > 9 * most, "or a call that would have fitted was not made"
    assert max(model.under_way) == 9
    done = Counter(one.outcome for one in settled)["done"]
    assert fleet.calls == done == len(model.asked) >= 9
    assert reserved(store) == 0
    with store.read() as connection:
        used = connection.execute(select(func.sum(ledger.c.input_tokens + ledger.c.output_tokens))).scalar_one()
    assert used == fleet.spent.tokens


def test_what_has_no_room_uses_no_attempt_and_is_done_on_the_next_day(store: Store) -> None:
    people_with_a_day(store, 5)
    most = one_call(store)
    allowed = budget(kind=2 * most + most // 2)
    model = Metered(used=1.0)
    settled = run(store, model, allowed)
    put_off = [one for one in settled if one.outcome == "deferred"]
    assert Counter(one.outcome for one in settled) == {"done": 2, "deferred": 3}
    assert {(one.reason, one.retry_at, one.attempts) for one in put_off} == {("budget", TOMORROW, 0)}
    assert rows(store) == {("done", None): 2, ("deferred", "budget"): 3}
    assert attempts(store) == (2, 2)
    assert run(store, model, allowed, "later", now=TOMORROW - timedelta(seconds=1)) == []
    assert len(model.asked) == 2
    again = run(store, model, allowed, "tomorrow", now=TOMORROW)
    assert Counter(one.outcome for one in again) == {"done": 2, "deferred": 1}
    assert attempts(store) == (4, 4)
    assert book(store, allowed)["daily"].spent.tokens == 2 * most
    assert book(store, allowed, TOMORROW)["daily"].spent.tokens == 2 * most


def test_without_a_budget_not_one_statement_speaks_of_it(store: Store) -> None:
    people_with_a_day(store, 8)
    sent: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    assert len(run(store, Metered(), None)) == 8
    assert [one for one in sent if "spending" in one] == []


def test_one_whose_own_budget_is_spent_waits_while_the_others_go_on(store: Store) -> None:
    people_with_a_day(store, 4)
    for day in (20, 21):
        say(store, "p000", f"2026-11-{day}T10:00:00Z", "I am p000")
    enrol(store, DAILY, NOW, 3)
    allowed = budget(user=one_call(store))
    settled = run(store, Metered(used=1.0), allowed)
    found = Counter((one.user_id, one.outcome) for one in settled)
    assert found == {(f"p{number:03}", "done"): 1 for number in range(4)} | {("p000", "deferred"): 2}
    assert max(one.on for one in settled if one.outcome == "deferred") == date(2026, 11, 21)


def test_when_a_kind_has_no_room_its_rows_are_not_turned_over_one_by_one(store: Store) -> None:
    people_with_a_day(store, 120)
    most = one_call(store)
    allowed = budget(fleet=3 * most + most // 2)
    settled = run(store, Metered(used=1.0), allowed, concurrency=4, chunk=10)
    found = Counter(one.outcome for one in settled)
    assert found["done"] == 3
    assert REFUSED_TO_CLOSE <= found["deferred"] <= REFUSED_TO_CLOSE + 8
    assert rows(store)["due", None] == 120 - 3 - found["deferred"]
    model = Metered()
    assert run(store, model, allowed, "next") == []
    assert (model.asked, attempts(store)) == ([], (3, 3))
    raised = budget(fleet=200 * most)
    assert len(run(store, model, raised, "raised")) == 120 - len(settled)


def test_near_the_end_of_a_budget_fewer_calls_are_under_way_and_nobody_is_put_off_in_vain(store: Store) -> None:
    people_with_a_day(store, 12)
    model = Metered(used=0.01)
    allowed = budget(fleet=one_call(store) * 5 // 4)
    settled = run(store, model, allowed, concurrency=4)
    assert Counter(one.outcome for one in settled) == {"done": 12}
    assert max(model.under_way) == 1
    assert attempts(store) == (12, 12)


def test_an_answer_is_corrected_only_if_there_is_room_for_one_more_call(store: Store) -> None:
    async def corrected(request: CompletionRequest) -> str:
        return good_answer(request) if request.correction else good_answer(request, content="too short")

    people_with_a_day(store, 1)
    most = one_call(store)
    model = Metered(corrected, used=1.0, corrigible=True)
    (settled,) = run(store, model, budget(fleet=2 * most))
    assert (settled.outcome, len(model.asked)) == ("rejected", 1)
    roomy = budget(fleet=4 * most)
    (again,) = run(store, model, roomy, "run-2", now=NOW + timedelta(hours=2))
    assert (again.outcome, len(model.asked)) == ("done", 3)
    assert book(store, roomy)[""].calls == 3
    assert all(request.once for request in model.asked)
    assert reserved(store) == 0


def test_a_call_that_fails_counts_what_may_have_been_billed(store: Store) -> None:
    people_with_a_day(store, 3)
    faults = {"p000": ModelError("connection"), "p001": ModelError("server_error")}

    async def failing(request: CompletionRequest) -> str:
        if request.subject in faults:
            raise faults[request.subject]
        await asyncio.sleep(60)
        return ""

    most = one_call(store)
    allowed = budget(fleet=10 * most)
    model = Metered(failing)
    given = limits().person
    settled = run(store, model, allowed, person=replace(given, call_s=0.1, person_s=0.2))
    assert Counter(one.outcome for one in settled) == {"failed": 3}
    assert book(store, allowed)[""].spent.tokens == 2 * most
    assert reserved(store) == 0


def test_a_call_that_found_no_server_is_parked_and_counts_nothing(store: Store) -> None:
    people_with_a_day(store, 3)

    async def gone(_: CompletionRequest) -> str:
        raise ModelError("connection")

    with store.write() as connection:
        for _ in range(FAILURES_TO_OPEN - 1):
            BREAKER.failed(connection, "somebody")
    allowed = budget(fleet=100 * one_call(store))
    assert run(store, Metered(gone), allowed, breaker=BREAKER) == []
    assert (attempts(store), reserved(store)) == ((0, 0), 0)
    assert book(store, allowed)[""].spent.tokens == 0


def test_a_row_that_the_database_refuses_is_counted_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("it cannot be stored")

    people_with_a_day(store, 1)
    monkeypatch.setattr(settling, "settle_done", refuse)
    most = one_call(store)
    allowed = budget(fleet=10 * most)
    (settled,) = run(store, Metered(used=1.0), allowed)
    assert settled.outcome == "failed"
    assert (book(store, allowed)[""].calls, book(store, allowed)[""].spent.tokens) == (1, most)


def test_what_a_lost_run_had_reserved_comes_back_with_its_claims(store: Store) -> None:
    people_with_a_day(store, 2)
    most = one_call(store)
    allowed = budget(fleet=2 * most, user=most)
    purse = Purse(allowed, DAILY, 60.0)
    with store.write() as connection:
        held = claim(connection, DAILY, run_id="dead", now=NOW, lease_s=30.0, limit=2)
        contexts = gather(connection, DAILY, held, 10_000)
        begin_attempts(connection, held, "dead")
        asked = [(one, prompt_for(found, DAILY, 5.0)) for one in held if isinstance(found := contexts[one.id], Context)]
        assert len(purse.admit(connection, asked, NOW).tabs) == 2
    assert reserved(store) == 2
    with store.write() as connection:
        connection.execute(update(ledger).values(lease_until=database_now(-1)))
        assert take_back_expired(connection, DAILY, NOW) == 2
    assert reserved(store) == 0
    assert book(store, allowed)[""].unheard.tokens == 2 * most
    assert Counter(one.outcome for one in run(store, Metered(used=1.0), allowed)) == {"done": 2}


def test_a_run_that_is_stopped_gives_back_what_it_had_reserved(store: Store) -> None:
    people_with_a_day(store, 6)
    allowed = budget(fleet=100 * one_call(store))
    made: list[Cohort] = []

    async def stopping(request: CompletionRequest) -> str:
        made[0].stop()
        await asyncio.sleep(60)
        return good_answer(request)

    given = replace(tools(store, Metered(stopping)), budget=allowed)
    made.append(Cohort(DAILY, "stopped", limits(), given, lambda _: None))
    assert [one for batch in settlements(made[0]) for one in batch] == []
    assert reserved(store) == 0
    fleet = book(store, allowed)[""]
    assert fleet.spent.tokens == 0
    assert fleet.unheard.tokens > 0
    assert rows(store) == {("due", None): 6}


@pytest.mark.postgres
def test_a_run_keeps_its_claims_while_somebody_sits_on_the_fleets_row(postgres_url: str) -> None:
    store = Store(postgres_url)
    people_with_a_day(store, 8)
    allowed = budget(fleet=100 * one_call(store))
    asked, held, over = threading.Event(), threading.Event(), threading.Event()

    async def answering(request: CompletionRequest) -> str:
        # The first is settled behind that row, the next one begins behind it, the others are being asked.
        asked.set()
        waits_for = held if request.subject == "p000" else over
        await asyncio.get_running_loop().run_in_executor(None, waits_for.wait)
        return good_answer(request)

    given = replace(tools(store, Metered(answering)), budget=allowed)
    run = Cohort(DAILY, "alive", limits(lease_s=2.0, concurrency=4), given, lambda _: None)
    found: list[Settlement] = []
    thread = threading.Thread(target=lambda: found.extend(one for batch in settlements(run) for one in batch))
    thread.start()
    taken_over = 0
    try:
        assert asked.wait(20)
        with store.engine.connect() as stopped, stopped.begin():
            stopped.execute(select(spending_days).where(spending_days.c.scope == "fleet").with_for_update())
            held.set()
            latest = stopped.execute(select(func.max(ledger.c.lease_until))).scalar_one() + timedelta(seconds=0.5)
            while stopped.execute(select(database_now())).scalar_one() < latest:
                with store.write() as connection:
                    taken_over += take_back_expired(connection, DAILY, NOW)
    finally:
        held.set()
        over.set()
        thread.join()
    assert (taken_over, Counter(one.outcome for one in found)) == (0, {"done": 8})
    with store.read() as connection:
        assert connection.execute(select(func.sum(ledger.c.attempts), func.sum(ledger.c.lost))).one() == (8, 0)
    assert book(store, allowed)[""].calls == 8
    store.close()


@pytest.mark.parametrize("broken", [None, ValueError("it cannot be stored")], ids=["stored", "refused"])
def test_an_answer_that_is_being_stored_when_its_run_is_stopped_is_stored_and_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: Exception | None
) -> None:
    people_with_a_day(store, 1)
    most = one_call(store)
    allowed = budget(fleet=10 * most)
    made: list[Cohort] = []
    claimed_all, broken_off = threading.Event(), threading.Event()

    def held_back() -> bool:
        # From then on the run claims no more: it has only to hear that it is stopped.
        if made[0]._held:
            claimed_all.set()
        return claimed_all.is_set()

    async def late(request: CompletionRequest) -> str:
        await asyncio.get_running_loop().run_in_executor(None, claimed_all.wait)
        return good_answer(request)

    async def one(self: Cohort, *given: Any) -> None:
        try:
            await before(self, *given)
        except asyncio.CancelledError:
            broken_off.set()
            raise

    def stored(*given: Any, **more: Any) -> Settlement | None:
        made[0].stop()
        assert broken_off.wait(20)
        if broken is not None:
            raise broken
        return settle_done(*given, **more)

    before = Cohort._one
    monkeypatch.setattr(Cohort, "_one", one)
    monkeypatch.setattr(settling, "settle_done", stored)
    monkeypatch.setattr(cohort, "STOP_POLL_S", 0.02)
    given = replace(tools(store, Metered(late, used=1.0)), budget=allowed)
    made.append(Cohort(DAILY, "stopped", limits(), given, lambda _: None, held_back=held_back))
    assert [one for batch in settlements(made[0]) for one in batch] == []
    fleet = book(store, allowed)[""]
    if broken is None:
        assert rows(store) == {("done", None): 1}
        assert (fleet.calls, fleet.spent.tokens, fleet.unheard.tokens) == (1, most, 0)
    else:
        assert rows(store) == {("due", None): 1}
        assert (fleet.calls, fleet.spent.tokens, fleet.unheard.tokens) == (0, 0, most)
        assert "what was broken off was not stored: ValueError" in caplog.text
    assert reserved(store) == 0


class TestCheaperModels:
    def test_the_extractive_model_takes_over_under_its_own_name(self, store: Store) -> None:
        people_with_a_day(store, 6)
        most = one_call(store)
        allowed = replace(budget(fleet=2 * most), policy="extractive")
        model = Metered(used=1.0)
        settled = run(store, model, allowed, cheaper=ExtractiveModel())
        assert Counter(one.outcome for one in settled) == {"done": 6}
        with store.read() as connection:
            written = Counter(connection.execute(select(reflections.c.model)).scalars())
        assert written == {"fake": 2, "extractive": 4}
        assert book(store, allowed)[""].spent.tokens == 2 * most

    def test_a_light_model_takes_over_where_money_is_short(self, store: Store) -> None:
        people_with_a_day(store, 6)
        most = one_call(store)
        dear, cheap = Price(1_000_000, 1_000_000), Price(100_000, 100_000)
        allowed = Budget(Cap(cost=most * 2_250), max_tokens=MAX_TOKENS, deep=dear, light=cheap, policy="light")
        usual, light = Metered(used=1.0), Metered(used=1.0, name="light")
        settled = run(store, usual, allowed, cheaper=light, concurrency=1)
        assert Counter(one.outcome for one in settled) == {"done": 4, "deferred": 2}
        assert (len(usual.asked), len(light.asked)) == (2, 2)
        assert book(store, allowed)[""].spent.cost == most * 2_200
        assert light.closed

    def answered_by(self, store: Store, cheaper: FakeModel, policy: Policy = "light") -> tuple[list[Settlement], str]:
        """Run a cohort that has money for a cheaper model only; returns how the breaker stands then."""
        dear, cheap = Price(output=10**11), Price(output=1_000)
        allowed = Budget(Cap(cost=10**10), max_tokens=MAX_TOKENS, deep=dear, light=cheap, policy=policy)
        model = FakeModel()
        settled = run(store, model, allowed, cheaper=cheaper, breaker=BREAKER)
        assert model.asked == []
        with store.read() as connection:
            return settled, BREAKER.standing(connection).state

    def test_a_light_models_answers_close_the_breaker_of_their_server(self, store: Store) -> None:
        people_with_a_day(store, 12)
        with store.write() as connection:
            for _ in range(FAILURES_TO_OPEN):
                BREAKER.failed(connection, "somebody")
            connection.execute(update(model_endpoints).values(next_probe_at=database_now(-1)))
        settled, state = self.answered_by(store, Metered(used=0.1))
        assert (Counter(one.outcome for one in settled), state) == ({"done": 12}, CLOSED)

    def test_failures_of_a_light_model_between_its_answers_open_nothing(self, store: Store) -> None:
        people_with_a_day(store, 40)
        model = Metered(used=0.1)

        async def now_and_then(request: CompletionRequest) -> str:
            if len(model.asked) % 8 == 0:
                raise ModelError("server_error")
            return good_answer(request)

        model.answering = now_and_then
        settled, state = self.answered_by(store, model)
        assert (Counter(one.outcome for one in settled), state) == ({"done": 35, "failed": 5}, CLOSED)

    def test_the_model_in_this_process_says_nothing_of_a_server(self, store: Store) -> None:
        people_with_a_day(store, 6)

        async def too_slow(_: CompletionRequest) -> str:
            raise TimeoutError

        settled, state = self.answered_by(store, Metered(too_slow, in_process=True), "extractive")
        assert (Counter(one.outcome for one in settled), state) == ({"failed": 6}, CLOSED)


class TestTold:
    CAP = 20_000

    @pytest.fixture
    def selo(
        self, store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Selo:
        """The command, where everybody together may use so many tokens; three people are due."""
        monkeypatch.setenv("DATABASE_URL", store_url)
        monkeypatch.setenv("SELO_LLM_URL", "http://127.0.0.1:9/v1")
        monkeypatch.setenv("SELO_LLM_MODEL", "scripted")
        monkeypatch.setenv("SELO_LLM_MAX_TOKENS", str(MAX_TOKENS))
        monkeypatch.setenv("SELO_BUDGET_FLEET_TOKENS", str(self.CAP))
        monkeypatch.setenv("COLUMNS", "200")
        process_settings.cache_clear()
        people_with_a_day(store, 3)
        return Selo(capsys)

    def spend(self, store: Store, tokens: int) -> None:
        with store.write() as connection:
            for scope, subject in (("kind", "daily"), ("fleet", "")):
                connection.execute(
                    spending_days.insert().values(day=NOW.date(), scope=scope, subject=subject, tokens=tokens)
                )

    def test_why_names_the_cap_that_has_no_room(self, selo: Selo, store: Store) -> None:
        _, told = selo.json("why", "p000", "--now", NOW.isoformat())
        assert told["kinds"]["daily"]["outcome"] == "due"
        self.spend(store, 19_900)
        _, told = selo.json("why", "p000", "--now", NOW.isoformat())
        daily = told["kinds"]["daily"]
        assert (daily["outcome"], daily["reason"]) == ("deferred", "budget")
        assert daily["detail"] == (
            "The fleet's budget of 20000 tokens a day has no room: 19900 tokens are spent, and a call may take 600 "
            "tokens; what is due waits until 2026-11-24 00:00Z and loses no attempt; `selo budget release` tries "
            "again at once."
        )

    def test_whoever_asks_for_it_is_told_why_nothing_is_done(self, selo: Selo, store: Store) -> None:
        self.spend(store, 19_900)
        code, told = selo.json("reflect", "daily", "--now", NOW.isoformat())
        assert (code, told["model_calls"], told["outcomes"]) == (1, 0, [])
        assert "has no room" in told["failures"][0]
        code, told = selo.json("reflect", "daily", "--user", "p001", "--now", NOW.isoformat())
        assert code == 1
        assert told["failures"][0].startswith("the fleet's budget of 20000 tokens a day has no room")
        assert attempts(store)[0] == 0

    def test_the_budget_is_shown_with_what_waits_for_it_and_what_was_put_off_is_let_go(
        self, selo: Selo, store: Store
    ) -> None:
        self.spend(store, 19_900)
        with store.write() as connection:
            put_off = {"state": "deferred", "reason": "budget", "ready_at": TOMORROW}
            connection.execute(update(ledger).where(ledger.c.user_id == "p002").values(**put_off))
        code, told = selo.json("budget", "--now", NOW.isoformat())
        assert code == 0
        found = told["budgets"]
        assert (found["day"], found["until"], found["policy"]) == ("2026-11-23", "2026-11-24T00:00:00Z", "defer")
        assert [(one["scope"], one["subject"]) for one in found["lines"]] == [("fleet", ""), ("kind", "daily")]
        fleet = found["lines"][0]
        assert (fleet["cap"]["tokens"], fleet["spent"]["tokens"], fleet["left"]["tokens"]) == (20_000, 19_900, 100)
        assert fleet["spent"]["cost"] == "0.00"
        (waiting,) = found["held_back"]
        assert (waiting["kind"], waiting["number"], waiting["scope"]) == ("daily", 3, "fleet")
        assert found["people"] == []
        _, table = selo("budget", "--now", NOW.isoformat())
        assert "19900" in table
        assert "daily: 3 wait" in table
        assert selo.json("budget", "release", "--user", "p001", "--now", NOW.isoformat()) == (
            0,
            {"obligations": 0, "sagas": 0},
        )
        assert selo.json("budget", "release", "--now", NOW.isoformat()) == (0, {"obligations": 1, "sagas": 0})
        assert rows(store)["due", None] == 3

    def test_without_a_cap_it_says_how_to_set_one(self, selo: Selo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SELO_BUDGET_FLEET_TOKENS")
        process_settings.cache_clear()
        assert selo.json("budget") == (0, {"budgets": None})
        assert "set a SELO_BUDGET_" in selo("budget")[1]
        assert selo.json("status")[1]["budgets"] is None

    def test_people_are_shown_in_a_bounded_number_and_only_here(
        self, selo: Selo, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SELO_BUDGET_USER_TOKENS", "15000")
        process_settings.cache_clear()
        allowed = budget(fleet=10_000_000, user=1_000_000)
        for number in range(3, 25):
            add_person(store, f"p{number:03}")
            say(store, f"p{number:03}", "2026-11-22T10:00:00Z", "hello" * number)
        enrol(store, DAILY, NOW, 3)
        assert len(run(store, Metered(used=1.0), allowed)) == 25
        _, told = selo.json("budget", "--now", NOW.isoformat())
        shown = told["budgets"]["people"]
        assert len(shown) == 20
        assert shown[0]["subject"] == "p024"
        assert shown[0]["cap"]["tokens"] == 15_000
        _, found = selo.json("status")
        assert "p024" not in json.dumps(found["budgets"])


class TestTicks:
    @pytest.fixture
    def instance(self, store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
        """Two people have a daily due."""
        monkeypatch.setenv("DATABASE_URL", store_url)
        monkeypatch.setenv("SELO_LLM_URL", "http://model.example/v1")
        monkeypatch.setenv("SELO_LLM_MODEL", "scripted")
        monkeypatch.setenv("SELO_BUDGET_KIND_TOKENS", "20000")
        process_settings.cache_clear()
        people_with_a_day(store, 2)
        with instance_of(store, on_disk=True) as made:
            yield made

    def test_ticks_ask_for_no_run_of_a_kind_that_has_no_room(self, instance: dg.DagsterInstance, store: Store) -> None:
        def ticks() -> tuple[list[str | None], int, str]:
            sensor = due_requests_sensor(KINDS, jobs, lambda: FixedClock(NOW))
            sensed = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
            schedule = schedule_of(DAILY, jobs["daily"], lambda: FixedClock(NOW))
            context = dg.build_schedule_context(instance=instance, scheduled_execution_time=NOW)
            scheduled = schedule.evaluate_tick(context)
            asked = [request.job_name for request in sensed.run_requests or []]
            return asked, len(scheduled.run_requests or []), scheduled.skip_message or ""

        assert ticks()[:2] == ([DAILY.job], 1)
        with store.write() as connection:
            connection.execute(
                spending_days.insert().values(day=NOW.date(), scope="kind", subject="daily", tokens=19_000)
            )
        asked, number, said = ticks()
        assert (asked, number) == ([], 0)
        assert said.startswith("2 ready: daily's budget of 20000 tokens a day has no room: 19000 tokens are spent")

    def test_the_sensor_sweeps_up_what_lost_calls_had_reserved(
        self, instance: dg.DagsterInstance, store: Store
    ) -> None:
        allowed = budget(kind=20_000)
        with store.write() as connection:
            common = {"number": 1, "day": NOW.date(), "user_id": "p000", "kind": "daily", "tokens": 500, "cost": 0}
            connection.execute(spending_calls.insert().values(owner="saga/x", lost_at=database_now(-1), **common))
            connection.execute(spending_calls.insert().values(owner="saga/y", lost_at=database_now(60), **common))
            for scope, subject in (("kind", "daily"), ("fleet", "")):
                connection.execute(spending_days.insert().values(day=NOW.date(), scope=scope, subject=subject))
        due_requests_sensor(KINDS, jobs, lambda: FixedClock(NOW)).evaluate_tick(
            dg.build_sensor_context(instance=instance)
        )
        assert reserved(store) == 1
        assert book(store, allowed)["daily"].unheard.tokens == 500
