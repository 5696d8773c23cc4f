"""Fault by fault: `/readyz` and the page name it within a minute, and are well again by themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from selo_dagster.store.schema import HEAD
from tests.faults.installation import ROOT, Installation

NAMED_WITHIN_S = 60.0
WELL_WITHIN_S = 120.0


@contextmanager
def postgres_stopped(there: Installation) -> Iterator[None]:
    with there.without_postgres():
        yield


@contextmanager
def daemon_killed(there: Installation) -> Iterator[None]:
    there.process("dagster._daemon").send_signal(signal.SIGKILL)
    yield


@contextmanager
def daemon_hangs(there: Installation) -> Iterator[None]:
    daemon = there.process("dagster._daemon")
    daemon.suspend()
    yield
    daemon.resume()


@contextmanager
def sensor_fails(there: Installation) -> Iterator[None]:
    there.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON heartbeats FOR EACH ROW WHEN (NEW.name = 'memory_events')"
        " EXECUTE FUNCTION refuse()"
    )
    yield
    there.sql("DROP FUNCTION refuse CASCADE")


@contextmanager
def model_down(there: Installation) -> Iterator[None]:
    there.model.stop()
    yield
    there.model.start()


@contextmanager
def disk_nearly_full(there: Installation) -> Iterator[None]:
    ballast = there.home / "ballast"
    room = os.statvfs(there.home)
    with ballast.open("wb") as sink:
        os.posix_fallocate(sink.fileno(), 0, int(room.f_bavail * room.f_frsize * 0.95))
    yield
    ballast.unlink()


@contextmanager
def migration_missing(there: Installation) -> Iterator[None]:
    there.sql("UPDATE selo_schema_version SET version_num = '0009'")
    yield
    there.sql(f"UPDATE selo_schema_version SET version_num = '{HEAD}'")


@contextmanager
def schedule_switched_off(there: Installation) -> Iterator[None]:
    turn(there, "stop")
    yield
    turn(there, "start")


def turn(there: Installation, how: str) -> None:
    home = there.home / "dagster"
    # By the same workspace as the daemon's: a schedule is known by its location too.
    command = [
        sys.executable,
        "-m",
        "dagster",
        "schedule",
        how,
        "mantra_refresh_schedule",
        "-w",
        str(home / "workspace.yaml"),
    ]
    done = subprocess.run(
        command,
        env=there.environment | {"DAGSTER_HOME": str(home)},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-1000:]


Fault = Callable[[Installation], AbstractContextManager[None]]

FAULTS: list[tuple[str, Fault, str, str]] = [
    ("PostgreSQL stopped", postgres_stopped, "database", "cannot be used"),
    ("daemon killed", daemon_killed, "code_location", "the web UI does not answer"),
    ("daemon hangs", daemon_hangs, "daemons", "last signs of life"),
    ("sensor fails", sensor_fails, "sensors", "silent: "),
    ("model down", model_down, "model", "does not answer"),
    ("disk nearly full", disk_nearly_full, "disk", "% of the disk"),
    ("migration missing", migration_missing, "schema", "selo db upgrade"),
    ("schedule switched off", schedule_switched_off, "schedules", "schedule mantra_refresh_schedule"),
]


@pytest.mark.parametrize(("name", "fault", "part", "says"), FAULTS, ids=[one[0] for one in FAULTS])
def test_a_fault_is_named_within_a_minute_and_what_is_mended_is_well_again(
    installation: Installation, name: str, fault: Fault, part: str, says: str
) -> None:
    assert installation.broken() == {}
    with fault(installation):
        named_s = installation.seconds_until(part, says, NAMED_WITHIN_S)
    well_s = installation.seconds_until_well(WELL_WITHIN_S)
    print(f"\n{name}: named after {named_s:.1f} s, well again after {well_s:.1f} s")  # noqa: T201
