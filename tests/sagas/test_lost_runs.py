"""A run that died with sagas in its hands is known as dead, also when others have taken all of them over."""

from __future__ import annotations

from sqlalchemy import update

from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.claim import claim, take_back_expired
from selo_dagster.sagas.reconcile import runs_past_their_lease
from selo_dagster.sagas.states import FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import note_start
from selo_dagster.store.types import database_now
from tests.crash.saga_processes import ask_for
from tests.support.fakes import NOW


def test_a_run_whose_sagas_were_taken_over_is_still_one_past_its_lease_unless_it_holds_others(store: Store) -> None:
    ask_for(store, ["ana"])
    with store.write() as connection:
        note_start(connection, "dead", f"saga_{GOAL_CREATION.name}")
        claim(connection, GOAL_CREATION, FORWARD, run_id="dead", now=NOW, lease_s=30, limit=1)
        assert runs_past_their_lease(connection) == []
        connection.execute(update(sagas).values(lease_until=database_now(-1)))
        assert take_back_expired(connection) == 1
        claim(connection, GOAL_CREATION, FORWARD, run_id="other", now=NOW, lease_s=30, limit=1)
        assert runs_past_their_lease(connection) == ["dead"]
    ask_for(store, ["ben"])
    with store.write() as connection:
        assert len(claim(connection, GOAL_CREATION, FORWARD, run_id="dead", now=NOW, lease_s=30, limit=1)) == 1
        assert runs_past_their_lease(connection) == []
