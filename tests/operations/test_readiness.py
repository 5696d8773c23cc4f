"""Each part that is not well is named with a reason and what to do; the others are looked at all the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from sqlalchemy import text, update

from selo_dagster.clock import FixedClock
from selo_dagster.home import prepare_home
from selo_dagster.memory.tables import events
from selo_dagster.operations.readiness import (
    DAEMON_SILENT_S,
    INTERVALS_S,
    THREAD_SILENT_S,
    Component,
    Readiness,
    readiness,
)
from selo_dagster.settings import load_settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import beat, heartbeats
from selo_dagster.store.types import database_now
from tests.support.fakes import NOW, add_person, say

LOADED = {
    "data": {
        "workspaceOrError": {
            "locationEntries": [
                {"name": "ours", "loadStatus": "LOADED", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
            ]
        }
    }
}


class Servers:
    """Stands for the web UI and the model's server."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def __call__(self, method: str, address: str, _body: object, headers: dict[str, str]) -> tuple[int, Any]:
        self.asked.append((method, address, headers))
        if address not in self.answers:
            raise OSError("ConnectError")
        return self.answers[address]


@pytest.fixture
def home() -> None:
    """A Dagster home whose daemons have all just said something."""
    prepare_home(process_settings())
    alive(0.0)


def alive(age_s: float, *, only: str | None = None) -> None:
    with dg.DagsterInstance.get() as instance:
        for name in instance.get_required_daemon_types() if only is None else [only]:
            instance.add_daemon_heartbeat(DaemonHeartbeat(NOW.timestamp() - age_s, name, "one", []))


def ticking(store: Store) -> None:
    with store.write() as connection:
        for name in INTERVALS_S:
            beat(connection, name, {})


def look(store: Store, servers: Servers | None = None, **changes: str) -> Readiness:
    settings = load_settings({"SELO_HOME": str(process_settings().home), **changes})
    return readiness(store, settings, FixedClock(NOW), ask=servers or Servers())


def broken(found: Readiness) -> dict[str, str]:
    assert found.ready == all(one.ok for one in found.components)
    assert all(one.what_to_do for one in found.components if not one.ok)
    return {one.name: one.reason for one in found.components if not one.ok}


def part(found: Readiness, name: str) -> Component:
    return next(one for one in found.components if one.name == name)


@pytest.mark.usefixtures("home")
def test_where_everything_is_well_it_is_ready(store: Store) -> None:
    ticking(store)
    servers = Servers()
    servers.answers["http://127.0.0.1:3000/graphql"] = 200, LOADED
    found = look(store, servers, SELO_WEBSERVER_URL="http://127.0.0.1:3000")
    assert broken(found) == {}
    assert [one.name for one in found.components] == [
        *("database", "schema", "events", "sensors", "daemons", "schedules", "code_location", "model", "disk")
    ]


@pytest.mark.usefixtures("home")
def test_a_database_that_is_away_is_named_without_its_password() -> None:
    store = Store("postgresql://selo:hush-hush@127.0.0.1:1/selo")
    found = look(store)
    assert "127.0.0.1:1 cannot be used" in broken(found)["database"]
    assert "hush" not in str(found)
    assert part(found, "disk").ok


@pytest.mark.usefixtures("home")
def test_a_schema_that_is_behind_names_the_command(store: Store) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE selo_schema_version SET version_num = '0009'"))
    found = look(store)
    assert "schema" in broken(found)
    assert part(found, "schema").what_to_do == "run `selo db upgrade`"


@pytest.mark.usefixtures("home")
def test_sensors_that_never_ticked_and_one_that_fell_silent_are_named(store: Store) -> None:
    assert "never ticked: alerts, due_requests" in broken(look(store))["sensors"]
    ticking(store)
    with store.write() as connection:
        silent = update(heartbeats).where(heartbeats.c.name == "memory_events")
        connection.execute(silent.values(at=database_now(-51)))
        connection.execute(update(heartbeats).where(heartbeats.c.name == "resource_guard").values(at=database_now(-51)))
    assert broken(look(store)) == {"sensors": "silent: memory_events for 51 s"}


