"""The monitor tells apart what does not get on, tells somebody once, and starts anew what policy allows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from selo_dagster.sagas.monitor import REMEDIES, TELLING, UNTAKEN_AFTER, Watched, conditions, watch
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.sagas.builders import AGAIN, LINE, PIVOTED, REGISTRY, Room


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


def seen(room: Room) -> dict[str, str]:
    """Return each saga's condition."""
    with room.store.read() as connection:
        return {one.saga_id: one.condition for one in conditions(connection, REGISTRY, room.clock.now())}


def watched(room: Room) -> Watched:
    """Let the monitor look once."""
    with room.store.write() as connection:
        return watch(connection, REGISTRY, room.clock.now())


def untouched_for(room: Room, saga_id: str, delta: timedelta) -> None:
    """Let a saga have last changed so long ago, by the database's clock."""
    with room.store.write() as connection:
        connection.execute(
            update(sagas).where(sagas.c.id == saga_id).values(changed_at=database_now(-delta.total_seconds()))
        )


def test_a_saga_that_may_begin_is_ready_and_after_a_while_untaken(room: Room) -> None:
    saga_id = room.start(LINE)
    assert seen(room) == {saga_id: "ready"}
    untouched_for(room, saga_id, UNTAKEN_AFTER - timedelta(seconds=30))
    assert seen(room) == {saga_id: "ready"}
    untouched_for(room, saga_id, UNTAKEN_AFTER + timedelta(seconds=30))
    assert seen(room) == {saga_id: "untaken"}


def test_a_saga_behind_another_of_the_same_person_is_queued_however_long(room: Room) -> None:
    first, second = room.start(LINE), room.start(LINE)
    untouched_for(room, second, timedelta(days=2))
    assert seen(room) == {first: "ready", second: "queued"}
    room.claim(LINE)
    assert seen(room) == {first: "working", second: "queued"}


def test_a_holder_that_beats_is_working_however_old_and_one_that_does_not_is_dead(room: Room) -> None:
    saga_id = room.start(LINE)
    room.claim(LINE)
    untouched_for(room, saga_id, timedelta(days=2))
    assert seen(room) == {saga_id: "working"}
    with room.store.write() as connection:
        connection.execute(update(sagas).values(lease_until=database_now(-1)))
    assert seen(room) == {saga_id: "dead"}


def test_a_saga_that_is_tried_again_later_is_waiting_until_then(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"one": "transient"})
    room.forward(LINE)
    assert seen(room) == {saga_id: "waiting"}
    room.later(minutes=2)
    assert seen(room) == {saga_id: "ready"}


def test_a_saga_after_its_pivot_whose_deadline_passed_is_late(room: Room) -> None:
    saga_id = room.start(PIVOTED)
    tokens = room.claim(PIVOTED)
    for step in ("one", "turn"):
        room.step(PIVOTED, step, tokens)
    room.later(seconds=PIVOTED.deadline_s)
    assert seen(room) == {saga_id: "working"}
    room.later(seconds=1)
    assert seen(room) == {saga_id: "late"}
    with room.store.write() as connection:
        connection.execute(update(sagas).values(waits_since=room.clock.now() - timedelta(hours=1)))
    # No time passes for it meanwhile.
    assert seen(room)[saga_id] != "late"


def test_a_saga_that_can_still_go_back_is_not_said_to_have_no_way_back(room: Room) -> None:
    saga_id = room.start(LINE)
    room.later(days=2)
    with room.store.read() as connection:
        (one,) = conditions(connection, REGISTRY, room.clock.now())
    assert one.saga_id == saga_id
    assert "no way back" not in one.remedy
    # Whatever it is called, the next run turns it round.
    room.forward(LINE)
    assert room.row(saga_id).reason == "deadline"


def test_what_waits_for_a_person_is_told_apart(room: Room) -> None:
    parked, left, paused = room.people(3)
    found = {
        room.start(PIVOTED, parked, fail_at={"last": "error"}): "parked",
        room.start(LINE, left, fail_at={"two": "error"}, undo_fail_at={"one": "refused"}): "compensation_incomplete",
        room.start(LINE, paused): "paused",
    }
    room.act("pause", list(found)[2])
    room.forward(PIVOTED)
    room.forward(LINE)
    room.back(LINE)
    assert seen(room) == found


def test_a_saga_that_has_ended_is_in_no_condition(room: Room) -> None:
    room.start(LINE)
    room.work_off(LINE)
    room.act("cancel", room.start(LINE))
    assert seen(room) == {}


