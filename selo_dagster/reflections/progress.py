"""Says on standard error how far a long run has come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from selo_dagster.clock import Clock
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.states import CLAIMED
from selo_dagster.store.engine import Store

EVERY_S = 5.0


@contextmanager
def progress(store: Store, kind: Kind, clock: Clock) -> Iterator[None]:
    """Print a line every few seconds while the body runs: who waits, who is in hand, who is not shown yet."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(EVERY_S):
            try:
                with store.read() as connection:
                    waiting, working, unshown = connection.execute(
                        select(
                            func.count().filter(ledger.c.ready_at <= clock.now()),
                            func.count().filter(ledger.c.state == CLAIMED),
                            func.count().filter(
                                ledger.c.settled_at.is_not(None),
                                ledger.c.reported_by.is_(None),
                                ledger.c.run_id.is_not(None),
                            ),
                        ).where(ledger.c.kind == kind.name)
                    ).one()
            except SQLAlchemyError as refused:
                click.echo(f"{kind.name}: progress cannot be read ({type(refused).__name__})", err=True)
            else:
                click.echo(
                    f"{kind.name}: {waiting} waiting, {working} in hand, {unshown} to be shown in Dagster", err=True
                )

    teller = threading.Thread(target=tell, name="selo-progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
