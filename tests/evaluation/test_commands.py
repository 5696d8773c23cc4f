"""`selo eval`: what it prints, what it keeps, and when its exit status is not 0."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from selo_dagster.evaluation import commands
from selo_dagster.evaluation.measures import RECALL
from selo_dagster.evaluation.report import Report
from selo_dagster.llm.evaluations import accepted_fingerprint, evaluations
from selo_dagster.people.tables import users
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.evaluation.reports import report, unmeasured
from tests.support.command import Selo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def selo(store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    """The command on a migrated database."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("COLUMNS", "200")
    process_settings.cache_clear()
    return Selo(capsys)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """What the next evaluations find, first come first."""
    reports: list[Report] = []
    monkeypatch.setattr(commands, "evaluate", lambda *_, **__: reports.pop(0))
    return reports


def test_one_family_is_played_kept_and_touches_nobody(selo: Selo, store: Store) -> None:
    status, told = selo.json("eval", "--family", "updates")
    assert status == 0
    assert (told["model"], told["families"], told["number"]) == ("extractive", ["updates"], 6)
    assert told["scores"]["update_propagation"]["of"] >= 6
    with store.read() as connection:
        assert connection.execute(select(evaluations.c.id)).scalars().all() == [told["id"]]
        assert connection.execute(select(func.count()).select_from(users)).scalar_one() == 0


def test_accepting_needs_every_family(selo: Selo) -> None:
    status, told = selo.json("eval", "--family", "updates", "--accept")
    assert (status, told["error"]["code"]) == (2, "wrong_use")


def test_a_lower_score_is_refused_with_the_reason_and_the_exit_status_says_so(
    selo: Selo, store: Store, found: list[Report]
) -> None:
    found += [report(), report("llama", "b" * 64, citation_recall=0.5), report("llama", "b" * 64, citation_recall=0.5)]
    assert selo("eval", "--accept")[0] == 0
    status, told = selo.json("eval", "--accept")
    assert (status, told["accepted"]) == (1, False)
    assert told["fell"] == {RECALL: {"found": 0.5, "accepted": 0.9}}
    assert told["refusals"] == [f"{RECALL} fell from 0.9000 (qwen, accepted) to 0.5000"]
    # Also where nobody wants to accept it.
    status, printed = selo("eval")
    assert status == 1
    assert f"! {RECALL} is 0.5000, and was 0.9000 before" in printed
    with store.read() as connection:
        assert accepted_fingerprint(connection) == "a" * 64


def test_what_could_not_be_measured_is_no_score_and_no_success(selo: Selo, found: list[Report]) -> None:
    found += [unmeasured(report(), RECALL, 4)]
    status, printed = selo("eval", "--accept")
    assert status == 1
    assert "4 checks could not be measured" in selo.error
    assert "calls without an answer: timeout 4" in printed


def test_as_a_process_it_prints_one_document(sqlite_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "selo_dagster", "eval", "--family", "injection", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": sqlite_url},
        check=False,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, told["complete"]) == (0, True)
