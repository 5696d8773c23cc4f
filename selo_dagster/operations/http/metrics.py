"""What Prometheus is told: gauges and counters read from the ledgers, never counted in a process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from selo_dagster.clock import parse_instant
from selo_dagster.operations.alerts.tables import alert_notices, alerts
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.retired import retired_obligations
from selo_dagster.reflections.states import SETTLED

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

METRICS: Final[dict[str, str]] = {
    "selo_build_info": "Version of this code and revision of its schema.",
    "selo_database_up": "1 while the project's database can be used.",
    "selo_people": "People by state.",
    "selo_obligations": "Rows of the reflection ledger by kind and state.",
    "selo_obligations_settled_total": "Obligations settled so far, also those whose rows are gone.",
    "selo_obligations_ready": "Obligations that a run could take now.",
    "selo_lag_seconds": "Seconds since the oldest ready obligation became due.",
    "selo_lag_target_seconds": "Seconds of lag from which a kind is overdue.",
    "selo_last_settled_timestamp_seconds": "When an obligation of a kind was settled last.",
    "selo_model_calls_total": "Calls of the model so far.",
    "selo_model_tokens_total": "Tokens as counted by the model's server.",
    "selo_tainted": "Obligations of the last day that made something from hostile or untrusted text.",
    "selo_events_unseen": "Events that the triggers have not read.",
    "selo_events_parked": "Events that could not be judged and wait for a person.",
    "selo_sagas": "Sagas by type and state.",
    "selo_saga_conditions": "Sagas under way by how they get on.",
    "selo_saga_oldest_unchanged_seconds": "How long the saga that stands still for longest has not changed.",
    "selo_saga_takeovers_total": "Claims of sagas that were taken back from whoever held them.",
    "selo_job_last_start_timestamp_seconds": "When a job began last.",
    "selo_job_last_finish_timestamp_seconds": "When a job ended last.",
    "selo_job_last_seconds": "Seconds that a job's last finished run took.",
    "selo_job_last_items": "People, sagas or rows of a job's last finished run, by outcome.",
    "selo_heartbeat_age_seconds": "Seconds since the last sign of life.",
    "selo_guard_holds_back": "1 while the resource guard holds scheduled work back.",
    "selo_budget_cap": "What may be spent in a day by scope and kind, in tokens or money.",
    "selo_budget_spent": "What is spent of it today, in UTC.",
    "selo_budget_reserved": "What calls under way have reserved of it.",
    "selo_budget_held_back": "Obligations and sagas that wait for room in a budget.",
    "selo_one_offs_waiting": "One-offs that wait for their time.",
    "selo_one_offs_overdue": "One-offs that should have begun.",
    "selo_problem": "1 while something needs a person, by its code in the runbook.",
    "selo_alerts_open": "Open alerts by code.",
    "selo_alert_notices_undelivered": "Notices of alerts that not every address has.",
    "selo_scrape_seconds": "Seconds that reading all this took.",
}
"""Every metric with its help. Labels are kinds, types, states, codes and names: never a person."""


def rendered(families: Iterable[Metric]) -> bytes:
    """Return metrics in Prometheus's text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(list(families)))
    return generate_latest(registry)


class _Given(Collector):
    """Hands out what was read."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._families

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are not checked against each other before they are read."""
        return ()


def without_database() -> list[Metric]:
    """Return what can be told while the database cannot be used."""
    return [_gauge("selo_database_up", {(): 0.0})]


def families(connection: Connection, status: Mapping[str, Any], seconds: float) -> Iterator[Metric]:
    """Yield every metric. status: as `selo status` says it; seconds: that reading it took."""
    yield _gauge("selo_database_up", {(): 1.0})
    yield _gauge(
        "selo_build_info",
        {(version("selo-dagster"), status["database"]["schema"]): 1.0},
        "version",
        "schema",
    )
    yield _gauge("selo_people", {(state,): number for state, number in status["people"].items()}, "state")
    yield from _of_kinds(connection, status["kinds"])
    yield _gauge("selo_events_unseen", {(): status["triggers"]["unseen"]})
    yield _gauge("selo_events_parked", {(): status["triggers"]["parked"]})
    yield from _of_sagas(status["sagas"])
    yield from _of_jobs(status["jobs"])
    ages = {(name,): beat["age_s"] for name, beat in status["heartbeats"].items()}
    yield _gauge("selo_heartbeat_age_seconds", ages, "name")
    yield _gauge("selo_guard_holds_back", {(): float(bool(status["guard"] and status["guard"]["holds_back"]))})
    yield from _of_budgets(status["budgets"])
    yield _gauge("selo_one_offs_waiting", {(): status["one_offs"]["waiting"]})
    yield _gauge("selo_one_offs_overdue", {(): status["one_offs"]["overdue"]})
    yield _gauge("selo_problem", {(one["code"],): 1.0 for one in status["problems"]}, "code")
    yield from _of_alerts(connection)
    yield _gauge("selo_scrape_seconds", {(): seconds})


Samples = Mapping[Any, float]
"""Values of the labels -> value."""


def _gauge(name: str, samples: Samples, *labels: str) -> Metric:
    family = GaugeMetricFamily(name, METRICS[name], labels=labels)
    for values, value in sorted(samples.items()):
        family.add_metric(values, value)
    return family


