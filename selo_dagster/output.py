"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import click

from selo_dagster.clock import UTC
from selo_dagster.errors import SeloError

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def now_option(command: Command) -> Command:
    """Add --now, checked."""
    return click.option(
        "--now", "now", metavar="ISO-8601", help="Take this instant for now, for example 2026-11-23T06:00:00Z."
    )(command)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=None, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def instant(value: datetime) -> str:
    """Return an instant as `2026-11-22T21:04:00Z`."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people on standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, not markup: what people wrote may look like it.
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """Return text that a terminal shows and never obeys: control characters become spaces, line ends stay."""
    return "".join(one if one == "\n" or one.isprintable() else " " for one in text)


def checked_date(text: str | None, option: str) -> date | None:
    """Read a date given on the command line, if one is. Raises SeloError `bad_date`."""
    return None if text is None else read_date(text, option)


def read_date(text: str, option: str) -> date:
    """Read a date given on the command line. Raises SeloError `bad_date`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SeloError("bad_date", f"{option}: {text[:40]!r} is not a date such as 2026-11-22") from None