@pytest.mark.usefixtures("home")
def test_a_guard_that_is_switched_off_by_its_setting_is_not_missed(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    with store.write() as connection:
        for name in INTERVALS_S:
            if name != "resource_guard":
                beat(connection, name, {})
    assert broken(look(store)) == {"sensors": "never ticked: resource_guard"}
    assert broken(look(store, SELO_RESOURCE_GUARD="0")) == {}
    store.close()


@pytest.mark.usefixtures("home")
def test_daemons_are_gone_when_they_have_said_nothing_for_a_while(store: Store) -> None:
    ticking(store)
    alive(DAEMON_SILENT_S - 1)
    assert broken(look(store)) == {}
    alive(DAEMON_SILENT_S + 5)
    assert "sensor 55 s ago" in broken(look(store))["daemons"]


@pytest.mark.usefixtures("home")
def test_one_daemon_with_long_work_in_hand_is_not_gone_while_the_others_speak(store: Store) -> None:
    ticking(store)
    alive(0)
    alive(DAEMON_SILENT_S + 30, only="SCHEDULER")
    assert broken(look(store)) == {}
    alive(THREAD_SILENT_S + 5, only="SCHEDULER")
    assert broken(look(store)) == {"daemons": "last signs of life: scheduler 185 s ago"}


@pytest.mark.usefixtures("home")
def test_an_event_that_waits_for_its_reader_is_told_of(store: Store) -> None:
    ticking(store)
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z")
    assert broken(look(store)) == {}
    with store.write() as connection:
        connection.execute(update(events).values(created_at=database_now(-200)))
    assert "the oldest unread event has waited" in broken(look(store))["events"]


@pytest.mark.usefixtures("home")
def test_a_schedule_that_was_switched_off_is_named(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    ticking(store)
    subprocess.run(
        [
            *(sys.executable, "-m", "dagster", "schedule", "stop"),
            *("mantra_refresh_schedule", "-m", "selo_dagster.definitions"),
        ],
        check=True,
        capture_output=True,
        timeout=100,
    )
    assert broken(look(store)) == {"schedules": "switched off: schedule mantra_refresh_schedule"}
    store.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "the web UI does not answer: ConnectError"),
        ((502, None), "the web UI answered 502"),
        ((200, {"data": {"workspaceOrError": {"locationEntries": []}}}), "not loaded: there is none"),
        (
            (
                200,
                {
                    "data": {
                        "workspaceOrError": {
                            "locationEntries": [
                                {
                                    "name": "ours",
                                    "loadStatus": "LOADED",
                                    "locationOrLoadError": {"__typename": "PythonError"},
                                }
                            ]
                        }
                    }
                },
            ),
            "not loaded: ours",
        ),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_code_location_that_is_not_loaded_is_named(
    sqlite_url: str, answer: tuple[int, Any] | None, reason: str
) -> None:
    store = Store(sqlite_url)
    ticking(store)
    servers = Servers()
    if answer is not None:
        servers.answers["http://127.0.0.1:3000/graphql"] = answer
    assert broken(look(store, servers, SELO_WEBSERVER_URL="http://127.0.0.1:3000")) == {"code_location": reason}
    store.close()


@pytest.mark.parametrize(("status", "reason"), [(None, "not answer"), (500, "answers 500"), (401, "answers 401")])
@pytest.mark.usefixtures("home")
def test_a_model_that_cannot_be_asked_is_told_of_and_its_key_is_not(
    sqlite_url: str, status: int | None, reason: str
) -> None:
    store = Store(sqlite_url)
    ticking(store)
    servers = Servers()
    if status is not None:
        servers.answers["http://127.0.0.1:8000/v1/models"] = status, None
    given = {"SELO_LLM_URL": "http://127.0.0.1:8000/v1", "SELO_LLM_MODEL": "m", "SELO_LLM_API_KEY": "hush-hush"}
    found = look(store, servers, **given)
    assert reason in broken(found)["model"]
    assert "hush" not in str(found)
    assert servers.asked[-1][2] == {"Authorization": "Bearer hush-hush"}
    servers.answers["http://127.0.0.1:8000/v1/models"] = 404, None
    assert broken(look(store, servers, **given)) == {}
    store.close()


@pytest.mark.usefixtures("home")
def test_a_disk_that_fills_up_is_told_of(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    ticking(store)
    settings = load_settings({"SELO_HOME": str(process_settings().home), "SELO_DISK_WARN_PERCENT": "80"})

    def looked(used: Callable[[Path], float]) -> dict[str, str]:
        return broken(readiness(store, settings, FixedClock(NOW), ask=Servers(), used=used))

    def away(_folder: Path) -> float:
        raise FileNotFoundError

    assert looked(away)["disk"] == "FileNotFoundError"
    assert "disk" not in looked({settings.home: 79.9}.__getitem__)
    assert looked({settings.home: 80.0}.__getitem__)["disk"].startswith("80.0 % of the disk of SELO_HOME are used")
    store.close()
