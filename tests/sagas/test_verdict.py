"""The verdict: a saga is called undone only if each of its steps says so."""

from __future__ import annotations

from typing import Any

import pytest

from selo_dagster.sagas.states import COMPENSATE
from selo_dagster.store.engine import Store
from tests.sagas.builders import AGAIN, DIAMOND, LINE, Room, effect, saga_of

STAYING = saga_of(
    "test_staying",
    effect("told", compensation=None, records=None, irreversible="what was said cannot be unsaid"),
    effect("one", before="told"),
    undo_days=7,
)


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


def back_at(room: Room, **wanted: Any) -> tuple[str, list[tuple[str, int]]]:
    """Let a saga break at its third step and claim it for the way back."""
    saga_id = room.start(LINE, fail_at={"three": "error"}, **wanted)
    room.forward(LINE)
    return saga_id, room.claim(LINE, COMPENSATE)


def test_it_is_compensated_when_every_step_is_undone_or_never_was(room: Room) -> None:
    saga_id, tokens = back_at(room)
    for step in reversed(LINE.order):
        room.undo(LINE, step.name, tokens)
    assert room.judge(LINE, tokens) == {"compensated": 1}
    row = room.row(saga_id)
    assert (row.state, row.ended_at, row.reason, row.lease_until) == (
        "compensated",
        room.clock.now(),
        "step_failed",
        None,
    )
    assert room.locks() == {}
    assert room.steps(saga_id) == {
        "look": "nothing_to_undo",
        "one": "undone",
        "two": "undone",
        "three": "nothing_to_undo",
    }
    assert (room.alerts(saga_id), room.alerts(saga_id, resolved=True)) == ([], ["failed"])


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_it_is_not_compensated_as_long_as_one_step_has_no_outcome(room: Room, done: int) -> None:
    saga_id, tokens = back_at(room)
    for step in list(reversed(LINE.order))[:done]:
        room.undo(LINE, step.name, tokens)
    assert room.judge(LINE, tokens) == {"compensating": 1}
    row = room.row(saga_id)
    assert (row.state, row.ended_at, row.lease_until) == ("compensating", None, None)
    assert row.next_attempt_at > room.clock.now()
    room.later(minutes=1)
    assert room.back(LINE) == {"compensated": 1}


def test_a_saga_that_never_changed_anything_has_nothing_to_undo(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"one": "error"})
    room.forward(LINE)
    assert room.back(LINE) == {"nothing_to_undo": 1}
    assert set(room.steps(saga_id).values()) == {"nothing_to_undo"}


def test_a_saga_that_was_cancelled_before_it_changed_anything_is_cancelled(room: Room) -> None:
    saga_id = room.start(LINE)
    room.step(LINE, "look", room.claim(LINE))
    room.act("cancel", saga_id)
    assert room.back(LINE) == {"cancelled": 1}


def test_a_saga_that_was_cancelled_after_it_changed_something_is_compensated(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    room.step(LINE, "look", tokens)
    room.step(LINE, "one", tokens)
    room.act("cancel", saga_id)
    assert room.back(LINE) == {"compensated": 1}
    assert room.row(saga_id).reason == "cancelled"


def test_a_waived_step_counts_as_settled_and_the_saga_as_compensated(room: Room) -> None:
    saga_id = room.start(AGAIN, undo_fail_at={"one": "refused"}, fail_at={"two": "error"})
    room.forward(AGAIN)
    assert room.back(AGAIN) == {"compensation_incomplete": 1}
    room.act("waive", saga_id, "one")
    assert room.back(AGAIN) == {"compensated": 1}
    assert room.steps(saga_id) == {"one": "waived", "two": "nothing_to_undo"}
    assert room.effects(saga_id) == ["one"]


def test_what_is_left_is_only_final_when_nothing_else_can_go_on(room: Room) -> None:
    saga_id = room.start(DIAMOND, undo_fail_at={"left": "refused", "right": "transient"}, undo_times=1)
    room.forward(DIAMOND)
    room.act("compensate", saga_id)
    # left is refused for good; right may still succeed.
    assert room.back(DIAMOND) == {"compensating": 1}
    room.later(minutes=2)
    assert room.back(DIAMOND) == {"compensation_incomplete": 1}
    assert room.row(saga_id).error["left"] == ["root", "left"]


def test_an_effect_that_stays_for_a_stated_reason_is_not_said_to_be_nothing(room: Room) -> None:
    saga_id = room.start(STAYING, fail_at={"one": "error"})
    room.forward(STAYING)
    room.back(STAYING)
    assert room.effects(saga_id) == ["told"]
    # Neither "nothing to undo" nor "undone" is true of a saga whose effect is still there.
    assert room.state(saga_id) != "nothing_to_undo"


def test_a_judge_whose_claim_was_lost_says_nothing(room: Room) -> None:
    saga_id, tokens = back_at(room)
    room.expire()
    assert room.judge(LINE, tokens) == {}
    assert room.state(saga_id) == "compensating"
