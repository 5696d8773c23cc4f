"""The desk in Dagster's launchpad does what the command does."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select

from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.desk_job import saga_desk
from selo_dagster.sagas.start import start
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, add_person

GOAL = {"title": "Swim", "description": "By the sea", "origin": "test", "steps": ["Go"]}


@pytest.fixture
def saga_id(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A saga that nobody has begun."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    add_person(store, "ana")
    with store.write() as connection:
        return start(connection, GOAL_CREATION, user_id="ana", key="k", given=GOAL, now=NOW, new_id=lambda: "saga-1").id


def act(**config: Any) -> dg.ExecuteInProcessResult:
    """Launch the job with a config."""
    given = {"actor": "olga", "because": "she asked", **config}
    return saga_desk.execute_in_process(run_config={"ops": {"act_on_saga": {"config": given}}}, raise_on_error=False)


def test_an_act_changes_the_saga_once_and_keeps_who_and_why(store: Store, saga_id: str) -> None:
    assert act(saga_id=saga_id, act="CANCEL").success
    assert act(saga_id=saga_id, act="CANCEL").success
    with store.read() as connection:
        state = connection.execute(select(sagas.c.state)).scalar_one()
        kept = connection.execute(select(saga_interventions)).one()
    assert (state, kept.action, kept.actor, kept.because) == ("cancelled", "cancel", "olga", "she asked")


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"saga_id": "nobody", "act": "RETRY"}, "unknown_saga_id"),
        ({"act": "WAIVE", "step": "no_such_step"}, "unknown_step"),
        ({"act": "PAUSE", "step": "plan"}, "wrong_use"),
        ({"act": "PAUSE", "because": " "}, "wrong_use"),
    ],
)
def test_a_wrong_act_is_red_with_its_code_and_changes_nothing(
    store: Store, saga_id: str, config: dict[str, Any], code: str
) -> None:
    result = act(**{"saga_id": saga_id, **config})
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.error is not None
    assert code in event.step_failure_data.error.message
    with store.read() as connection:
        assert connection.execute(select(saga_interventions)).all() == []
        assert connection.execute(select(sagas.c.state)).scalar_one() == "pending"
