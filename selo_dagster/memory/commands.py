"""`selo ingest`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

from selo_dagster.memory.ingest import REJECTED_SHOWN, IngestReport, ingest
from selo_dagster.output import json_option, print_json, print_table
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

SHOWN = 20
"""Rejected lines that the summary for people lists; --json lists up to 1 000."""


@click.command("ingest", short_help="Read people, messages, memories and events.")
@click.argument("file", type=click.File("rb"))
@click.option("--strict", is_flag=True, help="Keep nothing at all if any line is rejected.")
@click.option("--readmit", is_flag=True, help="Let people in again who were erased, as new ones.")
@json_option
@click.pass_context
def ingest_command(context: click.Context, file: BinaryIO, *, strict: bool, readmit: bool, as_json: bool) -> None:
    """Read JSON Lines from FILE, or from standard input with `-`.

    Each line is a user, a message, a memory or an event. Bad lines are reported with their number and the
    reason, the good ones are kept. The same file can be read again: what is there already is left as it is.

    Exit status: 0; 1 if any line was rejected; 2 for wrong use.
    """
    settings = process_settings()
    with open_store(settings) as store, _progress(file) as on_progress:
        report = ingest(
            store,
            file,
            strict=strict,
            pseudonymous=settings.pseudonymous_keys,
            readmit=readmit,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report.as_json())
    else:
        _print_summary(report)
    context.exit(1 if report.rejected_total else 0)


@contextmanager
def _progress(file: BinaryIO) -> Iterator[Callable[[int], None] | None]:
    """Show how far a long ingest has come, on standard error and only to people."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    size = _size(file)
    columns = (TextColumn("{task.fields[count]:,} lines"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("ingest", total=size, count=0)

        def advance(lines: int) -> None:
            shown.update(task, count=lines, completed=file.tell() if size else 0)

        yield advance


def _size(file: BinaryIO) -> int | None:
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _print_summary(report: IngestReport) -> None:
    rows = [(f"new: {kind}", count) for kind, count in report.accepted.items()]
    rows += [("updated", report.updated), ("unchanged", report.unchanged), ("rejected", report.rejected_total)]
    if report.withheld:
        rows.append(("good, not kept (--strict)", report.withheld))
    print_table(f"{report.lines:,} lines", ("what", "lines"), [(what, f"{count:,}") for what, count in rows])
    for number, reason in report.rejected[:SHOWN]:
        click.echo(f"line {number}: {reason}")
    if report.rejected_total > SHOWN:
        listed = min(report.rejected_total, REJECTED_SHOWN)
        click.echo(f"and {report.rejected_total - SHOWN:,} more: --json lists the first {listed:,}")
