"""Nothing that anybody wrote, and no id that is kept from Dagster, leaves in a span."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from selo_dagster.clock import FixedClock
from selo_dagster.people.tables import users
from selo_dagster.store.engine import Store
from selo_dagster.tracing.places import of_obligation
from selo_dagster.tracing.switch import flush
from tests.sagas.builders import LINE, SECRET, Room
from tests.support.fakes import FakeModel, add_person, good_answer, run_cohort
from tests.tracing.collector import Collector
from tests.triggers.arrivals import TRIGGERED, known, look, requests, strong


def everything_told(collector: Collector) -> bytes:
    """Return every byte that was sent; there is something."""
    assert flush()
    assert collector.spans
    return b"".join(collector.bodies)


def test_memory_answer_and_error_stay_here(store: Store, collector: Collector) -> None:
    Room(store)
    known(store, "ana")
    strong(store, "ana", f"m-{SECRET}", text=SECRET)
    look(store)

    async def breaks(_: Any) -> str:
        raise OSError(SECRET)

    async def tells(request: Any) -> str:
        return good_answer(request, content=f"{SECRET} {' '.join(f'word{number}' for number in range(80))}")

    (failed,) = run_cohort(store, FakeModel(breaks), kind=TRIGGERED, run_id="a")
    assert failed.retry_at is not None
    later = FixedClock(failed.retry_at)
    (done,) = run_cohort(store, FakeModel(tells), kind=TRIGGERED, run_id="b", clock=later)
    assert done.outcome == "done"
    assert SECRET.encode() not in everything_told(collector)
    assert {one.attributes["error.type"] for one in collector.spans if one.error} == {"OSError"}


def test_what_a_saga_is_given_and_broke_with_stays_here(store: Store, collector: Collector) -> None:
    room = Room(store)
    for how in ("error", "refused", "transient"):
        room.start(LINE, user=room.people(1)[0] if how == "error" else "ana", fail_at={"two": how}, note=SECRET)
    for number in range(6):
        room.forward(LINE, f"run-{number}")
        room.back(LINE, f"back-{number}")
        room.later(hours=1)
    assert SECRET.encode() not in everything_told(collector)
    assert {one.attributes["error.type"] for one in collector.spans if one["step"] == "two" and one.error} == {
        "ValueError",
        "RefusedError",
        "TransientError",
    }


def test_a_person_is_known_by_the_partition_key_alone(store: Store, collector: Collector) -> None:
    person, key = f"ana-{SECRET}", "u_0123456789abcdef01234567"
    add_person(store, person)
    with store.write() as connection:
        connection.execute(update(users).values(key=key))
    known(store, person)
    strong(store, person, "m1")
    look(store)
    run_cohort(store, kind=TRIGGERED)
    assert SECRET.encode() not in everything_told(collector)
    (request,) = requests(store)
    (triggered,), (reflected,) = collector.named("selo.trigger"), collector.named("selo.reflect")
    assert reflected["partition"] == key
    assert triggered.trace == reflected.trace == of_obligation(key, "triggered", request.key).trace
