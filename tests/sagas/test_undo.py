"""The way back: in reversed order of what rests on what, never more than was done, as far as it goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from selo_dagster.people.goals import goal_steps, goals
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.start import start
from selo_dagster.sagas.states import COMPENSATE
from selo_dagster.store.engine import Store
from tests.sagas.builders import DIAMOND, LINE, UNDO_RETRY, Room


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


def asked_back(room: Room, saga: Any, **wanted: Any) -> str:
    """Complete a saga, then ask for its undo."""
    saga_id = room.start(saga, **wanted)
    room.forward(saga)
    assert room.state(saga_id) == "completed"
    room.act("compensate", saga_id)
    return saga_id


def test_steps_are_undone_in_the_reversed_order_of_what_rests_on_what(room: Room) -> None:
    saga_id = asked_back(room, DIAMOND)
    assert room.back(DIAMOND) == {"compensated": 1}
    assert room.undone(saga_id)[0] == "tip"
    assert sorted(room.undone(saga_id)[1:3]) == ["left", "right"]
    assert room.undone(saga_id)[3:] == ["root"]
    assert set(room.steps(saga_id).values()) == {"undone"}


def test_an_undone_step_remembers_what_it_had_made_and_is_not_undone_twice(room: Room) -> None:
    saga_id = asked_back(room, LINE)
    before = room.step_rows(saga_id)["three"]
    tokens = room.claim(LINE, COMPENSATE)
    assert room.undo(LINE, "three", tokens).done == [saga_id]
    assert room.undo(LINE, "three", tokens).again == [saga_id]
    after = room.step_rows(saga_id)["three"]
    assert (after.state, after.undo_attempts, after.output, after.done_at) == (
        "undone",
        1,
        before.output,
        before.done_at,
    )
    assert after.undo_seconds >= 0
    assert after.undone_at is not None


def test_a_step_is_not_undone_before_what_rests_on_it(room: Room) -> None:
    saga_id = asked_back(room, LINE)
    tokens = room.claim(LINE, COMPENSATE)
    assert room.undo(LINE, "two", tokens).broken == {saga_id: "blocked"}
    assert room.effects(saga_id) == ["one", "three", "two"]


def test_a_step_that_never_was_gets_a_barrier_and_nothing_is_undone_for_it(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"two": "error"})
    room.forward(LINE)
    tokens = room.claim(LINE, COMPENSATE)
    assert room.undo(LINE, "three", tokens).again == [saga_id]
    assert room.undo(LINE, "two", tokens).again == [saga_id]
    assert room.steps(saga_id) == {
        "look": "done",
        "one": "done",
        "two": "nothing_to_undo",
        "three": "nothing_to_undo",
    }
    assert room.undone(saga_id) == []


def test_a_late_try_forward_does_nothing_once_the_way_back_has_begun(room: Room) -> None:
    saga_id = room.start(LINE)
    late = room.claim(LINE)
    room.step(LINE, "look", late)
    room.step(LINE, "one", late)
    room.act("cancel", saga_id)
    room.back(LINE)
    for name in ("two", "three"):
        report = room.step(LINE, name, late)
        assert (report.done, report.lost) == ([], 1)
    assert (room.effects(saga_id), room.state(saga_id)) == ([], "compensated")


def test_a_claim_that_was_taken_over_undoes_nothing(room: Room) -> None:
    saga_id = asked_back(room, LINE)
    old = room.claim(LINE, COMPENSATE)
    room.expire()
    room.claim(LINE, COMPENSATE, "run-2")
    assert room.undo(LINE, "three", old).lost == 1
    assert room.judge(LINE, old) == {}
    assert room.effects(saga_id) == ["one", "three", "two"]


def test_an_undo_that_fails_leaves_its_effect_whole_and_is_tried_again_later(room: Room) -> None:
    saga_id = asked_back(room, LINE, undo_fail_at={"two": "error"}, undo_times=1)
    assert room.back(LINE) == {"compensating": 1}
    row = room.row(saga_id)
    assert room.clock.now() <= row.next_attempt_at <= room.clock.now() + timedelta(seconds=4)
    assert (row.lease_until, row.direction) == (None, "compensate")
    assert room.effects(saga_id) == ["one", "two"]
    assert room.steps(saga_id)["two"] == "undoing"
    assert room.step_rows(saga_id)["two"].error == {"step": "two", "class": "ValueError", "direction": "compensate"}
    assert room.attempts(saga_id) == [("two", "compensate", "failed")]
    assert room.claim(LINE, COMPENSATE) == []
    room.clock.instant = row.next_attempt_at
    assert room.back(LINE) == {"compensated": 1}
    assert room.undone(saga_id) == ["three", "two", "one"]


def test_an_undo_that_fails_blocks_what_it_rests_on_and_nothing_else(room: Room) -> None:
    saga_id = asked_back(room, DIAMOND, undo_fail_at={"left": "error"})
    tokens = room.claim(DIAMOND, COMPENSATE)
    assert room.undo(DIAMOND, "tip", tokens).done == [saga_id]
    assert list(room.undo(DIAMOND, "left", tokens).passing) == [saga_id]
    assert room.undo(DIAMOND, "right", tokens).done == [saga_id]
    assert room.undo(DIAMOND, "root", tokens).broken == {saga_id: "blocked"}
    assert room.effects(saga_id) == ["left", "root"]


def test_an_undo_has_a_budget_and_waits_of_its_own(room: Room) -> None:
    saga_id = asked_back(room, LINE, undo_fail_at={"three": "transient"})
    for tries in range(1, UNDO_RETRY.attempts):
        assert room.back(LINE) == {"compensating": 1}
        assert room.step_rows(saga_id)["three"].undo_attempts == tries
        assert room.step_rows(saga_id)["three"].attempts == 1
        room.later(minutes=2)
    assert room.back(LINE) == {"compensation_incomplete": 1}


def test_when_the_budget_is_spent_the_saga_says_what_is_left_and_leaves_an_alert(room: Room) -> None:
    saga_id = asked_back(room, DIAMOND, undo_fail_at={"left": "error"})
    for _ in range(UNDO_RETRY.attempts):
        room.back(DIAMOND)
        room.later(minutes=2)
    row = room.row(saga_id)
    assert (row.state, row.reason, row.lease_until) == ("compensation_incomplete", "undo_failed", None)
    assert row.error == {"left": ["root", "left"], "steps": {"root": "done", "left": "undoing"}}
    assert room.alerts(saga_id) == ["compensation_incomplete"]
    assert room.effects(saga_id) == ["left", "root"]
    assert room.claimable(DIAMOND, COMPENSATE) == 0
    assert room.locks() == {"ana": saga_id}


def test_an_undo_that_is_refused_is_not_tried_again(room: Room) -> None:
    saga_id = asked_back(room, LINE, undo_fail_at={"three": "refused"})
    assert room.back(LINE) == {"compensation_incomplete": 1}
    assert room.attempts(saga_id) == [("three", "compensate", "failed")]
    assert room.effects(saga_id) == ["one", "three", "two"]


def test_of_a_cohort_only_those_whose_undo_fails_are_held_up(room: Room) -> None:
    good = [room.start(LINE, name) for name in room.people(5)]
    bad = room.start(LINE, undo_fail_at={"two": "error"})
    room.forward(LINE)
    for saga_id in (*good, bad):
        room.act("compensate", saga_id)
    assert room.back(LINE) == {"compensated": 5, "compensating": 1}
    assert [room.effects(saga_id) for saga_id in good] == [[]] * 5
    assert room.effects(bad) == ["one", "two"]


def make_goal(room: Room, user: str = "ana", **given: Any) -> str:
    """Complete a goal of two steps with a question about it."""
    with room.store.write() as connection:
        wanted = {
            "title": "Run",
            "description": "Run far",
            "origin": "reflection:r1",
            "steps": ["shoes", "go"],
            **given,
        }
        started = start(
            connection,
            GOAL_CREATION,
            user_id=user,
            key=uuid4().hex,
            given=wanted,
            now=room.clock.now(),
            new_id=lambda: uuid4().hex,
        )
    room.forward(GOAL_CREATION)
    assert room.state(started.id) == "completed"
    return started.id


def goal_of(room: Room) -> tuple[str, float, list[str], list[str]]:
    """Return the goal's state and progress, its steps' states and its questions' states."""
    with room.store.read() as connection:
        goal = connection.execute(select(goals)).one()
        steps = connection.execute(select(goal_steps.c.state).order_by(goal_steps.c.place)).scalars()
        questions = connection.execute(select(relationship_questions.c.state)).scalars()
        return goal.state, goal.progress, list(steps), list(questions)


