"""`selo http`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from selo_dagster.clock import SystemClock
from selo_dagster.errors import SeloError
from selo_dagster.home import prepare_home
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.engine import Store

PORT = 3001


@click.command("http")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
def http_command(*, host: str, port: int) -> None:
    """Serve health, metrics, a page for people and the API, until stopped with Ctrl-C.

    It also keeps and delivers the alerts, so that somebody tells of it when the daemon dies.
    """
    settings = process_settings()
    refuse_open_door(settings, host)
    prepare_home(settings)
    with serving(settings) as application:
        import uvicorn

        click.echo(f"page: http://{host}:{port}/   also /readyz /metrics /status /openapi.json", err=True)
        # Access logs would name people: their ids are in addresses.
        uvicorn.run(application, host=host, port=port, access_log=False, log_level="warning", lifespan="off")


def refuse_open_door(settings: Settings, host: str) -> None:
    """Raise SeloError `open_door` where others could read without a token."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback and settings.api_tokens is None:
        raise SeloError(
            "open_door",
            f"{host} can be reached by others: set SELO_API_TOKENS first, or listen on 127.0.0.1",
        )


@contextmanager
def serving(settings: Settings) -> Iterator[Any]:
    """Yield the application, with its watch over the alerts running."""
    from selo_dagster.operations.http.app import create_app
    from selo_dagster.operations.http.served import Served
    from selo_dagster.operations.http.watch import Watch

    store = Store(settings.store_url)
    served = Served(settings, store, SystemClock())
    watch = Watch(served)
    watch.start()
    try:
        yield create_app(served)
    finally:
        watch.stop()
        store.close()
