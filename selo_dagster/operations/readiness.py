"""Whether the parts are there and working: one check a part, each with a reason and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from selo_dagster.clock import Clock
from selo_dagster.errors import SeloError
from selo_dagster.memory.stream import position
from selo_dagster.memory.tables import events
from selo_dagster.operations.alerts.sensor import INTERVAL_S as ALERTS_INTERVAL_S
from selo_dagster.operations.guard_sensor import INTERVAL_S as GUARD_INTERVAL_S
from selo_dagster.operations.self_check import switched_off
from selo_dagster.reflections.sensors import INTERVAL_S as DUE_INTERVAL_S
from selo_dagster.resources.disk import disk_percent
from selo_dagster.sagas.sensors import MONITOR_INTERVAL_S, RUNS_INTERVAL_S
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import heartbeats_now
from selo_dagster.store.schema import current_revision, require_schema
from selo_dagster.store.types import database_now, seconds_between
from selo_dagster.triggers.reader import READER as TRIGGERS_READER
from selo_dagster.triggers.sensors import INTERVAL_S as EVENTS_INTERVAL_S

DAEMON_SILENT_S: Final = 50.0
"""Seconds after which the daemon process is taken for gone: each of its threads says something every 30 s."""

THREAD_SILENT_S: Final = 180.0
"""The same for one of its threads while others still speak: between two signs of life it may have long work in hand."""

SENSOR_GRACE_S: Final = 25.0
SENSOR_LEAST_S: Final = 50.0
"""A sensor is silent after its interval and some grace, but not before this."""

UNREAD_LIMIT_S: Final = 120.0
"""Seconds that an event may wait for the triggers, which look every three."""

ASK_TIMEOUT_S: Final = 3.0

INTERVALS_S: Final = {
    "alerts": ALERTS_INTERVAL_S,
    "due_requests": DUE_INTERVAL_S,
    "memory_events": EVENTS_INTERVAL_S,
    "resource_guard": GUARD_INTERVAL_S,
    "saga_monitor": MONITOR_INTERVAL_S,
    "saga_runs": RUNS_INTERVAL_S,
}


@dataclass(frozen=True)
class Component:
    """One part. reason: what was found, in words for anybody; what_to_do: None while it is well."""

    name: str
    ok: bool
    reason: str
    what_to_do: str | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {"name": self.name, "ok": self.ok, "reason": self.reason, "what_to_do": self.what_to_do}


@dataclass(frozen=True)
class Readiness:
    """How every part is."""

    components: tuple[Component, ...]

    @property
    def ready(self) -> bool:
        """Whether all of them are well."""
        return all(one.ok for one in self.components)


Ask = Callable[[str, str, dict[str, Any] | None, dict[str, str]], tuple[int, Any]]
"""(method, address, JSON body, headers) -> (status, JSON answer or None). Raises OSError where nobody answers."""


def by_http(method: str, address: str, body: dict[str, Any] | None, headers: dict[str, str]) -> tuple[int, Any]:
    """Ask a server, within a bounded time."""
    import httpx2

    try:
        answer = httpx2.request(method, address, json=body, headers=headers, timeout=ASK_TIMEOUT_S)
    except httpx2.HTTPError as broken:
        raise OSError(type(broken).__name__) from None
    try:
        return answer.status_code, answer.json()
    except ValueError:
        return answer.status_code, None


def readiness(
    store: Store,
    settings: Settings,
    clock: Clock,
    *,
    ask: Ask = by_http,
    used: Callable[[Path], float] = disk_percent,
) -> Readiness:
    """Look at every part. clock: the machine's, by which Dagster's daemons leave their signs of life.

    used: percent of a folder's disk, may raise OSError.

    Never raises: what cannot be looked at is not ready.
    """
    return Readiness((*_components(store, settings, clock, ask), _disk(settings, used)))


def _components(store: Store, settings: Settings, clock: Clock, ask: Ask) -> Iterator[Component]:
    database = _database(store)
    yield database
    if database.ok:
        schema = _schema(store)
        yield schema
        if schema.ok:
            yield from _of_the_rows(store, settings)
    yield from _of_dagster(clock)
    if settings.webserver_url is not None:
        yield _code_location(settings.webserver_url, ask)
    yield _model(settings, ask)


def _database(store: Store) -> Component:
    try:
        current_revision(store)
    except SeloError as refused:
        if refused.code == "database_unreachable":
            return Component("database", ok=False, reason=refused.message, what_to_do="start it, or mend DATABASE_URL")
    except SQLAlchemyError as broken:
        return Component("database", ok=False, reason=type(broken).__name__, what_to_do="look at the database's log")
    return Component("database", ok=True, reason=f"{store.dialect} answers")


def _schema(store: Store) -> Component:
    try:
        require_schema(store)
    except SeloError as refused:
        return Component("schema", ok=False, reason=refused.message, what_to_do="run `selo db upgrade`")
    return Component("schema", ok=True, reason="as this code needs it")


def _of_the_rows(store: Store, settings: Settings) -> Iterator[Component]:
    try:
        with store.read() as connection:
            yield _events(connection)
            yield _sensors(connection, settings)
    except SQLAlchemyError as broken:
        yield Component("rows", ok=False, reason=type(broken).__name__, what_to_do="look at the database's log")


def _events(connection: Connection) -> Component:
    read = position(connection, TRIGGERS_READER)
    waiting = func.coalesce(func.max(seconds_between(events.c.created_at, database_now())), 0.0)
    unnumbered = select(waiting).where(events.c.seq.is_(None))
    unread = (
        select(seconds_between(events.c.created_at, database_now()))
        .where(events.c.seq > read)
        .order_by(events.c.seq)
        .limit(1)
    )
    age_s = max(float(connection.execute(unnumbered).scalar_one()), float(connection.execute(unread).scalar() or 0.0))
    if age_s > UNREAD_LIMIT_S:
        return Component(
            "events",
            ok=False,
            reason=f"the oldest unread event has waited for {age_s:.0f} s",
            what_to_do="look at the sensor memory_events: it reads the stream",
        )
    return Component("events", ok=True, reason="the stream is read")


def _sensors(connection: Connection, settings: Settings) -> Component:
    ages = {one.name: one.age_s for one in heartbeats_now(connection)}
    # Switched off by its setting, this one ticks and leaves no sign of life.
    watched = {name: s for name, s in INTERVALS_S.items() if name != "resource_guard" or settings.resource_guard}
    never = [name for name in watched if name not in ages]
    silent = [
        f"{name} for {ages[name]:.0f} s"
        for name, interval_s in watched.items()
        if ages.get(name, 0.0) > max(SENSOR_LEAST_S, interval_s + SENSOR_GRACE_S)
    ]
    said = [f"silent: {', '.join(silent)}"] * bool(silent) + [f"never ticked: {', '.join(never)}"] * bool(never)
    if said:
        return Component(
            "sensors",
            ok=False,
            reason="; ".join(said),
            what_to_do="look at their ticks on the UI's Automation page, and whether the daemon runs",
        )
    return Component("sensors", ok=True, reason="all have ticked lately")


def _of_dagster(clock: Clock) -> Iterator[Component]:
    try:
        with dg.DagsterInstance.get() as instance:
            yield _daemons(instance, clock)
            yield _switches(instance)
    except Exception as broken:  # noqa: BLE001 - whatever its storage raises, Dagster's records cannot be read
        yield Component(
            "daemons",
            ok=False,
            reason=f"Dagster's records cannot be read: {type(broken).__name__}",
            what_to_do="look at DAGSTER_HOME and at Dagster's database",
        )


def _daemons(instance: dg.DagsterInstance, clock: Clock) -> Component:
    now = clock.now().timestamp()
    ages_s = {
        name.lower(): None if found.last_heartbeat is None else now - found.last_heartbeat.timestamp
        for name, found in sorted(instance.get_daemon_statuses().items())
        if found.required
    }
    speaks = any(age_s is not None and age_s <= DAEMON_SILENT_S for age_s in ages_s.values())
    limit_s = THREAD_SILENT_S if speaks else DAEMON_SILENT_S
    late = [
        f"{name} never" if age_s is None else f"{name} {age_s:.0f} s ago"
        for name, age_s in ages_s.items()
        if age_s is None or age_s > limit_s
    ]
    if late:
        return Component(
            "daemons",
            ok=False,
            reason=f"last signs of life: {', '.join(late)}",
            what_to_do="start the daemon: `selo up`, or `dagster-daemon run`",
        )
    return Component("daemons", ok=True, reason="every daemon is alive")


def _switches(instance: dg.DagsterInstance) -> Component:
    stopped = switched_off(instance)
    if stopped:
        return Component(
            "schedules",
            ok=False,
            reason=f"switched off: {', '.join(stopped)}",
            what_to_do="start them on the UI's Automation page; to hold a kind back, prefer `selo pause`",
        )
    return Component("schedules", ok=True, reason="every schedule and sensor is on")


_LOCATIONS: Final = (
    "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus "
    "locationOrLoadError { __typename } } } } }"
)


def _code_location(webserver: str, ask: Ask) -> Component:
    what_to_do = "look at Deployment in the web UI, and at the code server's log"
    status = 0
    try:
        status, answer = ask("POST", f"{webserver.rstrip('/')}/graphql", {"query": _LOCATIONS}, {})
        entries = answer["data"]["workspaceOrError"]["locationEntries"]
    except OSError as broken:
        return Component(
            "code_location", ok=False, reason=f"the web UI does not answer: {broken}", what_to_do=what_to_do
        )
    except (KeyError, TypeError):
        return Component("code_location", ok=False, reason=f"the web UI answered {status}", what_to_do=what_to_do)
    broken_ones = [
        entry["name"]
        for entry in entries
        if entry["loadStatus"] != "LOADED"
        or (entry["locationOrLoadError"] or {}).get("__typename") != "RepositoryLocation"
    ]
    if broken_ones or not entries:
        return Component(
            "code_location",
            ok=False,
            reason=f"not loaded: {', '.join(broken_ones) or 'there is none'}",
            what_to_do=what_to_do,
        )
    return Component("code_location", ok=True, reason="loaded")


def _model(settings: Settings, ask: Ask) -> Component:
    if settings.llm_url is None:
        return Component("model", ok=True, reason="extractive: it needs no server")
    key = settings.llm_api_key
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    what_to_do = "start the model's server, or mend SELO_LLM_URL and SELO_LLM_API_KEY"
    try:
        status, _ = ask("GET", f"{settings.llm_url.rstrip('/')}/models", None, headers)
    except OSError as broken:
        return Component("model", ok=False, reason=f"its server does not answer: {broken}", what_to_do=what_to_do)
    # A server without this list still answers; only one that refuses everybody, or is broken, is not there.
    if status in {401, 403} or status >= 500:
        return Component("model", ok=False, reason=f"its server answers {status}", what_to_do=what_to_do)
    return Component("model", ok=True, reason="its server answers")


def _disk(settings: Settings, used: Callable[[Path], float]) -> Component:
    try:
        percent = used(settings.home)
    except OSError as broken:
        return Component("disk", ok=False, reason=type(broken).__name__, what_to_do="look at SELO_HOME")
    if percent >= settings.disk_warn:
        return Component(
            "disk",
            ok=False,
            reason=f"{percent:.1f} % of the disk of SELO_HOME are used (limit {settings.disk_warn:g} %)",
            what_to_do="free space: `selo housekeeping`, old logs, old runs",
        )
    return Component("disk", ok=True, reason=f"{percent:.0f} % used")
