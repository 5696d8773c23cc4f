"""A breaker an endpoint: closed, open, half open; its state is a row that every process reads and moves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from selo_dagster.llm.endpoint import Endpoint, endpoint_of
from selo_dagster.llm.errors import OF_THE_ENDPOINT, ModelError
from selo_dagster.llm.tables import CLOSED, HALF_OPEN, OPEN, model_endpoints
from selo_dagster.settings import Settings
from selo_dagster.store.types import database_now, seconds_between
from selo_dagster.store.upsert import insert_missing

FAILURES_TO_OPEN: Final = 5
"""Calls in a row, of whatever process, that found nobody behind the address."""

FIRST_WAIT_S: Final = 15.0
LONGEST_WAIT_S: Final = 300.0
"""Seconds before a probe: doubled after each that failed."""

DRAINS_FOR_S: Final = 6 * 3_600.0
"""Seconds after an outage in which what waited longest goes first and requests keep their share."""

endpoints = model_endpoints
Heard = Literal["answered", "failed", "nothing"]


def heard(broken: BaseException) -> Heard:
    """Tell what an error says of the server: not there for anybody, there all the same, or nothing.

    A call without an answer in its time counts like one that was refused: a machine that is gone is often silent.
    """
    if isinstance(broken, ModelError):
        return "failed" if broken.fault in OF_THE_ENDPOINT else "answered"
    # asyncio's and the built-in time-out are two classes before Python 3.11.
    return "failed" if isinstance(broken, (asyncio.TimeoutError, TimeoutError)) else "nothing"


@dataclass(frozen=True)
class Place:
    """A place in the queue: when an obligation came due, and its row."""

    since: datetime
    id: int


@dataclass(frozen=True)
class Standing:
    """An endpoint as the database knows it; instants and ages are by its clock.

    failures: in a row. times_opened: outages so far. down_s: seconds since the last one began. age_s: in this state.
    wait_s: between two probes. probes: that failed in this outage. probe_due: somebody may call, one at a time.
    room: calls at once while it is half open. tried: the last obligation whose probe failed.
    """

    state: str = CLOSED
    since: datetime | None = None
    age_s: float = 0.0
    failures: int = 0
    times_opened: int = 0
    opened_at: datetime | None = None
    down_s: float = 0.0
    wait_s: float = 0.0
    probes: int = 0
    probe_due: bool = False
    room: int = 0
    tried: Place | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody but a probe may call."""
        return self.state == OPEN

    @property
    def quiet(self) -> bool:
        """Whether an answer changes nothing: then none is written down."""
        return self.state == CLOSED and not self.failures

    @property
    def draining(self) -> bool:
        """Whether what an outage left behind is being worked off."""
        return self.state != CLOSED or (self.times_opened > 0 and self.age_s < DRAINS_FOR_S)


