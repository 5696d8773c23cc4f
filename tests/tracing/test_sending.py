"""A run sends its spans before it ends; a collector that is down costs it a bounded wait and nothing else."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import dagster as dg
import pytest

from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.tracing import switch
from selo_dagster.tracing.places import of_saga
from selo_dagster.tracing.spans import opening
from selo_dagster.tracing.switch import flush
from tests.crash.processes import until
from tests.sagas.in_dagster import begin, with_sagas, work
from tests.support.dagster import execute, instance_of
from tests.support.fakes import NOW, add_person, say
from tests.tracing.collector import Collector
from tests.tracing.conftest import Switch


@pytest.fixture
def store(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the settings name too, with two people who had a Sunday."""
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    process_settings.cache_clear()
    opened = Store(sqlite_url)
    for name in ("ana", "ben"):
        add_person(opened, name)
        say(opened, name, "2026-11-22T10:00:00Z", f"I am {name}")
    enrol(opened, DAILY, NOW, 3)
    yield opened
    opened.close()


def run(store: Store) -> None:
    """Execute the daily's job, which has to be green."""
    with instance_of(store) as instance:
        assert execute(jobs["daily"], instance).success


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged of traces."""
    return [one.message for one in caplog.records if one.name.startswith(("opentelemetry", "selo_dagster.tracing"))]


def test_a_run_of_dagster_sends_what_it_told_before_it_ends(store: Store, collector: Collector) -> None:
    run(store)
    assert sorted(one["partition"] for one in collector.named("selo.reflect")) == ["ana", "ben"]
    assert len(collector.named("selo.cohort")) == 1


def test_a_saga_s_run_sends_it_too(
    store: Store, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    with with_sagas(sqlite_url, monkeypatch), dg.DagsterInstance.ephemeral() as instance:
        saga_id = begin(store, "cy")
        assert work(instance).success
    assert {one.trace for one in collector.named("selo.saga.step")} == {saga_id}


def test_a_collector_that_is_not_there_or_refuses_is_said_once(
    store: Store, switch_on: Switch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(switch, "FLUSH_S", 0.5)
    with Collector("refusing") as refusing, caplog.at_level(logging.INFO):
        for endpoint in (nobody, refusing.endpoint):
            caplog.clear()
            switch_on(endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="0.1")
            run(store)
            opening("selo.saga.ask", of_saga(endpoint)).end()
            flush()
            assert said(caplog) == ["OTLPSpanExporter could not send spans (not accepted): the work goes on"]


def test_a_collector_that_hangs_keeps_a_run_waiting_for_so_long_and_once(
    store: Store, switch_on: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "FLUSH_S", 0.2)
    with Collector("hanging") as hanging:
        switch_on(hanging.endpoint)
        # It says nothing for as long as this block lasts: the run is over before.
        run(store)
        assert hanging.asked.is_set()
        # The next one would have waited for a day.
        monkeypatch.setattr(switch, "FLUSH_S", 86_400.0)
        opening("selo.saga.ask", of_saga("s")).end()
        assert not flush()


def test_whoever_was_kept_waiting_waits_again_once_the_collector_has_answered(switch_on: Switch) -> None:
    with Collector("hanging") as collector:
        switch_on(collector.endpoint)
        there = switch.sending()
        assert there is not None
        opening("selo.saga.ask", of_saga("a")).end()
        assert not there.flush(0.05)
        collector.recover()
        until(flush, "the collector has not answered")
        opening("selo.saga.ask", of_saga("b")).end()
        assert flush()
        assert [one.trace for one in collector.spans] == [of_saga("a").trace, of_saga("b").trace]