def test_every_condition_has_a_remedy_of_its_own() -> None:
    assert len(set(REMEDIES.values())) == len(REMEDIES)
    assert set(TELLING) < set(REMEDIES)


@pytest.mark.parametrize("condition", ["untaken", "late"])
def test_somebody_is_told_once(room: Room, condition: str) -> None:
    saga_id = room.start(PIVOTED)
    if condition == "late":
        tokens = room.claim(PIVOTED)
        for step in ("one", "turn"):
            room.step(PIVOTED, step, tokens)
        room.later(days=2)
    else:
        untouched_for(room, saga_id, timedelta(hours=1))
    for _ in range(3):
        assert watched(room).conditions == {condition: 1}
    assert room.alerts(saga_id) == [condition]


def test_an_alert_is_settled_when_the_saga_ends(room: Room) -> None:
    saga_id = room.start(LINE)
    untouched_for(room, saga_id, timedelta(hours=1))
    watched(room)
    room.work_off(LINE)
    assert (room.alerts(saga_id), room.alerts(saga_id, resolved=True)) == ([], ["untaken"])


def test_what_gets_on_by_itself_is_counted_and_alerts_nobody(room: Room) -> None:
    ids = [room.start(LINE), room.start(LINE), *(room.start(LINE, name) for name in room.people(1))]
    room.claim(LINE, limit=1)
    assert watched(room).conditions == {"working": 1, "queued": 1, "ready": 1}
    assert [room.alerts(saga_id) for saga_id in ids] == [[], [], []]


def test_what_was_undone_for_a_passing_reason_begins_anew_as_often_as_its_definition_allows(room: Room) -> None:
    saga_id = room.start(AGAIN, fail_at={"two": "transient"})
    for generation in (1, 2):
        room.work_off(AGAIN)
        assert room.state(saga_id) == "compensated"
        assert watched(room).restarted == [saga_id]
        assert (room.state(saga_id), room.row(saga_id).generation) == ("pending", generation + 1)
    room.work_off(AGAIN)
    assert watched(room).restarted == []
    assert (room.state(saga_id), room.row(saga_id).generation) == ("compensated", AGAIN.generations)
    with room.store.read() as connection:
        actors = connection.execute(select(saga_interventions.c.actor)).scalars().all()
    assert actors == ["saga_monitor"] * 2


def test_a_restart_that_succeeds_is_completed(room: Room) -> None:
    # Its tries are counted anew in each generation: four failures are one generation and one try of the next.
    saga_id = room.start(AGAIN, fail_at={"one": "transient"}, times=2)
    with room.store.write() as connection:
        connection.execute(update(sagas).values(deadline_at=room.clock.now() + timedelta(days=9)))
    room.work_off(AGAIN)
    assert room.state(saga_id) == "completed"
    assert watched(room).restarted == []


@pytest.mark.parametrize("how", ["error", "refused"])
def test_what_failed_for_good_does_not_begin_anew(room: Room, how: str) -> None:
    room.start(AGAIN, fail_at={"two": how})
    room.work_off(AGAIN)
    assert watched(room).restarted == []


def test_what_somebody_cancelled_or_asked_to_undo_does_not_begin_anew(room: Room) -> None:
    cancelled, asked = (room.start(AGAIN, name, fail_at={"two": "transient"}) for name in room.people(2))
    room.forward(AGAIN)
    room.act("cancel", cancelled)
    room.act("compensate", asked)
    room.back(AGAIN)
    assert {room.state(cancelled), room.state(asked)} == {"compensated"}
    assert watched(room).restarted == []


def test_what_is_undone_only_in_part_does_not_begin_anew(room: Room) -> None:
    saga_id = room.start(AGAIN, fail_at={"two": "transient"}, undo_fail_at={"one": "refused"})
    room.work_off(AGAIN)
    assert room.state(saga_id) == "compensation_incomplete"
    assert watched(room).restarted == []


def test_a_definition_that_is_gone_does_not_keep_the_monitor_from_watching(room: Room) -> None:
    room.start(AGAIN, fail_at={"two": "transient"})
    room.work_off(AGAIN)
    other = room.start(LINE)
    with room.store.write() as connection:
        found = watch(connection, Registry({}), room.clock.now())
    assert (found.restarted, found.conditions) == ([], {"ready": 1})
    assert room.state(other) == "pending"
