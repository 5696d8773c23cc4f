"""A step forward: effect, row and undo data commit together, once, for each saga by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from selo_dagster.clock import SystemClock
from selo_dagster.people.goals import goals
from selo_dagster.sagas.states import COMPENSATE
from selo_dagster.store.engine import Store
from tests.sagas.builders import (
    DIAMOND,
    FORKED,
    LINE,
    PIVOTED,
    SECRET,
    Room,
    dump,
    effect,
    look_and_report,
    reading,
    saga_of,
)


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


def test_a_saga_is_completed_in_the_transaction_of_its_last_step(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    for name in ("look", "one", "two"):
        assert room.step(LINE, name, tokens).done == [saga_id]
        assert (room.state(saga_id), room.locks()) == ("running", {"ana": saga_id})
    room.step(LINE, "three", tokens)
    row = room.row(saga_id)
    assert (row.state, row.lease_until, row.ended_at) == ("completed", None, room.clock.now())
    assert room.locks() == {}
    assert room.effects(saga_id) == ["one", "three", "two"]


def test_a_step_row_holds_what_its_undo_needs_what_it_changed_and_how_long_it_took(room: Room) -> None:
    saga_id = room.start(LINE)
    room.forward(LINE)
    rows = room.step_rows(saga_id)
    made = rows["one"].output["goal_id"]
    assert rows["one"].undo == {"goal_id": made, "fail": "", "times": 99}
    assert rows["one"].effects == [[f"goals:{made}", None, 1]]
    # What a step takes from an earlier one is that one's output.
    assert rows["two"].effects[0][1] == made
    assert rows["look"].output == {"goals": 0}
    assert (rows["look"].undo, rows["look"].effects) == (None, None)
    for row in rows.values():
        assert (row.state, row.attempts, row.generation, row.epoch) == ("done", 1, 1, 1)
        assert row.seconds >= 0
        assert abs(SystemClock().now() - row.done_at) < timedelta(minutes=5)


def test_every_step_is_named_by_a_token_of_its_own(room: Room) -> None:
    saga_id = room.start(LINE)
    room.forward(LINE)
    assert room.tokens(saga_id) == [f"{saga_id}/1/{step}/forward" for step in ("one", "three", "two")]


def test_what_is_done_is_not_done_again_when_another_run_goes_on(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    room.step(LINE, "look", tokens)
    room.step(LINE, "one", tokens)
    assert room.step(LINE, "one", tokens).again == [saga_id]
    room.expire()
    reports = room.forward(LINE, "run-2")
    assert [reports[name].again for name in ("look", "one")] == [[saga_id], [saga_id]]
    assert [reports[name].done for name in ("two", "three")] == [[saga_id], [saga_id]]
    assert room.state(saga_id) == "completed"
    assert room.effects(saga_id) == ["one", "three", "two"]


def test_a_claim_that_was_taken_over_writes_nothing(room: Room) -> None:
    saga_id = room.start(LINE)
    old = room.claim(LINE)
    room.expire()
    (new,) = room.claim(LINE, run_id="run-2")
    assert new[1] == old[0][1] + 1
    for tokens, run_id in ((old, "run-1"), (old, "run-2"), ([new], "run-1")):
        report = room.step(LINE, "one", tokens, run_id)
        assert (report.done, report.lost) == ([], 1)
    assert (room.effects(saga_id), room.steps(saga_id)) == ([], {})


def test_a_claim_whose_lease_was_only_taken_back_writes_nothing(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    room.expire()
    assert room.step(LINE, "one", tokens).lost == 1
    assert room.effects(saga_id) == []


@pytest.mark.parametrize("chunk", [7, 50])
def test_three_of_fifty_fail_and_leave_no_trace_in_what_the_others_did(room: Room, chunk: int) -> None:
    room.chunk = chunk
    people = room.people(50)
    bad = [room.start(LINE, name, fail_at={"two": "error"}) for name in people[10:40:10]]
    ids = [room.start(LINE, name) for name in people if name not in people[10:40:10]]
    reports = room.forward(LINE)
    assert sorted(reports["two"].done) == sorted(ids)
    assert reports["two"].broken == dict.fromkeys(bad, "ValueError")
    assert reports["three"].lost == 3
    assert {room.state(saga_id) for saga_id in ids} == {"completed"}
    for saga_id in bad:
        assert room.state(saga_id) == "compensating"
        assert room.effects(saga_id) == ["one"]
        assert room.steps(saga_id) == {"look": "done", "one": "done", "two": "failed"}
    with room.store.read() as connection:
        assert connection.execute(select(func.count()).select_from(goals)).scalar_one() == 47 * 3 + 3


def test_a_failure_for_good_turns_the_saga_round_with_an_alert_and_frees_the_claim(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"two": "error"})
    room.forward(LINE)
    row = room.row(saga_id)
    assert (row.state, row.direction, row.reason, row.lease_until) == ("compensating", COMPENSATE, "step_failed", None)
    assert row.error == {"step": "two", "class": "ValueError", "meaning": "failed"}
    assert room.attempts(saga_id) == [("two", "forward", "failed")]
    assert room.alerts(saga_id) == ["failed"]
    assert room.locks() == {"ana": saga_id}
    assert (room.claimable(LINE), room.claimable(LINE, COMPENSATE)) == (0, 1)


def test_a_refusal_is_not_tried_again(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"one": "refused"})
    assert room.forward(LINE)["one"].broken == {saga_id: "RefusedError"}
    assert room.steps(saga_id)["one"] == "refused"
    assert room.row(saga_id).error["meaning"] == "refused"


def test_what_a_handler_said_when_it_failed_is_kept_nowhere(room: Room) -> None:
    for how in ("error", "refused", "transient"):
        room.start(LINE, fail_at={"one": how}, note=SECRET)
    room.work_off(LINE)
    assert [line for line in dump(room.store) if SECRET in line] == []


@pytest.mark.parametrize("how", ["transient", "connection"])
def test_a_passing_failure_waits_and_the_next_run_goes_on_where_it_stopped(room: Room, how: str) -> None:
    saga_id = room.start(LINE, fail_at={"two": how}, times=1)
    report = room.forward(LINE)["two"]
    row = room.row(saga_id)
    assert (row.state, row.direction, row.reason, row.lease_until) == ("waiting", "forward", "retry", None)
    assert room.clock.now() <= row.next_attempt_at <= room.clock.now() + timedelta(seconds=2)
    assert report.passing == {saga_id: row.next_attempt_at}
    assert room.steps(saga_id)["two"] == "pending"
    assert room.effects(saga_id) == ["one"]
    room.clock.instant = row.next_attempt_at
    reports = room.forward(LINE, "run-2")
    assert (reports["one"].again, reports["two"].done) == ([saga_id], [saga_id])
    assert room.state(saga_id) == "completed"
    assert room.step_rows(saga_id)["two"].attempts == 2
    assert room.step_rows(saga_id)["two"].error is None


def test_the_budget_is_counted_over_all_runs_and_when_it_is_spent_the_saga_turns_round(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"two": "transient"})
    for number, tries in enumerate((1, 2), start=1):
        room.forward(LINE, f"run-{number}")
        assert (room.state(saga_id), room.step_rows(saga_id)["two"].attempts) == ("waiting", tries)
        room.later(minutes=2)
    room.forward(LINE, "run-3")
    assert room.state(saga_id) == "compensating"
    assert room.steps(saga_id)["two"] == "failed"
    assert room.step_rows(saga_id)["two"].error["budget"] == 3
    assert room.row(saga_id).error["meaning"] == "transient"
    assert room.attempts(saga_id) == [("two", "forward", "transient")] * 3


def test_waits_grow_with_each_failure_and_are_random(room: Room) -> None:
    for name in room.people(30):
        room.start(LINE, name, fail_at={"one": "transient"})
    first = sorted((at - room.clock.now()).total_seconds() for at in room.forward(LINE)["one"].passing.values())
    room.later(minutes=2)
    second = sorted((at - room.clock.now()).total_seconds() for at in room.forward(LINE)["one"].passing.values())
    assert len(set(first)) == 30
    assert 0 <= first[0] < 1 < first[-1] <= 2
    assert 0 <= second[0] < 2 < second[-1] <= 4


def test_after_the_pivot_a_saga_that_cannot_go_on_is_parked_with_an_alert(room: Room) -> None:
    saga_id = room.start(PIVOTED, fail_at={"last": "error"})
    room.forward(PIVOTED)
    row = room.row(saga_id)
    assert (row.state, row.direction, row.reason) == ("parked", "forward", "step_failed")
    assert room.alerts(saga_id) == ["parked_after_pivot"]
    assert room.effects(saga_id) == ["one", "turn"]
    assert room.claimable(PIVOTED) == room.claimable(PIVOTED, COMPENSATE) == 0


def test_a_pivot_that_fails_is_not_passed_and_the_saga_goes_back(room: Room) -> None:
    saga_id = room.start(PIVOTED, fail_at={"turn": "error"})
    room.forward(PIVOTED)
    assert room.back(PIVOTED) == {"compensated": 1}
    assert room.effects(saga_id) == []


def test_before_the_pivot_a_deadline_turns_the_saga_round_without_trying_the_step(room: Room) -> None:
    saga_id = room.start(PIVOTED)
    tokens = room.claim(PIVOTED)
    room.step(PIVOTED, "one", tokens)
    room.later(days=2)
    assert room.step(PIVOTED, "turn", tokens).broken == {saga_id: "deadline"}
    assert (room.state(saga_id), room.effects(saga_id)) == ("compensating", ["one"])
    assert "turn" not in room.steps(saga_id)


def test_a_deadline_that_is_reached_is_not_passed_yet_and_one_that_is_passed_turns_round(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    room.later(days=1)
    assert room.step(LINE, "one", tokens).done == [saga_id]
    room.later(microseconds=1)
    assert room.step(LINE, "two", tokens).broken == {saga_id: "deadline"}
    assert (room.row(saga_id).state, room.row(saga_id).reason) == ("compensating", "deadline")
    assert (room.alerts(saga_id), room.effects(saga_id)) == (["failed"], ["one"])


def test_after_the_pivot_a_deadline_does_not_stop_a_saga(room: Room) -> None:
    saga_id = room.start(PIVOTED)
    tokens = room.claim(PIVOTED)
    room.step(PIVOTED, "one", tokens)
    room.step(PIVOTED, "turn", tokens)
    room.later(days=3)
    room.step(PIVOTED, "last", tokens)
    assert room.state(saga_id) == "completed"


@pytest.mark.parametrize("how", ["mute", "stranger", "unrecorded", "misrecorded"])
def test_an_action_that_answers_something_else_than_it_declared_has_done_nothing(room: Room, how: str) -> None:
    saga_id = room.start(LINE, fail_at={"one": how})
    assert room.forward(LINE)["one"].broken == {saga_id: "AnswerError"}
    assert room.effects(saga_id) == []
    assert room.back(LINE) == {"nothing_to_undo": 1}


def test_a_read_step_that_reports_an_effect_is_refused(room: Room) -> None:
    saga = saga_of("test_liar", reading(action=look_and_report), effect("one", after=("look",)))
    saga_id = room.start(saga)
    assert room.forward(saga)["look"].broken == {saga_id: "AnswerError"}


@pytest.mark.parametrize("how", ["unkept", "nul"])
def test_an_answer_that_the_journal_cannot_keep_breaks_its_own_saga_only(room: Room, how: str) -> None:
    good = [room.start(LINE, name) for name in room.people(2)]
    bad = room.start(LINE, fail_at={"one": how})
    reports = room.forward(LINE)
    assert set(good) <= set(reports["one"].done)
    assert [room.state(saga_id) for saga_id in good] == ["completed", "completed"]
    # SQLite keeps a NUL; what counts is that nobody else suffers and the saga's own outcome is a state that ends.
    assert room.state(bad) in {"completed", "compensating"}


def test_a_saga_with_several_ends_is_completed_when_all_are_reached_in_either_order(room: Room) -> None:
    for user, ends in zip(room.people(2), (("left", "right"), ("right", "left")), strict=True):
        saga_id = room.start(FORKED, user)
        tokens = room.claim(FORKED, run_id=f"run-{user}")
        room.step(FORKED, "root", tokens, f"run-{user}")
        room.step(FORKED, ends[0], tokens, f"run-{user}")
        assert room.state(saga_id) == "running"
        room.step(FORKED, ends[1], tokens, f"run-{user}")
        assert room.state(saga_id) == "completed"


def test_a_step_of_two_parents_is_given_what_the_one_it_names_has_made(room: Room) -> None:
    saga_id = room.start(DIAMOND)
    room.forward(DIAMOND)
    rows = room.step_rows(saga_id)
    assert rows["tip"].effects[0][1] == rows["left"].output["goal_id"]
    assert room.state(saga_id) == "completed"


def test_a_sibling_that_succeeded_beside_the_one_that_failed_is_undone_too(room: Room) -> None:
    saga_id = room.start(DIAMOND, fail_at={"right": "error"})
    reports = room.forward(DIAMOND)
    assert (reports["left"].done, reports["tip"].lost) == ([saga_id], 1)
    assert room.back(DIAMOND) == {"compensated": 1}
    assert (room.effects(saga_id), room.undone(saga_id)) == ([], ["left", "root"])


def test_a_step_whose_giver_is_not_done_does_not_begin(room: Room) -> None:
    saga_id = room.start(LINE)
    tokens = room.claim(LINE)
    assert room.step(LINE, "two", tokens).broken == {saga_id: "InputError"}
    assert room.effects(saga_id) == []
