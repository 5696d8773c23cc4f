"""Every change of state that somebody has to know of, made by the code that makes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, update

from selo_dagster.memory.stream import lock_stream, number_committed
from selo_dagster.reflections.claim import DEAD_AFTER_LOST, Claim, claim, ledger, take_back_expired
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.settle import Cost, settle_failed, settle_rejected
from selo_dagster.sagas.journal import Held, fence, steps_of
from selo_dagster.sagas.monitor import UNTAKEN_AFTER, watch
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.sagas.turning import doubt, park, turn_round
from selo_dagster.sagas.verdict import _judge as judge
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from selo_dagster.triggers.parked import Fault
from selo_dagster.triggers.parked import park as park_events
from tests.sagas.builders import LINE, PIVOTED, REGISTRY, Room
from tests.support.fakes import NOW, add_person, say

Change = Callable[[Connection], object]
"""Makes the change in a transaction that somebody else commits."""

ERROR: Final = {"step": "one", "class": "RefusedError"}


def _claimed(store: Store) -> list[Claim]:
    add_person(store, "p1")
    say(store, "p1", "2026-11-22T10:00:00Z")
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        return list(claim(connection, DAILY, run_id="run-1", now=NOW, lease_s=30, limit=1))


def dead(store: Store) -> Change:
    """An obligation has no try left."""
    (held,) = _claimed(store)
    return lambda connection: settle_failed(connection, held, "Timeout", retry_at=None, cost=Cost(), now=NOW)


def rejected(store: Store) -> Change:
    """An answer broke a rule twice."""
    (held,) = _claimed(store)
    return lambda connection: settle_rejected(
        connection,
        held,
        ("no_evidence",),
        answer="",
        input_hash="0",
        retry_at=None,
        cost=Cost(),
        now=NOW,
    )


def lost(store: Store) -> Change:
    """A claim was lost with its process once too often."""
    _claimed(store)
    with store.write() as connection:
        connection.execute(update(ledger).values(lease_until=database_now(-1), lost=DEAD_AFTER_LOST))
    return lambda connection: take_back_expired(connection, DAILY, NOW)


def events_parked(store: Store) -> Change:
    """An event could not be judged."""
    add_person(store, "p1")
    say(store, "p1", "2026-11-22T10:00:00Z")
    with store.write() as connection:
        lock_stream(connection)
        number_committed(connection, 1)
    fault = Fault(1, "p1", "companion", "e1", "emotional_spike", "bad_payload", ("emotional",))
    return lambda connection: park_events(connection, [fault], NOW)


def _held(store: Store, then: Callable[[Connection, Held], object]) -> Change:
    room = Room(store)
    room.start(LINE)
    tokens = room.claim(LINE)

    def change(connection: Connection) -> None:
        (held,) = fence(connection, tokens, FORWARD, "run-1")
        then(connection, held)

    return change


def saga_failed(store: Store) -> Change:
    """A saga turns round."""
    return _held(store, lambda connection, held: turn_round(connection, LINE, held, "step_failed", ERROR))


def saga_parked(store: Store) -> Change:
    """A saga waits for a decision."""
    return _held(store, lambda connection, held: park(connection, held, "lost_claims", ERROR))


def saga_in_doubt(store: Store) -> Change:
    """Nobody knows whether an effect happened."""
    return _held(store, lambda connection, held: doubt(connection, held, ERROR))


def saga_undo_incomplete(store: Store) -> Change:
    """A saga could not be undone whole."""
    room = Room(store)
    room.start(LINE, fail_at={"two": "error"}, undo_fail_at={"one": "refused"})
    room.forward(LINE)
    tokens = room.claim(LINE, COMPENSATE, run_id="run-back")
    for name in ("three", "two", "one"):
        room.undo(LINE, name, tokens, "run-back")

    def change(connection: Connection) -> None:
        held = fence(connection, tokens, COMPENSATE, "run-back")
        known = steps_of(connection, held, {step.name for step in LINE.steps})
        for one in held:
            rows = {step.name: known.get((one.id, step.name)) for step in LINE.steps}
            judge(connection, LINE, one, rows, room.clock.now())

    return change


def sagas_untaken(store: Store) -> Change:
    """The monitor sees that nothing takes a saga."""
    room = Room(store)
    room.start(LINE)
    with store.write() as connection:
        old = database_now(-(UNTAKEN_AFTER + timedelta(seconds=30)).total_seconds())
        connection.execute(update(sagas).values(changed_at=old))
    return lambda connection: watch(connection, REGISTRY, room.clock.now())


def saga_late(store: Store) -> Change:
    """The monitor sees a saga past its deadline that cannot go back."""
    room = Room(store)
    room.start(PIVOTED)
    tokens = room.claim(PIVOTED)
    for step in ("one", "turn"):
        room.step(PIVOTED, step, tokens)
    room.later(seconds=PIVOTED.deadline_s + 1)
    return lambda connection: watch(connection, REGISTRY, room.clock.now())


CHANGES: Final = {
    change.__name__: (change, code)
    for change, code in (
        (dead, "dead"),
        (rejected, "rejected"),
        (lost, "dead"),
        (events_parked, "events_parked"),
        (saga_failed, "saga_failed"),
        (saga_parked, "saga_parked"),
        (saga_in_doubt, "saga_in_doubt"),
        (saga_undo_incomplete, "saga_undo_incomplete"),
        (sagas_untaken, "sagas_untaken"),
        (saga_late, "saga_late"),
    )
}
"""Name -> (what prepares the change, the code of its alert)."""
