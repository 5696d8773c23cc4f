"""What `selo up` runs is started again when it ends by itself, and leaves nothing behind when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.crash.processes import until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
DRIVER = """
import sys
from selo_dagster.operations.up import _run
from selo_dagster.settings import load_settings
server = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
home = {"SELO_HOME": sys.argv[1]}
raise SystemExit(_run({"the server": server}, load_settings(home), "http://127.0.0.1:3000"))
"""
STAYS = """
import os, pathlib, signal, sys
with pathlib.Path(sys.argv[1], "pids").open("a") as sink:
    sink.write(f"{os.getpid()} {os.environ['SELO_WEBSERVER_URL']}\\n")
signal.pause()
"""
ENDS = "import pathlib, sys; pathlib.Path(sys.argv[1], 'pids').open('a').write('1 once\\n'); sys.exit(3)"


def started(folder: Path) -> list[int]:
    """Return the processes that were started so far, as they wrote it down."""
    file = folder / "pids"
    return [int(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []


def up(folder: Path, server: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), server], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_killed_server_is_started_again_and_nothing_outlives_the_end(tmp_path: Path, number: signal.Signals) -> None:
    running = up(tmp_path, STAYS)
    until(lambda: len(started(tmp_path)) == 1, "it starts")
    os.kill(started(tmp_path)[0], signal.SIGKILL)
    until(lambda: len(started(tmp_path)) == 2, "it is started again")
    running.send_signal(number)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, said
    assert "the server ended with status -9 and is started again" in said
    assert not any(psutil.pid_exists(pid) for pid in started(tmp_path))
    assert "http://127.0.0.1:3000" in (tmp_path / "pids").read_text()


def test_a_server_that_never_works_ends_all_of_it(tmp_path: Path) -> None:
    running = up(tmp_path, ENDS)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert "again and again" in said
    assert len(started(tmp_path)) == 3
