"""What is tried again at once, after which pause, and when it is not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from random import Random

import pytest

from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.retry_after import retry_after_s
from tests.llm.openai import SkippingTime, ask, model_for, question
from tests.support.fault_server import FaultServer, Step, cut_mid_body, garbage, ok, status


@pytest.mark.parametrize("first", [status(429), status(503), status(500), garbage(), cut_mid_body()])
def test_one_transient_fault_costs_one_quick_try(first: object) -> None:
    with FaultServer([first]) as server:  # type: ignore[list-item]
        assert ask(model_for(server)).calls == 2


def test_two_transient_faults_of_different_kinds_cost_two_quick_tries() -> None:
    with FaultServer([status(503), garbage()]) as server:
        assert ask(model_for(server)).calls == 3


@pytest.mark.parametrize("free", [status(429), status(503)])
def test_where_only_one_request_is_paid_for_a_try_follows_what_was_not_billed(free: Step) -> None:
    with FaultServer([free, free]) as server:
        assert ask(model_for(server), question(once=True)).calls == 3


@pytest.mark.parametrize("dear", [status(500), garbage(), cut_mid_body()])
def test_where_only_one_request_is_paid_for_none_follows_what_may_have_been_billed(dear: Step) -> None:
    with FaultServer([status(503), dear]) as server, pytest.raises(ModelError) as caught:
        ask(model_for(server), question(once=True))
    assert (caught.value.calls, caught.value.billed) == (2, 1)


def test_pauses_are_drawn_from_a_span_that_doubles() -> None:
    drawn = []
    for seed in range(6):
        skipping = SkippingTime()
        with FaultServer([status(500), status(500)]) as server:
            ask(model_for(server, random=Random(seed), sleep=skipping.sleep, monotonic=skipping.monotonic))
        drawn.append(skipping.pauses)
    firsts, seconds = zip(*drawn, strict=True)
    assert max(firsts) <= 0.25
    assert max(seconds) <= 0.5
    assert max(seconds) > 0.25
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize("header", ["2", "date"])
def test_retry_after_is_waited_for_when_it_fits(header: str) -> None:
    now = datetime.now(timezone.utc)
    asked = format_datetime(now + timedelta(seconds=4), usegmt=True) if header == "date" else header
    skipping = SkippingTime()
    with FaultServer([status(429, retry_after=asked)]) as server:
        done = ask(model_for(server, sleep=skipping.sleep, monotonic=skipping.monotonic))
    assert done.calls == 2
    assert 2 <= skipping.pauses[0] <= 4.5


def test_retry_after_beyond_the_deadline_is_handed_to_the_caller_at_once() -> None:
    skipping = SkippingTime()
    with FaultServer([status(429, retry_after=30)]) as server, pytest.raises(ModelError) as caught:
        ask(model_for(server, sleep=skipping.sleep, monotonic=skipping.monotonic), question(deadline_s=10))
    assert (caught.value.fault, caught.value.retry_after_s, caught.value.calls) == ("rate_limited", 30, 1)
    assert skipping.pauses == []


def test_no_time_is_left_for_a_pause_that_would_not_end_before_the_deadline() -> None:
    skipping = SkippingTime()
    with FaultServer([status(503, retry_after=3), status(503, retry_after=3)]) as server:
        model = model_for(server, sleep=skipping.sleep, monotonic=skipping.monotonic)
        with pytest.raises(ModelError) as caught:
            ask(model, question(deadline_s=5.0))
    assert caught.value.calls == 2
    assert sum(skipping.pauses) < 5


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with FaultServer() as server, pytest.raises(ModelError) as caught:
        ask(model_for(server), question(deadline_s=0.0))
    assert (caught.value.fault, caught.value.calls, server.requests) == ("timeout", 0, [])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:07 GMT", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 7),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 0),
        ({"retry-after": "Mon, 99 Nov 2026 12:00:07 GMT"}, None),
        ({"retry-after": "Mon, 23 Nov 2020 12:00:07 GMT", "date": "gibberish"}, 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_the_client_adds_no_tries_of_its_own() -> None:
    with FaultServer(lambda _: status(500, headers={"x-should-retry": "true"})) as server:
        with pytest.raises(ModelError):
            ask(model_for(server))
        assert len(server.requests) == 3


def test_the_pause_follows_the_fault_and_not_the_success() -> None:
    skipping = SkippingTime()
    with FaultServer([ok()]) as server:
        ask(model_for(server, sleep=skipping.sleep, monotonic=skipping.monotonic))
    assert skipping.pauses == []
