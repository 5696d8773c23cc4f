"""Tells of a database that is away: the one alert that cannot be a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from selo_dagster.operations.alerts.telling import Send
from selo_dagster.operations.problems import runbook_of

CODE: Final = "database_down"
AWAY_S: Final = 45.0
"""Seconds of failing rounds before somebody is told: a restart is no outage."""

REPEATED_S: Final = 6 * 3600.0


class Outage:
    """Remembers, in this process only, since when the database is away and who was told."""

    def __init__(self, addresses: Sequence[str], send: Send, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._addresses = addresses
        self._send = send
        self._monotonic = monotonic
        self._since: float | None = None
        self._told: dict[str, float] = {}

    def away(self, code: str) -> None:
        """Note a round that failed for the database, with the code of why."""
        now = self._monotonic()
        self._since = now if self._since is None else self._since
        for address in self._addresses:
            last = self._told.get(address)
            if now - self._since >= AWAY_S and (last is None or now - last >= REPEATED_S):
                body = f"The database cannot be used: {code}.\n\nWhat to do: {runbook_of(CODE)}"
                if self._send(address, f"selo: {CODE} needs a person", body):
                    self._told[address] = now

    def back(self) -> None:
        """Note a round that went well; whoever was told hears that it is over."""
        self._since = None
        for address in list(self._told):
            if self._send(address, f"selo: {CODE} is over", "The database can be used again."):
                del self._told[address]
