"""A run of sagas says in numbers what it came to."""

from __future__ import annotations

from selo_dagster.operations.job_status import last_runs
from selo_dagster.sagas.run_tally import note_end, tally_of
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import Tally, note_start
from tests.sagas.builders import LINE, Room


def test_forward_what_turned_round_has_failed_and_back_it_has_succeeded(store: Store) -> None:
    room = Room(store)
    first, second, third = room.people(3)
    room.start(LINE, first)
    room.start(LINE, second, fail_at={"two": "error"})
    room.start(LINE, third, fail_at={"one": "transient"})
    room.forward(LINE, "run-1")
    with store.read() as connection:
        assert tally_of(connection, "run-1", FORWARD) == Tally(total=3, succeeded=1, failed=1)
    room.back(LINE, "run-2")
    with store.read() as connection:
        assert tally_of(connection, "run-2", COMPENSATE) == Tally(total=1, succeeded=1)


def test_a_run_that_claimed_nothing_is_not_counted_among_the_last(store: Store) -> None:
    note_end(store, "run-0", FORWARD)
    with store.write() as connection:
        note_start(connection, "run-1", "saga_line")
    note_end(store, "run-1", FORWARD, "StepError")
    with store.read() as connection:
        (found,) = last_runs(connection)
    assert (found["job"], found["error"]) == ("saga_line", "StepError")
