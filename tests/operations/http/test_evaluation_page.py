"""The page of evaluations: scores by model, what is accepted, what fell short and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from selo_dagster.evaluation.accepting import accept_report, compared, store_report
from selo_dagster.evaluation.measures import RECALL
from selo_dagster.evaluation.report import Report
from selo_dagster.operations.http.page import routes
from selo_dagster.reflections.fingerprint import fingerprint_of
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from tests.evaluation.reports import report, unmeasured
from tests.operations.http.test_page import headline, seen
from tests.support.nights import NOW, Page

IN_USE = fingerprint_of(load_settings({}))


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    """A browser without a screen."""
    with TestClient(Starlette(routes=routes(Page(store)))) as opened:
        yield opened


def keep(store: Store, made: Report, minutes: int = 0, *, accept: bool = False) -> None:
    """Keep a report, and accept it where that is asked for."""
    at, name = NOW + timedelta(minutes=minutes), f"evaluation-{minutes}"
    with store.write() as connection:
        found = compared(connection, made)
        store_report(connection, made, at, name)
        assert not accept or accept_report(connection, name, found, at)


def card(html: str, model: str) -> str:
    found = re.search(rf'data-model="{model}">(.*?)</section>', html, re.DOTALL)
    assert found is not None
    return seen(found[1])


def test_without_any_evaluation_it_says_what_to_type(client: TestClient) -> None:
    answer = client.get("/evaluation")
    assert answer.status_code == 200
    assert headline(answer.text) == "Nothing was evaluated yet"
    assert "<code>selo eval</code>" in answer.text
    assert 'href="evaluation"' in client.get("/").text


def test_the_accepted_model_in_use_is_told_with_its_scores_and_what_fell_short(
    client: TestClient, store: Store
) -> None:
    keep(store, report("extractive", IN_USE), accept=True)
    html = client.get("/evaluation").text
    assert headline(html) == "The model in use is the accepted one"
    shown = card(html, "extractive")
    assert shown.startswith("extractive in use accepted")
    assert "citation recall 0.90" in shown
    assert "1 fell short a-case not cited" in shown
    assert "answers refused: insight without evidence 2" in shown


def test_a_model_that_fell_stands_beside_the_accepted_one(client: TestClient, store: Store) -> None:
    keep(store, report("qwen", "a" * 64), accept=True)
    keep(store, unmeasured(report("extractive", IN_USE, citation_recall=0.5), RECALL), 5)
    html = client.get("/evaluation").text
    assert headline(html) == "The model in use was not accepted"
    assert "selo eval --accept" in html
    assert "Or go back to qwen, which is accepted." in seen(html)
    assert "in use not whole 1 fell" in card(html, "extractive")
    assert "fell from 0.90" in card(html, "extractive")
    assert card(html, "qwen").startswith("qwen accepted")


def test_the_accepted_model_is_shown_however_many_came_after_it(client: TestClient, store: Store) -> None:
    keep(store, report("first", "a" * 64), accept=True)
    for number in range(1, 8):
        keep(store, report(f"model-{number}", f"{number}" * 64), number)
    html = client.get("/evaluation").text
    assert card(html, "first").startswith("first accepted")
    assert html.count("data-model=") == 4


def test_a_models_name_is_text_and_no_markup(client: TestClient, store: Store) -> None:
    keep(store, report("<script>alert(1)</script>", "a" * 64))
    html = client.get("/evaluation").text
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_database_that_is_away_is_named(client: TestClient, store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("DROP TABLE evaluations")
    answer = client.get("/evaluation")
    assert answer.status_code == 503
    assert "Nothing can be read" in headline(answer.text)
