"""The self-check names what is missing and what somebody switched off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from selo_dagster.definitions import defs
from selo_dagster.home import prepare_home
from selo_dagster.operations.self_check import missing_definitions, missing_tables
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.support.command import Selo


def test_this_code_location_lacks_nothing(store: Store) -> None:
    assert missing_definitions(defs) == []
    with store.read() as connection:
        assert missing_tables(connection) == []


def test_what_is_missing_is_named(store: Store) -> None:
    missing = missing_definitions(dg.Definitions())
    assert {f"job {kind.job}" for kind in KINDS.values()} <= set(missing)
    assert "sensor due_requests" in missing
    with store.write() as connection:
        connection.execute(text("DROP TABLE mantras"))
    with store.read() as connection:
        assert missing_tables(connection) == ["table mantras"]


def test_a_schedule_that_was_switched_off_is_named_in_the_status(
    store: Store,  # noqa: ARG001 - migrated
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    prepare_home(process_settings())
    selo = Selo(capsys)
    assert selo.json("status")[1]["self_check"] == {"missing": [], "switched_off": []}
    subprocess.run(
        [
            Path(sys.executable).parent / "dagster",
            "schedule",
            "stop",
            "mantra_refresh_schedule",
            "-m",
            "selo_dagster.definitions",
        ],
        env={**os.environ},
        check=True,
        capture_output=True,
    )
    status, told = selo.json("status")
    assert status == 1
    assert told["self_check"]["switched_off"] == ["schedule mantra_refresh_schedule"]
    assert ("schedule_stopped", "schedule mantra_refresh_schedule is switched off") in {
        (one["code"], one["message"]) for one in told["problems"]
    }
