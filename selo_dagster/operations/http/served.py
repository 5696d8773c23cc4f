"""What the HTTP application serves from: the store, and answers that many may ask for at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from selo_dagster.clock import Clock
from selo_dagster.operations.http.cached import Answer, Cached
from selo_dagster.operations.readiness import Ask, Readiness, by_http, readiness
from selo_dagster.operations.self_check import Checked, missing_definitions, missing_tables, switched_off
from selo_dagster.operations.status import status
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import require_schema

READY_KEPT_S = 2.0
READY_KEPT_AT_MOST_S = 5.0


class Served:
    """One installation, as the HTTP application sees it. The database may be away at any time."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, *, ask: Ask = by_http) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self._ask = ask
        self._answers: dict[str, Cached[Any]] = {}
        self._missing: tuple[str, ...] | None = None

    def cached(self, name: str, compute: Callable[[], Answer], *, least_s: float = 1.0, most_s: float = 30.0) -> Answer:
        """Return a named answer; see `Cached`. The first one to ask says how it is computed."""
        found: Cached[Answer] = self._answers.setdefault(name, Cached(compute, least_s=least_s, most_s=most_s))
        return found.get()

    def at_hand(self, name: str) -> bool:
        """Whether a named answer is there to be had at once; see `Cached`."""
        found = self._answers.get(name)
        return found is not None and found.at_hand

    def ready(self) -> Readiness:
        """Return how every part is, a few seconds old at most."""
        return self.cached("ready", self._readiness, least_s=READY_KEPT_S, most_s=READY_KEPT_AT_MOST_S)

    def status(self) -> dict[str, Any]:
        """Return what `selo status --json` says. Raises SeloError when the database cannot be used."""
        return self.cached("status", self._status)

    def _readiness(self) -> Readiness:
        return readiness(self.store, self.settings, self.clock, ask=self._ask)

    def _status(self) -> dict[str, Any]:
        require_schema(self.store)
        with self.store.read() as connection, dg.DagsterInstance.get() as instance:
            missing = (*missing_tables(connection), *self._missing_definitions())
            checked = Checked(missing, tuple(switched_off(instance)))
            return status(connection, self.clock.now(), self.settings, checked)

    def _missing_definitions(self) -> tuple[str, ...]:
        # The code of a process does not change while it runs.
        if self._missing is None:
            from selo_dagster.definitions import defs

            self._missing = tuple(missing_definitions(defs))
        return self._missing
