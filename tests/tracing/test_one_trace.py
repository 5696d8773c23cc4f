"""One trace goes from a trigger to the stored insight, and through the saga's forward, undo and monitor."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select, update

from selo_dagster.clock import FixedClock
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import reflection_ledger as ledger
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.claim import ALONE_AFTER_LOST, PARKED_AFTER_LOST
from selo_dagster.sagas.definition import Retry
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.downstream import Downstream
from selo_dagster.sagas.monitor import watch
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.tables import sagas
from selo_dagster.sagas.traced import places_of, trace_of
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from selo_dagster.tracing.places import of_obligation, of_run, of_saga
from selo_dagster.tracing.switch import flush
from tests.sagas.builders import AGAIN, LINE, REGISTRY, Room
from tests.sagas.kit_cases import REFLECTION, add_reflection
from tests.sagas.minds import learning, learnings, model_that
from tests.support.fakes import NOW, FakeModel, add_person, run_cohort, say
from tests.tracing.collector import Collector, Seen
from tests.tracing.wishing import wishing
from tests.triggers.arrivals import TRIGGERED, known, look, requests, strong


@pytest.fixture
def room(store: Store, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Ana's, of whose reflections a model learns one thing."""
    registry.cache_clear()
    model_that(monkeypatch, learnings=learnings(learning()))
    made = Room(store)
    known(store, "ana")
    return made


def reflected(store: Store, run_id: str = "run-1", **more: Any) -> None:
    """Reflect on what was triggered, and ask for what follows."""
    made = run_cohort(
        store,
        FakeModel(wishing),
        run_id=run_id,
        kind=TRIGGERED,
        clock=FixedClock(NOW),
        on_made=Downstream(registry(), load_settings({})),
        **more,
    )
    assert [one.outcome for one in made] == ["done"]


def the_saga(store: Store) -> str:
    """Return the id of the one saga."""
    with store.read() as connection:
        return str(connection.execute(select(sagas.c.id)).scalar_one())


def undo_asked(room: Room, saga_id: str) -> None:
    """Ask for a saga to be undone, at the operator's desk."""
    with room.store.write() as connection:
        find = lambda name, version: definition_of(registry(), name, version)  # noqa: E731
        Desk(connection, room.clock.now(), find, "olga", "it is right").compensate(saga_id)


def above(one: Seen, spans: list[Seen]) -> list[str]:
    """Return the names of the spans over one, the nearest first; a parent that never arrived ends it with `?`."""
    names: list[str] = []
    by_id = {other.id: other for other in spans}
    while one.parent:
        if one.parent not in by_id:
            return [*names, "?"]
        one = by_id[one.parent]
        names.append(one.name)
    return names


def test_from_the_event_to_the_insight_to_the_persona_and_back_is_one_trace(room: Room, collector: Collector) -> None:
    store = room.store
    strong(store, "ana", "m1")
    look(store)
    reflected(store)
    room.forward(PERSONA_EVOLUTION, "run-2")
    saga_id = the_saga(store)
    undo_asked(room, saga_id)
    room.back(PERSONA_EVOLUTION, "run-3")
    assert flush()

    (request,) = requests(store)
    trace = of_obligation("ana", "triggered", request.key).trace
    ours = [one for one in collector.spans if one.trace == trace]
    assert [one.name for one in ours if not one.parent] == ["selo.trigger"]
    steps = [(one["direction"], one["step"], one["outcome"]) for one in ours if one.name == "selo.saga.step"]
    assert [step for step in steps if step[0] == "forward"] == [
        ("forward", name, "done") for name in ("read_reflection", "learn", "keep_learnings", "apply_traits", "record")
    ]
    assert {step[1] for step in steps if step[0] == "compensate"} == {"keep_learnings", "apply_traits", "record"}
    assert {one.name: above(one, ours) for one in ours} == {
        "selo.trigger": [],
        "selo.reflect": ["selo.trigger"],
        "selo.commit": ["selo.reflect", "selo.trigger"],
        "selo.saga.ask": ["selo.commit", "selo.reflect", "selo.trigger"],
        "selo.saga.step": ["selo.saga.ask", "selo.commit", "selo.reflect", "selo.trigger"],
        # The last of them by time: the one that the saga's step made.
        "selo.model_call": ["selo.saga.step", "selo.saga.ask", "selo.commit", "selo.reflect", "selo.trigger"],
        "selo.saga.act": ["selo.saga.ask", "selo.commit", "selo.reflect", "selo.trigger"],
        "selo.saga.settle": ["selo.saga.ask", "selo.commit", "selo.reflect", "selo.trigger"],
    }
    with store.read() as connection:
        assert trace_of(connection, saga_id) == trace
    settled = [one["state"] for one in ours if one.name == "selo.saga.settle"]
    assert settled == ["completed", "compensated"]
    with store.read() as connection:
        stored = connection.execute(select(reflections.c.id)).scalar_one()
    (reflect,) = [one for one in ours if one.name == "selo.reflect"]
    assert (reflect["reflection"], reflect["outcome"], reflect["obligation"]) == (stored, "done", request.id)
    assert (reflect["input_tokens"], reflect["output_tokens"], reflect["attempt"]) == (10, 20, 1)
    assert reflect.links == (of_run("run-1").trace,)
    asked = [one for one in ours if one.name == "selo.model_call"]
    assert [one.attributes["gen_ai.request.model"] for one in asked] == ["fake", "told"]
    assert [one.attributes["gen_ai.usage.output_tokens"] for one in asked] == [20, 20]