def _counter(name: str, samples: Samples, *labels: str) -> Metric:
    family = CounterMetricFamily(name.removesuffix("_total"), METRICS[name], labels=labels)
    for values, value in sorted(samples.items()):
        family.add_metric(values, value)
    return family


def _of_kinds(connection: Connection, kinds: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge(
        "selo_obligations",
        {(name, state): number for name, kind in kinds.items() for state, number in kind["states"].items()},
        "kind",
        "state",
    )
    for metric, field in (
        ("selo_obligations_ready", "ready"),
        ("selo_lag_seconds", "lag_s"),
        ("selo_tainted", "tainted"),
        ("selo_lag_target_seconds", "lag_target_s"),
    ):
        yield _gauge(metric, {(name,): kind[field] for name, kind in kinds.items()}, "kind")
    settled_at = {
        (name,): parse_instant(kind["last_settled_at"]).timestamp()
        for name, kind in kinds.items()
        if kind["last_settled_at"] is not None
    }
    yield _gauge("selo_last_settled_timestamp_seconds", settled_at, "kind")
    yield from _totals(connection, kinds)


def _totals(connection: Connection, kinds: Mapping[str, Any]) -> Iterator[Metric]:
    settled = {(name, state): float(kind["states"][state]) for name, kind in kinds.items() for state in SETTLED}
    calls: dict[tuple[str, ...], float] = dict.fromkeys(((name,) for name in kinds), 0.0)
    tokens: dict[tuple[str, ...], float] = {}
    for table in (ledger, retired_obligations):
        columns = [func.sum(table.c[name]).label(name) for name in ("model_calls", "input_tokens", "output_tokens")]
        for row in connection.execute(select(table.c.kind, *columns).group_by(table.c.kind)):
            calls[row.kind,] = calls.get((row.kind,), 0.0) + float(row.model_calls)
            for direction, number in (("input", row.input_tokens), ("output", row.output_tokens)):
                tokens[row.kind, direction] = tokens.get((row.kind, direction), 0.0) + float(number)
    gone = select(retired_obligations.c.kind, retired_obligations.c.state, retired_obligations.c.number)
    for row in connection.execute(gone.where(retired_obligations.c.state.in_(SETTLED))):
        settled[row.kind, row.state] = settled.get((row.kind, row.state), 0.0) + row.number
    yield _counter("selo_obligations_settled_total", settled, "kind", "state")
    yield _counter("selo_model_calls_total", calls, "kind")
    yield _counter("selo_model_tokens_total", tokens, "kind", "direction")


def _of_budgets(found: Mapping[str, Any] | None) -> Iterator[Metric]:
    """Yield the budgets of the fleet and the kinds: there are few of them, and none is a person's."""
    lines: list[Mapping[str, Any]] = [] if found is None else found["lines"]
    for metric, field in (
        ("selo_budget_cap", "cap"),
        ("selo_budget_spent", "spent"),
        ("selo_budget_reserved", "reserved"),
    ):
        amounts = {
            (one["scope"], one["subject"], unit): float(amount)
            for one in lines
            for unit, amount in one[field].items()
            if amount is not None
        }
        yield _gauge(metric, amounts, "scope", "kind", "unit")
    held = [] if found is None else found["held_back"]
    yield _gauge("selo_budget_held_back", {(one["kind"],): one["number"] for one in held}, "kind")


def _of_sagas(found: Mapping[str, Any]) -> Iterator[Metric]:
    by_state = {
        (type_name, state): number for type_name, states in found["by_type"].items() for state, number in states.items()
    }
    yield _gauge("selo_sagas", by_state, "type", "state")
    yield _gauge("selo_saga_conditions", {(name,): n for name, n in found["conditions"].items()}, "condition")
    still = {
        (one["type"],): one["oldest_unchanged_seconds"]
        for one in found["times"]
        if one["oldest_unchanged_seconds"] is not None
    }
    yield _gauge("selo_saga_oldest_unchanged_seconds", still, "type")
    taken = {(one["type"],): float(one["takeovers"] or 0) for one in found["times"]}
    yield _counter("selo_saga_takeovers_total", taken, "type")


def _of_jobs(jobs: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    listed = list(jobs)
    for metric, field in (
        ("selo_job_last_start_timestamp_seconds", "last_start"),
        ("selo_job_last_finish_timestamp_seconds", "last_finish"),
    ):
        at = {(one["job"],): parse_instant(one[field]).timestamp() for one in listed if one[field] is not None}
        yield _gauge(metric, at, "job")
    ended = [one for one in listed if one["last_finish"] is not None]
    yield _gauge("selo_job_last_seconds", {(one["job"],): one["seconds"] for one in ended}, "job")
    items = {(one["job"], outcome): one[outcome] for one in ended for outcome in ("succeeded", "skipped", "failed")}
    yield _gauge("selo_job_last_items", items, "job", "outcome")


def _of_alerts(connection: Connection) -> Iterator[Metric]:
    open_now = connection.execute(
        select(alerts.c.code, func.count().label("n")).where(alerts.c.resolved_at.is_(None)).group_by(alerts.c.code)
    )
    yield _gauge("selo_alerts_open", {(row.code,): row.n for row in open_now}, "code")
    untold = connection.execute(
        select(func.count()).select_from(alert_notices).where(alert_notices.c.delivered_at.is_(None))
    ).scalar_one()
    yield _gauge("selo_alert_notices_undelivered", {(): untold})
