"""Traces are switched on by OpenTelemetry's own variables; without them nothing of it is even loaded."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from selo_dagster.store.engine import Store
from selo_dagster.tracing.places import of_saga
from selo_dagster.tracing.sdk import exporters_by_name
from selo_dagster.tracing.spans import SILENT, opening, span, told_when_over
from selo_dagster.tracing.switch import asked_for, flush, on
from tests.support.fakes import add_person, say
from tests.tracing.collector import Collector
from tests.tracing.conftest import Switch

ONE_RUN = """
import sys
from selo_dagster.cli import main
try:
    main(["reflect", "daily", "--now", "2026-11-23T12:00:00Z", "--json"])
except SystemExit as ended:
    assert not ended.code, ended.code
import selo_dagster.definitions
print(sorted(name for name in sys.modules if name.split(".")[0] == "opentelemetry"))
"""

FORKED = """
import os
from selo_dagster.tracing.places import of_saga
from selo_dagster.tracing.spans import opening
from selo_dagster.tracing.switch import flush
opening("selo.saga.ask", of_saga("a" * 32)).end()
child = os.fork()
if not child:
    opening("selo.saga.ask", of_saga("b" * 32)).end()
    os._exit(not flush())
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
    ],
)
def test_the_environment_says_whether_there_are_traces(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert asked_for() is expected


def test_the_code_location_and_a_run_without_them_load_nothing_of_opentelemetry(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = Store(sqlite_url)
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z", "I am Ana")
    store.close()
    environment = {"DATABASE_URL": sqlite_url, "SELO_HOME": str(tmp_path / "home"), "SELO_RESOURCE_GUARD": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", ONE_RUN], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *answer, loaded = ended.stdout.splitlines()
    assert json.loads("\n".join(answer))["counts"]["done"] == 1
    assert loaded == "[]"


def test_without_them_a_span_is_nothing() -> None:
    assert not on()
    assert opening("selo.saga.ask", of_saga("s")) is SILENT
    assert span("selo.saga.step", of_saga("s")) is SILENT
    assert told_when_over() is SILENT
    assert flush()


def test_what_is_not_installed_is_said_and_breaks_nothing(
    switch_on: Switch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "selo_dagster.tracing.sdk")
    for name in [one for one in sys.modules if one.split(".")[0] == "opentelemetry"]:
        monkeypatch.setitem(sys.modules, name, None)
    switch_on("http://127.0.0.1:1")
    with caplog.at_level(logging.WARNING):
        assert not on()
        assert not on()
    assert [one.message for one in caplog.records] == [
        "traces are asked for, but OpenTelemetry is not installed: pip install 'selo-dagster[otel]'"
    ]


def test_an_exporter_that_nobody_knows_is_said_by_class_and_breaks_nothing(
    switch_on: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    switch_on(OTEL_TRACES_EXPORTER="zipkin")
    with caplog.at_level(logging.WARNING):
        assert not on()
    assert [one.message for one in caplog.records] == [
        "there will be no traces: they could not be set up (LookupError)"
    ]


def test_what_is_wrong_with_this_project_is_not_taken_for_an_extra_that_is_absent(
    switch_on: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "selo_dagster.tracing.sdk")
    monkeypatch.setitem(sys.modules, "selo_dagster.tracing.sdk", None)
    switch_on("http://127.0.0.1:1")
    with pytest.raises(ImportError):
        on()


def test_the_console_leaves_standard_output_to_the_answers_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    (exporter,) = exporters_by_name()
    assert isinstance(exporter, ConsoleSpanExporter)
    assert exporter.out is sys.stderr


def test_resource_and_sampler_are_the_sdk_s_own_settings(switch_on: Switch) -> None:
    with Collector() as collector:
        switch_on(
            collector.endpoint,
            OTEL_SERVICE_NAME="the night",
            OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.5",
        )
        for number in range(40):
            place = of_saga(f"saga-{number}")
            opening("selo.saga.ask", place).end()
            span("selo.saga.step", place).end()
        assert flush()
        asked, steps = collector.named("selo.saga.ask"), collector.named("selo.saga.step")
        # Half of them, and of each either all or nothing.
        assert {one.trace for one in asked} == {one.trace for one in steps}
        assert 0 < len(asked) < 40
        assert {one.resource["service.name"] for one in asked} == {"the night"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_sends_what_it_tells_itself(collector: Collector) -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert sorted(one.trace[0] for one in collector.spans) == ["a", "b"]
