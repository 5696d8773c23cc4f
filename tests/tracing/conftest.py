"""Fixtures: tracing is off as in every other test, until one switches it on."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator

import pytest

from selo_dagster.tracing import switch
from tests.tracing.collector import Collector

Switch = Callable[..., None]


@pytest.fixture
def switch_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """Switch traces on by the environment, as an operator does; they are off again after the test."""

    def turn(endpoint: str = "", **environment: str) -> None:
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {}
        for name, value in {**given, **environment}.items():
            monkeypatch.setenv(name, value)
        switch.sending.cache_clear()

    yield turn
    sending = switch.sending() if switch.sending.cache_info().currsize else None
    switch.sending.cache_clear()
    if sending is not None:
        atexit.unregister(sending.flush)


@pytest.fixture
def collector(switch_on: Switch) -> Iterator[Collector]:
    """A collector that does well, with traces switched on."""
    with Collector() as listening:
        switch_on(listening.endpoint)
        yield listening
