"""`selo up`: the whole thing on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import click

from selo_dagster.errors import SeloError
from selo_dagster.home import WORKSPACE_FILE, prepare_home
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade

STOP_WAIT_S = 20


@click.command("up")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; there is no password.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65_535), help="Port of the web UI.")
def up_command(*, host: str, port: int) -> int:
    """Migrate the database, then run the web UI, the daemon and the code until stopped with Ctrl-C."""
    settings = process_settings()
    folder = prepare_home(settings)
    store = Store(settings.store_url)
    try:
        upgrade(store)
    finally:
        store.close()
    _refuse_taken(host, port)
    click.echo(f"home: {settings.home}   Dagster's home: {folder}")
    click.echo(f"web UI: http://{host}:{port}   (Ctrl-C stops everything)")
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(folder / WORKSPACE_FILE), "-h", host, "-p", str(port)]
    server = subprocess.Popen(command, start_new_session=True, preexec_fn=_default_interrupt, cwd=settings.home)  # noqa: PLW1509, S603 - no shell, no input of others
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.killpg(server.pid, signal.SIGINT))
    status = server.wait()
    _end_group(server.pid)
    return 0 if status in {0, -signal.SIGINT, -signal.SIGTERM} else 1


def _default_interrupt() -> None:
    # Inherited as ignored (a background job of a shell, some supervisors), nothing would ever stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as refused:
            raise SeloError(
                "port", f"{host}:{port} cannot be used: {refused.strerror}; choose another with --port"
            ) from None