def undo_goal(room: Room, saga_id: str) -> dict[str, int]:
    """Undo it."""
    with room.store.write() as connection:
        Desk(connection, room.clock.now(), lambda _name, _version: GOAL_CREATION, "olga", "why not").compensate(saga_id)
    return room.back(GOAL_CREATION)


def test_a_goal_is_made_with_its_steps_and_a_question_about_it(room: Room) -> None:
    make_goal(room)
    assert goal_of(room) == ("active", 0.0, ["pending", "pending"], ["pending"])
    with room.store.read() as connection:
        question = connection.execute(select(relationship_questions)).one()
    assert question.question == "How is it going: Run?"
    assert question.available_at == room.clock.now() + timedelta(days=7)


def test_a_goal_that_nobody_worked_on_is_cancelled_with_its_steps_and_the_question_is_taken_back(room: Room) -> None:
    saga_id = make_goal(room)
    assert undo_goal(room, saga_id) == {"compensated": 1}
    assert goal_of(room) == ("cancelled", 0.0, ["cancelled", "cancelled"], [])


@pytest.mark.parametrize("change", [{"progress": 0.5}, {"version": 2}])
def test_a_goal_that_somebody_worked_on_waits_for_a_person(room: Room, change: dict[str, Any]) -> None:
    saga_id = make_goal(room)
    with room.store.write() as connection:
        connection.execute(update(goals).values(**change))
    assert undo_goal(room, saga_id) == {"compensation_incomplete": 1}
    assert (goal_of(room)[0], goal_of(room)[2]) == ("active", ["pending", "pending"])
    assert room.row(saga_id).error["left"] == ["make_goal", "plan"]


