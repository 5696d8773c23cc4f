"""What a run did to sagas, in numbers."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from selo_dagster.sagas.states import COMPENSATE, COMPENSATING, COMPLETED, ENDED, NEEDS_A_PERSON
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import Tally, note_finish


def tally_of(connection: Connection, run_id: str, direction: str) -> Tally:
    """Count the sagas that a run held last, by how they stand. Forward, one that turned round has failed."""
    states = {
        row.state: row.n
        for row in connection.execute(
            select(sagas.c.state, func.count().label("n")).where(sagas.c.run_id == run_id).group_by(sagas.c.state)
        )
    }
    good = ENDED if direction == COMPENSATE else (COMPLETED,)
    bad = NEEDS_A_PERSON if direction == COMPENSATE else (*NEEDS_A_PERSON, COMPENSATING)
    return Tally(
        total=sum(states.values()),
        succeeded=sum(states.get(state, 0) for state in good),
        failed=sum(states.get(state, 0) for state in bad),
    )


def note_end(store: Store, run_id: str, direction: str, error: str | None = None) -> None:
    """Remember what a run did; one that claimed nothing was never noted and stays so."""
    with store.write() as connection:
        note_finish(connection, run_id, None, tally_of(connection, run_id, direction), error)
