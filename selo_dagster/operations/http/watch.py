"""Keeps and delivers alerts from the HTTP application, too: the daemon's death is told by somebody who is alive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from selo_dagster.errors import SeloError
from selo_dagster.operations.alerts.round import make_round, problems_of
from selo_dagster.operations.alerts.telling import Send, by_apprise
from selo_dagster.operations.http.outage import Outage
from selo_dagster.operations.http.served import Served
from selo_dagster.operations.problems import HTTP, Problem
from selo_dagster.operations.readiness import Readiness
from selo_dagster.store.heartbeats import beat, forget

log = logging.getLogger(__name__)

EVERY_S: Final = 15.0
UNWELL_S: Final = 60.0
"""Seconds for which a part must not be well before somebody is told; `/readyz` and the page say so at once."""

TOLD: Final = frozenset({"code_location", "daemons", "disk", "model"})
"""Parts of which the rows know nothing: an alert of each is opened here."""


class Unready:
    """Remembers since when parts are not well: a start, or a restart, is nothing to be told of."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: dict[str, float] = {}

    def problems(self, found: Readiness) -> list[Problem]:
        """Return what has not been well for a while, of the parts that only somebody outside the database can see."""
        now = self._monotonic()
        unwell = {one.name: one for one in found.components if not one.ok and one.name in TOLD}
        self._since = {name: self._since.get(name, now) for name in unwell}
        return [
            Problem("not_ready", f"{name}: {one.reason}", name)
            for name, one in unwell.items()
            if now - self._since[name] >= UNWELL_S
        ]


class Watch:
    """A thread that makes rounds until it is stopped. A round that fails is made again."""

    def __init__(
        self,
        served: Served,
        *,
        send: Send = by_apprise,
        every_s: float = EVERY_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._served = served
        self._send = send
        self._every_s = every_s
        self._unready = Unready(monotonic)
        self._outage = Outage(served.settings.alert_addresses, send)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is under way, and leave no heartbeat behind that could fall silent."""
        self._stop.set()
        self._thread.join(self._every_s)
        try:
            with self._served.store.write() as connection:
                forget(connection, HTTP)
        except Exception as broken:  # noqa: BLE001 - a database that is away must not keep a process from ending
            log.warning("the heartbeat could not be taken back: %s", type(broken).__name__)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.round()
                self._outage.back()
            except (SeloError, SQLAlchemyError) as refused:
                code = refused.code if isinstance(refused, SeloError) else type(refused).__name__
                log.warning("alerts cannot be kept: %s", code)
                self._outage.away(code)
            except Exception as broken:  # noqa: BLE001 - the watch goes on, whatever a round met
                log.warning("a round of the alerts ended with %s", type(broken).__name__)
            self._stop.wait(self._every_s)

    def round(self) -> None:
        """Make one round. Raises what the database raises, with nothing half done."""
        served = self._served
        problems = [*problems_of(served.status()), *self._unready.problems(served.ready())]
        done = make_round(served.store, problems, served.settings.alert_addresses, send=self._send)
        with served.store.write() as connection:
            beat(connection, HTTP, done.counts)
