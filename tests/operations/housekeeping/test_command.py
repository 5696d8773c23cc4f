"""`selo housekeeping` and the nightly job, as an operator sees them."""

from __future__ import annotations

import dagster as dg
import pytest
from sqlalchemy import select

from selo_dagster.errors import SeloError
from selo_dagster.operations.housekeeping.dagster_runs import GROUP
from selo_dagster.operations.housekeeping.groups import NAMES
from selo_dagster.operations.housekeeping_command import DAGSTER, seconds_of
from selo_dagster.operations.housekeeping_job import housekeeping
from selo_dagster.settings import load_settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import job_runs
from tests.operations.housekeeping.old import everything, fill
from tests.support.command import Selo
from tests.support.fakes import NOW

AT = NOW.isoformat()


@pytest.fixture
def selo(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    """The command on a database with something old in it."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("COLUMNS", "200")
    process_settings.cache_clear()
    fill(store)
    return Selo(capsys)


def only(*names: str) -> list[str]:
    return [one for name in names for one in ("--only", name)]


def test_the_document_says_the_same_dry_and_in_earnest(selo: Selo, store: Store) -> None:
    before = everything(store)
    documents = []
    for dry in (["--dry-run"], []):
        status, document = selo.json("housekeeping", *dry, *only(*NAMES), "--now", AT)
        assert (status, document["dry_run"], document["keep_days"], document["finished"]) == (0, bool(dry), 90, True)
        assert (everything(store) == before) is bool(dry)
        documents.append({name: document[name] for name in ("deleted", "emptied", "tables")})
    assert documents[0] == documents[1]
    assert documents[0]["deleted"]["reflection_ledger"] == 2
    assert documents[0]["emptied"] == {"saga_steps": 1}
    (jobs,) = [one for one in documents[0]["tables"] if one["table"] == "job_runs"]
    assert jobs == {
        "group": "job_runs",
        "table": "job_runs",
        "rows": 2,
        "keep_days": 180,
        "stays": "the last of each job",
        "emptied": False,
    }


def test_only_a_group_is_cleaned_and_the_table_tells_people(selo: Selo, store: Store) -> None:
    status, printed = selo("housekeeping", "--only", "job_runs", "--now", AT)
    assert status == 0
    assert all(word in printed for word in ("gone", "job_runs", "180 days", "the last of each job"))
    with store.read() as connection:
        assert connection.execute(select(job_runs.c.run_id)).scalars().all() == ["r2"]
    assert "would go" in selo("housekeeping", "--dry-run", "--only", "alerts", "--now", AT)[1]


def test_without_time_nothing_goes_and_it_says_so(selo: Selo, store: Store) -> None:
    before = everything(store)
    status, document = selo.json("housekeeping", "--for", "0s", *only(*NAMES), "--now", AT)
    assert (status, document["finished"], everything(store) == before) == (0, False, True)
    assert "time was up" in selo("housekeeping", "--for", "0s", "--only", "alerts", "--now", AT)[1]


def test_dagsters_runs_are_a_group_of_their_own(selo: Selo) -> None:
    status, document = selo.json("housekeeping", "--only", DAGSTER, "--now", AT)
    assert (status, DAGSTER, document["deleted"]) == (0, GROUP, {})
    assert document["dagster_runs"] == {
        "deleted": 0,
        "holding": 0,
        "keep_days": 60,
        "failure_keep_days": 180,
        "finished": True,
    }
    assert DAGSTER in selo("housekeeping", "--only", DAGSTER, "--now", AT)[1]


@pytest.mark.parametrize("wrong", [("--for", "soon"), ("--for", "30"), ("--only", "messages"), ("--older-than", "1")])
def test_wrong_use_is_refused_and_nothing_goes(selo: Selo, store: Store, wrong: tuple[str, str]) -> None:
    before = everything(store)
    assert selo.json("housekeeping", *wrong, "--now", AT)[0] == 2
    assert everything(store) == before


def test_durations_are_read() -> None:
    assert [seconds_of(text) for text in ("90s", "30m", "2h")] == [90.0, 1_800.0, 7_200.0]


@pytest.mark.usefixtures("selo")
def test_the_nightly_job_tells_the_numbers_of_each_table(store: Store) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = housekeeping.execute_in_process(instance=instance)
    (told,) = [one.step_output_data.metadata for one in result.all_node_events if one.is_successful_output]
    numbers = {name: value.value for name, value in told.items()}
    assert (numbers["reflection_ledger"], numbers["saga_steps"], numbers[GROUP], numbers["finished"]) == (2, 1, 0, 1)
    with store.read() as connection:
        assert connection.execute(select(job_runs.c.run_id)).scalars().all() == ["r2"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SELO_LEDGER_KEEP_DAYS": "89"}, "SELO_LEDGER_KEEP_DAYS"),
        ({"SELO_LEDGER_KEEP_DAYS": "90", "SELO_ATTEMPT_KEEP_DAYS": "91"}, "SELO_ATTEMPT_KEEP_DAYS"),
        ({"SELO_DAGSTER_FAILURE_KEEP_DAYS": "59"}, "SELO_DAGSTER_FAILURE_KEEP_DAYS"),
    ],
)
def test_a_retention_below_what_rests_on_it_stops_the_load(given: dict[str, str], named: str) -> None:
    with pytest.raises(SeloError, match=named):
        load_settings(given)