def test_a_run_is_a_trace_of_its_own_in_which_contexts_are_read(room: Room, collector: Collector) -> None:
    strong(room.store, "ana", "m1")
    look(room.store)
    reflected(room.store, run_id="0c6b7d0e-3a2f-4d2b-9a57-0d5f9b7e1a11")
    assert flush()
    (cohort,) = collector.named("selo.cohort")
    (context,) = collector.named("selo.context")
    assert cohort.trace == context.trace == "0c6b7d0e3a2f4d2b9a570d5f9b7e1a11"
    assert (context.parent, context["people"]) == (cohort.id, 1)
    assert cohort.resource["service.name"] == "selo_dagster"


def test_a_date_that_nothing_triggered_begins_with_its_first_try_and_goes_on_in_the_next(
    room: Room, collector: Collector
) -> None:
    say(room.store, "ana", "2026-11-22T10:00:00Z")
    enrol(room.store, DAILY, NOW, 3)

    async def breaks(_: Any) -> str:
        raise ConnectionError

    (failed,) = run_cohort(room.store, FakeModel(breaks), run_id="a")
    assert failed.retry_at is not None
    (done,) = run_cohort(room.store, run_id="b", clock=FixedClock(failed.retry_at))
    assert (failed.outcome, done.outcome) == ("failed", "done")
    assert flush()
    first, second = collector.named("selo.reflect")
    place = of_obligation("ana", "daily", "2026-11-22")
    assert first.trace == second.trace == place.trace
    assert (first.parent, second.parent) == ("", first.id)
    assert (first["attempt"], first["outcome"], first.error) == (1, "failed", True)
    assert first.attributes["error.type"] == "ConnectionError"
    assert (second["attempt"], second["outcome"], second.error) == (2, "done", False)


def test_several_causes_of_one_request_are_in_its_trace(room: Room, collector: Collector) -> None:
    strong(room.store, "ana", "m1")
    look(room.store)
    strong(room.store, "ana", "m2")
    look(room.store)
    assert flush()
    first, second = collector.named("selo.trigger")
    assert (first["outcome"], second["outcome"]) == ("accepted", "merged")
    assert (first.trace, first.id) == (second.trace, second.parent)
    assert (first["causes"], second["causes"], len(second["events"])) == (1, 2, 2)


def test_whoever_starts_a_saga_by_hand_finds_its_trace_under_its_own_id(room: Room, collector: Collector) -> None:
    saga_id = room.start(LINE, fail_at={"two": "error"})
    room.forward(LINE, "run-1")
    room.back(LINE, "run-2")
    assert flush()
    assert {one.trace for one in collector.spans} == {saga_id}
    (asked,) = collector.named("selo.saga.ask")
    assert (asked.parent, asked.id) == ("", f"{of_saga(saga_id).span_id:016x}")
    (broken,) = [one for one in collector.named("selo.saga.step") if one.error and one["direction"] == "forward"]
    assert (broken["step"], broken["outcome"], broken.attributes["error.type"]) == ("two", "failed", "ValueError")
    (turn,) = collector.named("selo.saga.turn")
    assert (turn["state"], turn["reason"]) == ("compensating", "step_failed")
    (settled,) = collector.named("selo.saga.settle")
    assert settled["state"] == "compensated"


