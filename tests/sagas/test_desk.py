"""The operator's desk: each act says who and why, fences whoever holds the saga, and changes nothing twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.errors import SeloError
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.states import COMPENSATE
from selo_dagster.sagas.tables import saga_interventions
from selo_dagster.store.engine import Store
from tests.sagas.builders import DIAMOND, LINE, PIVOTED, Room


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


def refused(room: Room, action: str, saga_id: str, *more: str) -> str:
    """Return the code with which an act is refused, and check that it left no trace."""
    before = [tuple(row) for row in room.rows()]
    with pytest.raises(SeloError) as raised:
        room.act(action, saga_id, *more)
    assert [tuple(row) for row in room.rows()] == before
    return raised.value.code


def completed(room: Room, saga: Saga = LINE, **wanted: Any) -> str:
    saga_id = room.start(saga, **wanted)
    room.forward(saga)
    assert room.state(saga_id) == "completed"
    return saga_id


def incomplete(room: Room) -> str:
    """Return a saga one of whose undos was refused."""
    saga_id = room.start(DIAMOND, fail_at={"tip": "error"}, undo_fail_at={"left": "refused"})
    room.forward(DIAMOND)
    assert room.back(DIAMOND) == {"compensation_incomplete": 1}
    return saga_id


@pytest.mark.parametrize("action", ["cancel", "compensate", "retry", "pause", "resume"])
def test_a_saga_that_is_not_there_is_named(room: Room, action: str) -> None:
    assert refused(room, action, "nothing") == "unknown_saga_id"


def test_a_saga_that_nobody_has_begun_is_cancelled_at_once(room: Room) -> None:
    saga_id, later = room.start(LINE), room.start(LINE)
    assert room.act("cancel", saga_id) == ("cancelled", True)
    row = room.row(saga_id)
    assert (row.state, row.reason, row.ended_at) == ("cancelled", "cancelled", room.clock.now())
    assert room.act("cancel", saga_id) == ("cancelled", False)
    assert room.interventions(saga_id) == [("cancel", "olga", "it is right", "pending", "cancelled")]
    assert [token[0] for token in room.claim(LINE)] == [later]


def test_a_saga_that_a_run_holds_is_taken_from_it_and_goes_back(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    assert room.act("cancel", saga_id) == ("compensating", True)
    assert room.act("cancel", saga_id) == ("compensating", False)
    assert room.step(LINE, "look", tokens).lost == 1
    assert room.back(LINE) == {"cancelled": 1}
    assert room.effects(saga_id) == []


def test_a_saga_that_has_done_something_is_undone_by_a_cancel(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    for step in ("look", "one"):
        room.step(LINE, step, tokens)
    assert room.act("cancel", saga_id) == ("compensating", True)
    assert room.step(LINE, "two", tokens).lost == 1
    assert room.back(LINE) == {"compensated": 1}
    assert room.undone(saga_id) == ["one"]
    assert room.act("cancel", saga_id) == ("compensated", False)


def test_a_saga_that_waits_is_cancelled_without_waiting(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"one": "transient"})
    room.forward(LINE)
    assert room.act("cancel", saga_id) == ("compensating", True)
    assert room.back(LINE) == {"cancelled": 1}
    assert room.state(saga_id) == "cancelled"


@pytest.mark.parametrize("action", ["cancel", "compensate"])
def test_after_the_pivot_there_is_no_way_back(room: Room, action: str) -> None:
    saga_id = room.start(PIVOTED)
    tokens = room.claim(PIVOTED)
    for step in ("one", "turn"):
        room.step(PIVOTED, step, tokens)
    assert refused(room, action, saga_id) == "past_pivot"
    assert room.step(PIVOTED, "last", tokens).done == [saga_id]


def test_a_completed_saga_is_not_cancelled_and_the_refusal_names_the_right_act(room: Room) -> None:
    saga_id = completed(room)
    assert refused(room, "cancel", saga_id) == "already_ended"
    assert refused(room, "retry", saga_id) == "already_ended"
    assert refused(room, "pause", saga_id) == "already_ended"


def test_a_completed_saga_is_undone_within_its_retention(room: Room) -> None:
    saga_id = completed(room)
    room.later(days=LINE.undo_days)
    assert room.act("compensate", saga_id) == ("compensating", True)
    assert room.act("compensate", saga_id) == ("compensating", False)
    assert room.row(saga_id).ended_at is None
    assert room.back(LINE) == {"compensated": 1}
    assert room.undone(saga_id) == ["three", "two", "one"]
    assert room.act("compensate", saga_id) == ("compensated", False)
    assert [row[0] for row in room.interventions(saga_id)] == ["compensate"]


def test_a_completed_saga_is_not_undone_after_its_retention(room: Room) -> None:
    saga_id = completed(room)
    room.later(days=LINE.undo_days, microseconds=1)
    assert refused(room, "compensate", saga_id) == "too_late"


def test_a_completed_saga_that_passed_its_pivot_is_not_undone(room: Room) -> None:
    assert refused(room, "compensate", completed(room, PIVOTED)) == "past_pivot"


def test_a_saga_under_way_is_undone_when_asked(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    for step in ("look", "one"):
        room.step(LINE, step, tokens)
    assert room.act("compensate", saga_id) == ("compensating", True)
    assert room.step(LINE, "two", tokens).lost == 1
    assert room.back(LINE) == {"compensated": 1}


def test_a_retry_goes_on_in_the_same_direction_with_all_its_tries(room: Room) -> None:
    saga_id = room.start(PIVOTED, fail_at={"last": "transient"}, times=3)
    room.work_off(PIVOTED)
    assert (room.state(saga_id), room.step_rows(saga_id)["last"].attempts) == ("parked", 3)
    assert room.act("retry", saga_id) == ("pending", True)
    assert room.act("retry", saga_id) == ("pending", False)
    assert room.step_rows(saga_id)["last"].attempts == 0
    assert (room.row(saga_id).generation, room.alerts(saga_id)) == (1, [])
    assert room.row(saga_id).reason is None
    # The handler fails on its first three tries, and has three again.
    room.forward(PIVOTED)
    assert (room.state(saga_id), room.step_rows(saga_id)["last"].attempts) == ("waiting", 1)
    assert room.effects(saga_id) == ["one", "turn"]


def test_a_retry_of_a_saga_that_waits_does_not_wait(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"one": "transient"}, times=1)
    room.forward(LINE)
    assert room.claimable(LINE) == 0
    assert room.act("retry", saga_id) == ("pending", True)
    assert room.claimable(LINE) == 1


def test_a_retry_of_an_undo_goes_on_with_the_undo(room: Room) -> None:
    saga_id = incomplete(room)
    assert room.act("retry", saga_id) == ("compensating", True)
    row = room.row(saga_id)
    assert (row.direction, row.generation, row.reason) == ("compensate", 1, None)
    assert room.step_rows(saga_id)["left"].undo_attempts == 0
    assert room.alerts(saga_id) == []
    assert (room.claimable(DIAMOND), room.claimable(DIAMOND, COMPENSATE)) == (0, 1)
    assert room.back(DIAMOND) == {"compensation_incomplete": 1}
    assert room.alerts(saga_id) == ["compensation_incomplete"]


def test_a_retry_of_a_saga_under_way_changes_nothing(room: Room) -> None:
    saga_id = room.start(LINE)
    (token,) = room.claim(LINE)
    assert room.act("retry", saga_id) == ("running", False)
    assert room.step(LINE, "look", [token]).done == [saga_id]
    assert room.interventions(saga_id) == []


def test_a_restart_after_an_undo_is_a_new_generation_with_new_tokens_and_keeps_the_old_story(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"three": "error"}, times=1)
    room.forward(LINE)
    room.back(LINE)
    room.later(days=5)
    assert room.act("retry", saga_id) == ("pending", True)
    row = room.row(saga_id)
    assert (row.generation, row.direction, row.reason, row.error, row.ended_at) == (2, "forward", None, None, None)
    assert row.deadline_at == room.clock.now() + timedelta(seconds=LINE.deadline_s)
    assert room.steps(saga_id) == {}
    room.work_off(LINE)
    assert room.steps(saga_id, 1)["one"] == "undone"
    assert f"{saga_id}/1/one/forward" in room.tokens(saga_id)
    assert f"{saga_id}/2/one/forward" in room.tokens(saga_id)
    assert len(set(room.tokens(saga_id))) == len(room.tokens(saga_id))


def test_a_cancelled_saga_can_be_started_anew_and_cancelled_again(room: Room) -> None:
    saga_id = room.start(LINE)
    room.act("cancel", saga_id)
    room.act("retry", saga_id)
    assert room.row(saga_id).cancel_requested is False
    assert room.act("cancel", saga_id) == ("cancelled", True)


def test_a_step_whose_undo_was_done_by_hand_is_waived_and_the_way_back_goes_on(room: Room) -> None:
    saga_id = incomplete(room)
    assert room.act("waive", saga_id, "left") == ("compensating", True)
    assert room.act("waive", saga_id, "left") == ("compensating", False)
    assert room.back(DIAMOND) == {"compensated": 1}
    assert room.effects(saga_id) == ["left"]
    assert room.steps(saga_id) == {"root": "undone", "left": "waived", "right": "undone", "tip": "nothing_to_undo"}
    assert room.interventions(saga_id) == [("waive", "olga", "it is right", "compensation_incomplete", "compensating")]
    with room.store.read() as connection:
        assert connection.execute(select(saga_interventions.c.step)).scalars().all() == ["left"]


@pytest.mark.parametrize(
    ("step", "code"), [("nothing", "unknown_step"), ("right", "not_waivable"), ("tip", "not_waivable")]
)
def test_only_an_undo_that_is_still_owed_is_waived(room: Room, step: str, code: str) -> None:
    assert refused(room, "waive", incomplete(room), step) == code


def test_a_step_of_a_saga_that_goes_forward_is_not_waived(room: Room) -> None:
    assert refused(room, "waive", completed(room), "one") == "not_waivable"


def test_a_waiver_without_a_name_or_a_reason_is_refused(room: Room) -> None:
    saga_id = incomplete(room)
    for actor, because in (("", "done by hand"), ("olga", " ")):
        with pytest.raises(SeloError), room.store.write() as connection:
            room.desk(connection, actor, because).waive(saga_id, "left")
    assert room.steps(saga_id)["left"] == "undoing"


@pytest.mark.parametrize("direction", ["forward", "compensate"])
def test_a_paused_saga_rests_and_goes_on_where_it_was(room: Room, direction: str) -> None:
    if direction == "forward":
        saga_id = room.start(LINE)
        tokens = room.claim(LINE)
        state = "running"
    else:
        saga_id = completed(room)
        room.act("compensate", saga_id)
        tokens = room.claim(LINE, COMPENSATE)
        state = "compensating"
    assert room.act("pause", saga_id) == ("paused", True)
    assert room.act("pause", saga_id) == ("paused", False)
    if direction == "forward":
        assert room.step(LINE, "look", tokens).lost == 1
    else:
        assert room.undo(LINE, "three", tokens).lost == 1
    assert room.claim(LINE, direction, "run-2") == []
    assert room.act("resume", saga_id) == (state, True)
    assert room.act("resume", saga_id) == (state, False)
    assert [token[0] for token in room.claim(LINE, direction, "run-2")] == [saga_id]
    assert [row[0] for row in room.interventions(saga_id)[-2:]] == ["pause", "resume"]


def test_while_one_rests_the_persons_next_one_waits(room: Room) -> None:
    first, second = room.start(LINE), room.start(LINE)
    room.act("pause", first)
    assert room.claim(LINE) == []
    room.act("cancel", first)
    room.work_off(LINE)
    assert (room.state(first), room.state(second)) == ("cancelled", "completed")


def test_who_did_what_and_why_is_kept_with_the_time(room: Room) -> None:
    saga_id = room.start(LINE)
    with room.store.write() as connection:
        room.desk(connection, "Дана", "she asked").pause(saga_id)
    with room.store.read() as connection:
        (row,) = connection.execute(select(saga_interventions)).all()
    assert (row.actor, row.because, row.at, row.before, row.after) == (
        "Дана",
        "she asked",
        room.clock.now(),
        "pending",
        "paused",
    )


def test_an_act_that_is_rolled_back_has_not_happened(room: Room) -> None:
    saga_id = room.start(LINE)
    (token,) = room.claim(LINE)
    with pytest.raises(RuntimeError), room.store.write() as connection:
        room.desk(connection).cancel(saga_id)
        raise RuntimeError
    assert room.interventions(saga_id) == []
    assert room.step(LINE, "look", [token]).done == [saga_id]
