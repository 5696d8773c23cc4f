"""Running `selo` in this process, as its user would type it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from selo_dagster.cli import main
from selo_dagster.sagas import launch
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings


class Selo:
    """Runs commands and keeps what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.error = ""

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return (exit status, standard output)."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed, self.error = self._capsys.readouterr()
        return int(ended.value.code or 0), printed

    def json(self, *arguments: str) -> tuple[int, Any]:
        """Return (exit status, the one JSON document that --json prints)."""
        status, printed = self(*arguments, "--json")
        return status, json.loads(printed)


@contextmanager
def selo_with_sagas(
    store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, most_runs: int = 20
) -> Iterator[Selo]:
    """The command on a database, with the sagas that are ours; whatever goes wrong, no test runs for ever."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    # The tables for people must not be folded to the width of the terminal that runs the tests.
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(launch, "MOST_RUNS", most_runs)
    process_settings.cache_clear()
    registry.cache_clear()
    yield Selo(capsys)
    registry.cache_clear()
