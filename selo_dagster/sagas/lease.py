"""Keeps a run's claims alive: a thread that beats as long as the run lives, across ops and their retries."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import Self

from selo_dagster.sagas.claim import renew
from selo_dagster.store.engine import Store

BEATS_A_LEASE: Final = 3
log = logging.getLogger(__name__)


class Beating:
    """Renews every lease of a run, from entering to leaving. On a connection of its own."""

    def __init__(self, url: str, run_id: str, lease_s: float) -> None:
        self._url, self._run_id, self._lease_s = url, run_id, lease_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="selo-lease", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; what the run still holds is left to its lease."""
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        store = Store(self._url, pool_size=1)
        try:
            while not self._stop.wait(self._lease_s / BEATS_A_LEASE):
                try:
                    with store.write() as connection:
                        renew(connection, self._run_id, self._lease_s)
                except SQLAlchemyError as refused:
                    # The fence protects the rows; the next beat may succeed before the lease runs out.
                    log.warning("a heartbeat could not be written: %s", type(refused).__name__)
        finally:
            store.close()
