"""Running `selo` in this process, as its user would type it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from selo_dagster.cli import main


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
