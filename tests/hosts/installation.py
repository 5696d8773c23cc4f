"""One installation on two machines: a database server, a model's server, the companion's server, and two homes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import dagster as dg
from sqlalchemy import create_engine, text

from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.store.schema import upgrade
from tests.crash.processes import ROOT
from tests.hosts.model import after
from tests.hosts.network import Machine, network, until_reached
from tests.support.fault_server import FaultServer
from tests.support.notice_server import Exchange, NoticeServer
from tests.support.postgres import temporary_postgres

CODE_PORT: Final = 4000
LEASE_S: Final = 5.0
LOST_CLIENTS: Final[tuple[str, ...]] = (
    "tcp_keepalives_idle=10",
    "tcp_keepalives_interval=5",
    "tcp_keepalives_count=3",
    "tcp_user_timeout=25000",
)
"""So that the server finds out that a machine is gone: as docs/hosts.md advises."""

WORKSPACE: Final = f"""\
load_from:
  - grpc_server:
      host: 127.0.0.1
      port: {CODE_PORT}
      location_name: selo_dagster
"""
"""Each machine's own code server, under the same name on both."""


@dataclass(frozen=True)
class Installation:
    """Two machines and what both of them use."""

    a: Machine
    b: Machine
    store: Store
    instance: dg.DagsterInstance
    model: FaultServer
    notices: NoticeServer


def selo(machine: Machine, *arguments: str) -> tuple[int, Any]:
    """Run a `selo` command on a machine; returns (exit status, its JSON document)."""
    done = machine.run(sys.executable, "-m", "selo_dagster", *arguments, "--json")
    assert done.stdout, done.stderr[-4000:]
    return done.returncode, json.loads(done.stdout)


def start_selo(machine: Machine, log: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a `selo` command on a machine."""
    return machine.start(log, sys.executable, "-m", "selo_dagster", *arguments)


def start_code(machine: Machine) -> subprocess.Popen[bytes]:
    """Start a machine's code server and wait until it listens; it lives on that machine's loopback alone."""
    command = ["-m", "dagster", "api", "grpc", "-m", "selo_dagster.definitions", "--location-name", "selo_dagster"]
    process = machine.start("code", sys.executable, *command, "-h", "127.0.0.1", "-p", str(CODE_PORT))
    until_reached(machine, process, "code", CODE_PORT)
    return process


def start_daemon(machine: Machine) -> subprocess.Popen[bytes]:
    """Start a daemon on a machine, with that machine's code server."""
    workspace = Path(machine.environ["DAGSTER_HOME"]) / "workspace.yaml"
    return machine.start("daemon", str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(workspace))


@contextmanager
def installation(
    folder: Path, *, call_s: float, notice_s: float, lost_clients: Sequence[str] = LOST_CLIENTS
) -> Iterator[Installation]:
    """Make all of it, and take it away again.

    call_s, notice_s: seconds that the servers take for an answer. lost_clients: settings of the database server.
    """

    def later(exchange: Exchange) -> None:
        exchange.wait(notice_s)
        exchange.answer(exchange.work())

    with (
        network(uuid4().hex[:4], ("a", "b"), folder) as net,
        temporary_postgres(address=net.address, clients=net.clients, settings=lost_clients) as server,
        FaultServer(after(call_s), host=net.address) as model,
        NoticeServer(net.address) as notices,
    ):
        notices.usually(later)
        for name in ("selo", "dagster"):
            _create(server, name)
        dagster_url = str(normalised_url(f"{server}/dagster").render_as_string(hide_password=False))
        shared = {
            "DATABASE_URL": f"{server}/selo",
            "DAGSTER_POSTGRES_URL": dagster_url,
            "SELO_LEASE_S": f"{LEASE_S:g}",
            # Small enough that each machine gets some: so many sagas a run takes, so many people it claims at once.
            "SELO_COHORT_SIZE": "16",
            "SELO_CHUNK_SIZE": "10",
            "SELO_LLM_URL": model.url,
            "SELO_LLM_MODEL": "scripted",
            "SELO_NOTICE_URL": notices.url,
            "SELO_RESOURCE_GUARD": "0",
        }
        for machine in net.machines:
            home = folder / machine.name
            (home / "dagster").mkdir()
            (home / "dagster" / "dagster.yaml").write_text((ROOT / "deploy" / "dagster.yaml").read_text())
            (home / "dagster" / "workspace.yaml").write_text(WORKSPACE)
            machine.environ = {**shared, "SELO_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
        store = Store(shared["DATABASE_URL"])
        upgrade(store)
        settings = {"storage": {"postgres": {"postgres_url": dagster_url}}, "telemetry": {"enabled": False}}
        with dg.DagsterInstance.local_temp(str(folder), overrides=settings) as instance:
            a, b = net.machines
            yield Installation(a, b, store, instance, model, notices)
        store.close()


def _create(server: str, name: str) -> None:
    engine = create_engine(normalised_url(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
