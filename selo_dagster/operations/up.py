"""`selo up`: the whole thing on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import click

from selo_dagster.errors import SeloError
from selo_dagster.home import WORKSPACE_FILE, prepare_home
from selo_dagster.operations.http.command import PORT as HTTP_PORT
from selo_dagster.operations.http.command import refuse_open_door
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import forget
from selo_dagster.store.schema import upgrade

STOP_WAIT_S: Final = 20.0
EARLY_S: Final = 30.0
"""A server that ends within so many seconds of its start did not work at all."""

EARLY_ENDS: Final = 3


@click.command("up")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; the UI has no password.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65_535), help="Port of the web UI.")
@click.option(
    "--http-port",
    default=HTTP_PORT,
    show_default=True,
    type=click.IntRange(1, 65_535),
    help="Port of the page, health, metrics and the API.",
)
def up_command(*, host: str, port: int, http_port: int) -> int:
    """Migrate the database, then run the web UI, the daemon, the code and the HTTP application until Ctrl-C."""
    settings = process_settings()
    refuse_open_door(settings, host)
    folder = prepare_home(settings)
    store = Store(settings.store_url)
    try:
        upgrade(store)
    finally:
        store.close()
    _refuse_taken(host, port, "--port")
    _refuse_taken(host, http_port, "--http-port")
    click.echo(f"home: {settings.home}   Dagster's home: {folder}")
    click.echo(f"web UI: http://{host}:{port}   page: http://{host}:{http_port}   (Ctrl-C stops everything)")
    status = _run(_commands(folder, host, port, http_port), settings, _seen_from_here(host, port))
    _leave_no_heartbeat(settings)
    return status


def _commands(folder: Path, host: str, port: int, http_port: int) -> dict[str, list[str]]:
    dagster = [sys.executable, "-m", "dagster", "dev", "-w", str(folder / WORKSPACE_FILE), "-h", host, "-p", str(port)]
    http = [sys.executable, "-m", "selo_dagster", "http", "--host", host, "--port", str(http_port)]
    return {"Dagster": dagster, "the HTTP application": http}


def _seen_from_here(host: str, port: int) -> str:
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared with, not listened on
    return f"http://{everywhere.get(host, f'[{host}]' if ':' in host else host)}:{port}"


class _StopError(Exception):
    """Somebody wants all of it to end."""


@dataclass
class _Server:
    """One of the processes. began: seconds of the monotonic clock; early: ends in a row soon after a start."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes]
    began: float
    early: int = 0


def _run(commands: Mapping[str, Sequence[str]], settings: Settings, webserver: str) -> int:
    """Run all of them until somebody stops them; one that ends by itself is started again. Returns the exit status.

    One that ends soon after its start, three times in a row, ends all of it with status 1.
    """
    environment = {**os.environ, "SELO_WEBSERVER_URL": settings.webserver_url or webserver}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    servers: list[_Server] = []
    try:
        for name, command in commands.items():
            servers.append(_Server(name, command, _start(command, settings.home, environment), time.monotonic()))
        while _watch(servers, settings.home, environment):
            pass
    except _StopError:
        return 0
    else:
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for server in servers:
            _interrupt(server.process)
        end = time.monotonic() + STOP_WAIT_S
        for server in servers:
            _end(server.process, end)


def _watch(servers: Sequence[_Server], home: Path, environment: Mapping[str, str]) -> bool:
    """Wait until one of them ends and start it again; False if there is no use in that."""
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    for server in servers:
        status = server.process.poll()
        if status is None:
            continue
        _end(server.process, 0.0)
        server.early = server.early + 1 if time.monotonic() - server.began < EARLY_S else 0
        if server.early >= EARLY_ENDS:
            click.echo(f"{server.name} ended with status {status} again and again: everything is stopped", err=True)
            return False
        click.echo(f"{server.name} ended with status {status} and is started again", err=True)
        server.process, server.began = _start(server.command, home, environment), time.monotonic()
    return True


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _StopError


def _start(command: Sequence[str], home: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - no shell, no input of others
        command,
        start_new_session=True,
        preexec_fn=_default_interrupt,  # noqa: PLW1509 - no thread has been started
        cwd=home,
        env=environment,
    )


def _default_interrupt() -> None:
    # Inherited as ignored (a background job of a shell, some supervisors), nothing would ever stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupt(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGINT)


def _end(server: subprocess.Popen[bytes], end: float) -> None:
    try:
        server.wait(max(0.1, end - time.monotonic()))
        last = signal.SIGTERM
    except subprocess.TimeoutExpired:
        click.echo("a server does not end by itself: it is killed", err=True)
        last = signal.SIGKILL
    try:
        # Also what the first process of the group left behind.
        os.killpg(server.pid, last)
    except ProcessLookupError:
        return


def _leave_no_heartbeat(settings: Settings) -> None:
    """Take the signs of life back: what was stopped on purpose has not fallen silent."""
    store = Store(settings.store_url)
    try:
        with store.write() as connection:
            forget(connection)
    finally:
        store.close()


def _refuse_taken(host: str, port: int, option: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as refused:
            raise SeloError(
                "port", f"{host}:{port} cannot be used: {refused.strerror}; choose another with {option}"
            ) from None
