"""`selo up` as its own process with a home of its own, and what tests ask of it beside the browser."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import psutil
from sqlalchemy import select

from selo_dagster.reflections.tables import reflections
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from tests.support.ports import free_ports

START_LIMIT_S = 120
STOP_LIMIT_S = 60
LOCATION = "selo_dagster"
Found = TypeVar("Found")

_LAUNCH = """mutation($given: ExecutionParams!) { launchRun(executionParams: $given) {
  __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
_AUTOMATION = """query($of: RepositorySelector!) { repositoryOrError(repositorySelector: $of) { ... on Repository {
  schedules { scheduleState { id } } sensors { sensorState { id } } } } }"""


def until(what: str, look: Callable[[], Found], limit_s: float = 90) -> Found:
    """Return the first truthy answer of `look`. Raises AssertionError naming `what` and the last answer."""
    end = time.monotonic() + limit_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what}; last: {found!r}"
        time.sleep(0.5)


def people_lines(people: int, on: date, said: str, name: str = "Person") -> Iterator[str]:
    """Yield ingest lines for people u000000, u000001 … in UTC who each said `said` three times on `on`."""
    for number in range(people):
        user = f"u{number:06}"
        yield _line(type="user", id=user, name=f"{name} {number}", timezone="UTC")
        for turn in range(6):
            yield _line(
                type="message",
                id=f"{user}-{turn}",
                user=user,
                conversation=f"{user}-c",
                role="assistant" if turn % 2 else "user",
                content="How did that feel?" if turn % 2 else said,
                at=f"{on}T{9 + turn:02}:00:00Z",
            )


def _line(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


class Server:
    """One installation: its folder, its web UI's address and its database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.parent / "up.log"
        ours = ("SELO_", "REFLECTION_", "DAGSTER_", "DATABASE_URL")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        self.environment["SELO_HOME"] = str(home)
        self.store = Store(Settings.model_validate({"SELO_HOME": str(home)}).store_url)
        self.port, self.http_port = free_ports(2)
        self.page = f"http://127.0.0.1:{self.http_port}"
        self.address = f"http://127.0.0.1:{self.port}"

    def selo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this installation to its end."""
        return subprocess.run(
            [sys.executable, "-m", "selo_dagster", *arguments],
            env=self.environment,
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def ingest(self, lines: Iterator[str]) -> None:
        """Bring people in, and give each a partition."""
        path = self.home.parent / "people.jsonl"
        path.write_text("".join(lines), encoding="utf-8")
        done = self.selo("ingest", str(path))
        assert done.returncode == 0, done.stderr
        run_id = self.launch("sync_users")
        assert until(f"run {run_id} ends", lambda: self.ended(run_id)) == "SUCCESS"

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of a GraphQL answer."""
        request = urllib.request.Request(  # noqa: S310 - an address of our own
            f"{self.address}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            document = json.load(answer)
        assert "errors" not in document, document["errors"]
        return document["data"]

    def launch(self, job: str) -> str:
        """Ask for a run of a job; returns its id."""
        selector = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "jobName": job}
        given = {"selector": selector, "runConfigData": {}, "mode": "default"}
        made = self.ask(_LAUNCH, given=given)["launchRun"]
        assert made["__typename"] == "LaunchRunSuccess", made
        return str(made["run"]["id"])

    def ended(self, run_id: str) -> str | None:
        """Return the status of a run that has ended, else None."""
        answer = self.ask("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)
        status = str(answer["runOrError"]["status"])
        return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else None

    def stop_automation(self) -> None:
        """Turn schedules and sensors off, so that only what a test does happens."""
        selector = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
        found = self.ask(_AUTOMATION, of=selector)["repositoryOrError"]
        for schedule in found["schedules"]:
            stopped = self.ask(
                "mutation($id: String) { stopRunningSchedule(id: $id) { __typename } }",
                id=schedule["scheduleState"]["id"],
            )
            assert stopped["stopRunningSchedule"]["__typename"] == "ScheduleStateResult", stopped
        for sensor in found["sensors"]:
            stopped = self.ask(
                "mutation($id: String) { stopSensor(id: $id) { __typename } }", id=sensor["sensorState"]["id"]
            )
            assert stopped["stopSensor"]["__typename"] == "StopSensorMutationResult", stopped

    def reflected(self, on: date) -> list[str]:
        """Return who has a reflection on a date, one entry per version."""
        with self.store.read() as connection:
            query = select(reflections.c.user_id).where(reflections.c.on == on).order_by(reflections.c.user_id)
            return list(connection.execute(query).scalars())

    def _answers(self) -> bool:
        try:
            found = self.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }")
        except OSError:
            return False
        return any(node["location"]["name"] == LOCATION for node in found["repositoriesOrError"]["nodes"])


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Run `selo up` in a folder; at the end it is told Ctrl-C, and has to leave nothing behind."""
    server = Server(folder / "home")
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "selo_dagster",
                "up",
                "--port",
                str(server.port),
                "--http-port",
                str(server.http_port),
            ],
            env=server.environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        until(
            f"the web UI answers ({server.log})", lambda: process.poll() is not None or server._answers(), START_LIMIT_S
        )
        assert process.poll() is None, server.log.read_text(encoding="utf-8")[-2000:]
        yield server
    finally:
        server.store.close()
        left = _stop(process)
    assert process.returncode == 0, server.log.read_text(encoding="utf-8")[-2000:]
    assert not left, f"still running after Ctrl-C: {left}"


def _stop(process: subprocess.Popen[bytes]) -> Sequence[str]:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    names = [" ".join(one.cmdline()) for one in alive]
    for one in alive:
        one.kill()
    return names
