"""How many calls a server gets at once."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.capacity import MAX_PAUSE_S, AdaptiveCapacity
from selo_dagster.llm.errors import ModelError
from tests.llm.openai import SkippingTime, ask, ask_at_once, model_for, question
from tests.support.fault_server import Exchange, FaultServer, ok, slow, status

steps = st.lists(
    st.one_of(
        st.just(("begin", 0.0)),
        st.tuples(st.just("succeed"), st.just(0.0)),
        st.tuples(st.just("back off"), st.floats(-5, 1e9) | st.just(0.0)),
        st.tuples(st.just("time"), st.floats(0, 100)),
    ),
    max_size=60,
)


@given(st.integers(1, 64), steps)
def test_it_stays_within_bounds_halves_once_a_burst_and_is_never_nothing_for_ever(
    slots: int, happened: list[tuple[str, float]]
) -> None:
    now = 0.0
    capacity = AdaptiveCapacity(slots, lambda: now)
    assert capacity.now == slots
    under_way: list[tuple[int, int]] = []
    halvings = 0
    for what, value in happened:
        before = capacity.limit
        if what == "begin":
            under_way.append((capacity.begin(), halvings))
        elif what == "succeed":
            if under_way:
                under_way.pop()
            capacity.succeed()
            assert capacity.limit == min(slots, before + 1)
        elif what == "back off" and under_way:
            ticket, seen = under_way.pop(0)
            capacity.back_off(ticket, value)
            fresh = seen == halvings
            halvings += fresh
            assert capacity.limit == (max(1, before // 2) if fresh else before)
        elif what == "time":
            now += value
        assert 1 <= capacity.limit <= slots
        assert capacity.now in (0, capacity.limit)
        assert capacity.paused_until <= now + MAX_PAUSE_S
    now += MAX_PAUSE_S
    assert capacity.now >= 1


def test_no_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="slots"):
        AdaptiveCapacity(0)


def test_ten_refusals_at_once_count_once() -> None:
    capacity = AdaptiveCapacity(16)
    for ticket in [capacity.begin() for _ in range(10)]:
        capacity.back_off(ticket)
    assert capacity.now == 8


def test_a_burst_over_http_halves_once_and_successes_bring_it_back() -> None:
    together = threading.Barrier(4)

    def with_three_others(exchange: Exchange) -> None:
        together.wait(5)
        ok()(exchange)

    with FaultServer(lambda one: status(429, retry_after=30) if one.number < 10 else with_three_others) as server:
        skipping = SkippingTime()
        model = model_for(server, slots=12, sleep=skipping.sleep, monotonic=skipping.monotonic)
        found = ask_at_once(model, 10)
        assert {str(one) for one in found} == {"rate_limited"}
        assert model.capacity == 0
        skipping.pauses.append(31)
        assert model.capacity == 6
        assert not [one for one in ask_at_once(model, 4) if isinstance(one, BaseException)]
        assert model.capacity == 10
        ask_at_once(model, 8)
        assert model.capacity == 12
        assert server.peak >= 4


def test_a_timeout_halves_too() -> None:
    with FaultServer(lambda _: slow(60)) as server:
        model = model_for(server)
        with pytest.raises(ModelError, match="timeout"):
            ask(model, question(deadline_s=0.2))
        assert model.capacity == 4