def test_a_goal_one_of_whose_steps_is_done_is_not_touched(room: Room) -> None:
    saga_id = make_goal(room)
    with room.store.write() as connection:
        connection.execute(update(goal_steps).where(goal_steps.c.place == 1).values(state="done"))
    assert undo_goal(room, saga_id) == {"compensation_incomplete": 1}
    assert goal_of(room)[:3] == ("active", 0.0, ["done", "pending"])
    assert room.row(saga_id).error["left"] == ["make_goal", "plan"]


def test_a_question_that_was_asked_already_stays_and_does_not_keep_the_rest(room: Room) -> None:
    saga_id = make_goal(room)
    with room.store.write() as connection:
        connection.execute(update(relationship_questions).values(state="delivered", delivered_at=room.clock.now()))
    assert undo_goal(room, saga_id) == {"compensated": 1}
    assert goal_of(room) == ("cancelled", 0.0, ["cancelled", "cancelled"], ["delivered"])


def test_a_goal_whose_plan_cannot_be_stored_leaves_nothing_at_all_active(room: Room) -> None:
    with room.store.write() as connection:
        started = start(
            connection,
            GOAL_CREATION,
            user_id="ana",
            key="k",
            given={"title": "Run", "description": "Run", "origin": "o", "steps": ["go"]},
            now=room.clock.now(),
            new_id=lambda: "g" * 32,
        )
    tokens = room.claim(GOAL_CREATION)
    room.step(GOAL_CREATION, "make_goal", tokens)
    with room.store.write() as connection:
        # Whoever is in the way: the plan's rows are there already, so that its insertion fails as a whole.
        goal_id = connection.execute(select(goals.c.id)).scalar_one()
        connection.execute(goal_steps.insert().values(goal_id=goal_id, place=1, description="x", state="pending"))
    assert room.step(GOAL_CREATION, "plan", tokens).broken == {started.id: "IntegrityError"}
    assert room.back(GOAL_CREATION) == {"compensated": 1}
    with room.store.read() as connection:
        assert connection.execute(select(func.count()).where(goals.c.state == "active")).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(relationship_questions)).scalar_one() == 0