@dataclass(frozen=True)
class Breaker:
    """The breaker of one endpoint. slots: calls at once from which on it counts as recovered.

    Every change is made under the lock of its row, from the state that is found there: two processes that hear the
    same thing move it once.
    """

    endpoint: Endpoint
    slots: int

    def standing(self, connection: Connection) -> Standing:
        """Return how it stands: one look-up by key."""
        return standing(connection, self.endpoint)

    def take_probe(self, connection: Connection, who: str, lease_s: float, *, at_once: bool = False) -> bool:
        """Become the one who may call while it is open, for `lease_s` seconds. False: not yet, or somebody else is.

        at_once: without waiting for the time of the next probe.
        """
        taken = connection.execute(
            update(endpoints)
            .where(self._mine, endpoints.c.state == OPEN, _nobody_probes(), *([] if at_once else [_time_has_come()]))
            .values(probe_by=who, probe_until=database_now(lease_s))
        )
        return bool(taken.rowcount)

    def give_back(self, connection: Connection, who: str) -> None:
        """Let somebody else probe: this one found nothing to ask."""
        connection.execute(
            update(endpoints)
            .where(self._mine, endpoints.c.state == OPEN, endpoints.c.probe_by == who)
            .values(probe_by=None, probe_until=None)
        )

    def failed(self, connection: Connection, who: str, place: Place | None = None) -> Standing:
        """Count a call that found nobody; returns how it stands now. place: of the obligation that it was for."""
        insert_missing(connection, endpoints, [{"key": self.endpoint.key, "host": self.endpoint.host}])
        row = self._locked(connection)
        tried = {} if place is None else {"tried_since": place.since, "tried_id": place.id}
        if row.state == CLOSED and row.failures + 1 < FAILURES_TO_OPEN:
            self._change(connection, failures=row.failures + 1)
        elif row.state == CLOSED:
            begins = {"opened_at": database_now(), "times_opened": row.times_opened + 1, "probes": 0}
            self._open(connection, FIRST_WAIT_S, **begins, failures=row.failures + 1)
        elif row.state == HALF_OPEN:
            self._open(connection, min(LONGEST_WAIT_S, row.wait_s * 2), failures=1, **tried)
        elif row.probe_by == who:
            wait_s = min(LONGEST_WAIT_S, row.wait_s * 2)
            until = {"next_probe_at": database_now(wait_s), "probe_by": None, "probe_until": None}
            self._change(connection, wait_s=wait_s, probes=row.probes + 1, failures=row.failures + 1, **until, **tried)
        return self.standing(connection)

    def answered(self, connection: Connection) -> Standing:
        """Count a call that was answered, well or not; returns how it stands now.

        An open one becomes half open with room for one call, each further answer makes room for one more, and with
        room for all it is closed.
        """
        row = self._locked(connection)
        if row is None:
            return Standing()
        if row.state == CLOSED:
            if row.failures:
                self._change(connection, failures=0)
        elif row.state == OPEN:
            nobody = {"probe_by": None, "probe_until": None, "next_probe_at": None}
            self._change(connection, state=HALF_OPEN, since=database_now(), failures=0, room=1, **nobody)
        elif row.room + 1 < self.slots:
            self._change(connection, failures=0, room=row.room + 1)
        else:
            forgotten = {"tried_since": None, "tried_id": None, "wait_s": 0.0, "probes": 0, "room": 0}
            self._change(connection, state=CLOSED, since=database_now(), failures=0, **forgotten)
        return self.standing(connection)

    @property
    def _mine(self) -> ColumnElement[bool]:
        return endpoints.c.key == self.endpoint.key

    def _locked(self, connection: Connection) -> Any:
        return connection.execute(select(endpoints).where(self._mine).with_for_update()).one_or_none()

    def _open(self, connection: Connection, wait_s: float, **changes: Any) -> None:
        until = {"wait_s": wait_s, "next_probe_at": database_now(wait_s), "probe_by": None, "probe_until": None}
        self._change(connection, state=OPEN, since=database_now(), room=0, **until, **changes)

    def _change(self, connection: Connection, **changes: Any) -> None:
        connection.execute(update(endpoints).where(self._mine).values(**changes))


def breaker_of(settings: Settings) -> Breaker | None:
    """Return the breaker of the server that the settings name; the extractive model has none."""
    endpoint = endpoint_of(settings)
    return None if endpoint is None else Breaker(endpoint, settings.llm_slots)


def standing(connection: Connection, endpoint: Endpoint) -> Standing:
    """Return how an endpoint stands; one of which nothing was ever heard is closed."""
    age = seconds_between(endpoints.c.since, database_now())
    down = seconds_between(endpoints.c.opened_at, database_now())
    due = and_(endpoints.c.state == OPEN, _nobody_probes(), _time_has_come())
    row = connection.execute(
        select(
            endpoints,
            func.coalesce(age, 0.0).label("age_s"),
            func.coalesce(down, 0.0).label("down_s"),
            due.label("probe_due"),
        ).where(endpoints.c.key == endpoint.key)
    ).one_or_none()
    if row is None:
        return Standing()
    return Standing(
        state=row.state,
        since=row.since,
        age_s=float(row.age_s),
        failures=row.failures,
        times_opened=row.times_opened,
        opened_at=row.opened_at,
        down_s=float(row.down_s),
        wait_s=row.wait_s,
        probes=row.probes,
        probe_due=bool(row.probe_due),
        room=row.room,
        tried=None if row.tried_since is None else Place(row.tried_since, row.tried_id),
    )


def _nobody_probes() -> ColumnElement[bool]:
    return or_(endpoints.c.probe_by.is_(None), endpoints.c.probe_until < database_now())


def _time_has_come() -> ColumnElement[bool]:
    return endpoints.c.next_probe_at <= database_now()