@dataclass
class Asking:
    """What of a saga says who asked for it."""

    id: str
    user_id: str
    input: dict[str, str]


def test_a_saga_is_in_the_trace_of_its_own_person_s_reflection_and_of_no_other(room: Room) -> None:
    add_person(room.store, "ben")
    add_reflection(room.store, "ana")
    asked = [
        Asking("a" * 32, "ana", {"source": f"reflection:{REFLECTION}"}),
        Asking("b" * 32, "ben", {"origin": f"reflection:{REFLECTION}"}),
        Asking("c" * 32, "ana", {"origin": "reflection:gone"}),
        Asking("d" * 32, "ben", {"source": "reassessment:2026-11-22/2"}),
        Asking("e" * 32, "ben", {"source": "a friend"}),
    ]
    with room.store.read() as connection:
        ana = connection.execute(select(reflections.c.kind, reflections.c.key)).one()
        found = {one: place.trace for one, place in places_of(connection, asked).items()}
    assert found == {
        "a" * 32: of_obligation("ana", ana.kind, ana.key).trace,
        "b" * 32: "b" * 32,
        "c" * 32: "c" * 32,
        "d" * 32: of_obligation("ben", "persona_reassessment", "2026-11-22").trace,
        "e" * 32: "e" * 32,
    }


def test_what_the_monitor_does_about_a_saga_is_in_its_trace_once(room: Room, collector: Collector) -> None:
    saga_id = room.start(AGAIN, fail_at={"two": "transient"})
    for number in range(AGAIN.step("two").retry.attempts):
        room.forward(AGAIN, f"run-{number}")
        room.later(seconds=Retry().cap_s + 60)
    room.back(AGAIN, "back")
    for _ in range(2):
        with room.store.write() as connection:
            watch(connection, REGISTRY, room.clock.now())
    assert flush()
    (monitored,) = collector.named("selo.saga.monitor")
    assert (monitored.trace, monitored["action"], monitored["generation"]) == (saga_id, "restart", 2)


def test_an_alert_of_the_monitor_is_told_once(room: Room, collector: Collector) -> None:
    saga_id = room.start(LINE)
    with room.store.write() as connection:
        connection.execute(update(sagas).values(changed_at=database_now(-3_600)))
    for _ in range(2):
        with room.store.write() as connection:
            watch(connection, REGISTRY, room.clock.now())
    assert flush()
    (monitored,) = collector.named("selo.saga.monitor")
    assert (monitored.trace, monitored["action"], monitored["condition"]) == (saga_id, "alert", "untaken")


def test_a_saga_that_kills_its_runs_is_told_to_be_parked(room: Room, collector: Collector) -> None:
    saga_id = room.start(LINE)
    for number in range(PARKED_AFTER_LOST):
        room.claim(LINE, run_id=f"run-{number}", alone=number >= ALONE_AFTER_LOST)
        room.expire()
    assert flush()
    (turn,) = collector.named("selo.saga.turn")
    assert (turn.trace, turn["state"], turn["reason"]) == (saga_id, "parked", "lost_claims")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_processes_that_know_nothing_of_each_other_tell_one_trace(room: Room, collector: Collector) -> None:
    strong(room.store, "ana", "m1")
    for what in ("look", "reflect"):
        ended = subprocess.run(
            [sys.executable, "-m", "tests.tracing.worker", str(room.store.engine.url.render_as_string(False)), what],
            env={**os.environ, "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    room.forward(PERSONA_EVOLUTION, "run-2")
    assert flush()
    with room.store.read() as connection:
        key = connection.execute(select(ledger.c.key).where(ledger.c.kind == "triggered")).scalar_one()
    trace = of_obligation("ana", "triggered", key).trace
    ours = [one for one in collector.spans if one.trace == trace]
    assert {one.name for one in ours} >= {"selo.trigger", "selo.reflect", "selo.saga.ask", "selo.saga.step"}
    assert all("?" not in above(one, ours) for one in ours)
