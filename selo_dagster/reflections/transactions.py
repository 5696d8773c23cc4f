"""Transactions of a run that holds claims: they wait for others less long than its lease lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from selo_dagster.reflections.claim import renew
from selo_dagster.store.engine import Store
from selo_dagster.store.waiting import bound_waits, gave_way

T = TypeVar("T")

LOCK_WAIT: Final = 1 / 6
SILENCE: Final = 2 / 3
"""Parts of a lease: it outlives waits for several locks one after the other, and whoever was stopped holding them."""


@dataclass(frozen=True)
class Transactions:
    """Opens a run's transactions. shared: whether they also change rows that every run changes, as a budget's are."""

    store: Store
    run_id: str
    lease_s: float
    shared: bool

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may wait for shared rows, while others wait for it: both less long than a lease."""
        with self.store.write() as connection:
            if self.shared:
                bound_waits(connection, lock_s=self.lease_s * LOCK_WAIT, silence_s=self.lease_s * SILENCE)
            yield connection

    def patiently(self, work: Callable[..., T], *arguments: object) -> T:
        """Do what is one transaction, anew where it gave way to another: what it held keeps its lease between them."""
        while True:
            try:
                return work(*arguments)
            except DBAPIError as broken:
                if not gave_way(broken):
                    raise
            self.renew()

    def renew(self) -> None:
        """Push back the lease of whatever the run holds."""
        with self.store.write() as connection:
            renew(connection, self.run_id, self.lease_s)
