"""Probes answer fast and truthfully: also when the database is away, and never with anybody's id."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.testclient import TestClient

from selo_dagster.clock import FixedClock
from selo_dagster.home import prepare_home
from selo_dagster.operations.alerts.keeping import keep
from selo_dagster.operations.http.metrics import METRICS
from selo_dagster.operations.http.probes import routes
from selo_dagster.operations.http.served import Served
from selo_dagster.operations.problems import Problem
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.retired import retired_obligations
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.job_runs import Tally, note_finish, note_start
from tests.sagas.builders import LINE, Room
from tests.support.fakes import NOW, add_person, say

SECRET = "xyzzy-planted-4711"


@pytest.fixture
def client(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    prepare_home(process_settings())
    with TestClient(application(store)) as made:
        yield made


def application(store: Store) -> Starlette:
    return Starlette(routes=routes(Served(process_settings(), store, FixedClock(NOW))))


def busy(store: Store) -> None:
    """Let there be something of everything."""
    add_person(store, SECRET)
    say(store, SECRET, "2026-11-22T10:00:00Z", SECRET)
    enrol(store, DAILY, NOW, 3)
    Room(store).start(LINE, note=SECRET)
    with store.write() as connection:
        connection.execute(
            update(ledger).values(state="done", ready_at=None, settled_at=NOW, model_calls=2, input_tokens=30)
        )
        connection.execute(
            retired_obligations.insert().values(
                kind="daily",
                state="done",
                number=40,
                model_calls=50,
                input_tokens=600,
                output_tokens=70,
                seconds=8.0,
            )
        )
        beat(connection, "due_requests", {})
        note_start(connection, "run-1", "daily")
        note_finish(connection, "run-1", "daily", Tally(5, 3, 1, 1))
        keep(connection, [Problem("dead", "daily: 1 obligations are dead", "daily")])


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}" if labels else one.name] = one.value
    return found


def test_live_says_only_that_the_process_is_there(client: TestClient) -> None:
    answer = client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"live": True})
    assert answer.headers["cache-control"] == "no-store"


def test_ready_answers_503_and_names_each_part(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    found = {one["name"]: one for one in answer.json()["components"]}
    assert found["database"]["ok"]
    assert not found["daemons"]["ok"]
    assert "selo up" in found["daemons"]["what_to_do"]


def test_every_metric_is_there_with_its_help_and_type_and_nobodys_id(store: Store, client: TestClient) -> None:
    busy(store)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert SECRET not in answer.text
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    assert set(families) == {name.removesuffix("_total") for name in METRICS}
    for name, family in families.items():
        counter = f"{name}_total" in METRICS
        assert family.type == ("counter" if counter else "gauge"), name
        assert family.documentation == METRICS[f"{name}_total" if counter else name]


def test_counters_include_what_is_gone(store: Store, client: TestClient) -> None:
    busy(store)
    found = samples(client.get("/metrics").text)
    assert found["selo_obligations_settled_total{kind=daily,state=done}"] == 41
    assert found["selo_obligations{kind=daily,state=done}"] == 1
    assert found["selo_model_calls_total{kind=daily}"] == 52
    assert found["selo_model_tokens_total{direction=input,kind=daily}"] == 630
    assert found["selo_last_settled_timestamp_seconds{kind=daily}"] == NOW.timestamp()
    assert found["selo_job_last_items{job=daily,outcome=succeeded}"] == 3
    assert found["selo_alerts_open{code=dead}"] == 1
    assert found["selo_alert_notices_undelivered"] == 1
    assert found[f"selo_sagas{{state=pending,type={LINE.name}}}"] == 1
    assert found["selo_database_up"] == 1


@pytest.mark.usefixtures("store_url")
def test_while_the_database_is_away_both_still_answer_and_say_so(client: TestClient) -> None:
    assert client.get("/livez").status_code == 200
    away = Store("postgresql://selo:hush-hush@127.0.0.1:1/selo")
    with TestClient(application(away)) as other:
        assert samples(other.get("/metrics").text) == {"selo_database_up": 0.0}
        answer = other.get("/readyz")
        assert answer.status_code == 503
        assert not answer.json()["components"][0]["ok"]
        assert "hush" not in answer.text


def test_the_code_location_loads_without_the_http_application(tmp_path: Path) -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, selo_dagster.definitions; print({'fastapi', 'uvicorn', 'apprise'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"SELO_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[3],
        timeout=100,
    )
    assert said.stdout.strip() == "set()"
