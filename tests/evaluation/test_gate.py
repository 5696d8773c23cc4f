"""Where it is asked for, no reflection asks a model that no evaluation accepted: the work waits and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from sqlalchemy import func, select

from selo_dagster.clock import FixedClock
from selo_dagster.reflections.acceptance import acceptance_of
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.fingerprint import fingerprint_of
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.schedules import schedule_of
from selo_dagster.reflections.sensors import due_requests_sensor
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.settings import Settings, load_settings, process_settings
from selo_dagster.store.engine import Store
from tests.evaluation.reports import accept_configured
from tests.support.command import Selo
from tests.support.dagster import instance_of
from tests.support.fakes import NOW, FakeModel, add_person, limits, say, tools

GATED = load_settings({"SELO_EVAL_GATE": "1"})


@pytest.fixture
def waiting(store: Store) -> Store:
    """A store in which one person's Sunday is due."""
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z", "I bought a boat")
    enrol(store, DAILY, NOW, 3)
    return store


def reflect(store: Store, settings: Settings, model: FakeModel, kind: Kind = DAILY) -> list[Settlement]:
    given = replace(tools(store, model), acceptance=acceptance_of(settings))
    cohort = Cohort(kind, "run-1", limits(), given, lambda _: None, by_hand=True)
    return [one for batch in settlements(cohort) for one in batch]


def attempts(store: Store) -> int:
    with store.read() as connection:
        tried = connection.execute(select(func.sum(ledger.c.attempts))).scalar_one()
        rows = connection.execute(select(func.count()).select_from(reflection_attempts)).scalar_one()
    return int(tried) + int(rows)


def test_what_was_not_accepted_is_not_asked_and_no_attempt_is_used(waiting: Store) -> None:
    model = FakeModel()
    assert reflect(waiting, GATED, model) == []
    assert (model.asked, attempts(waiting)) == ([], 0)


def test_once_accepted_the_same_work_is_done(waiting: Store) -> None:
    reflect(waiting, GATED, FakeModel())
    accept_configured(waiting, GATED)
    assert [one.outcome for one in reflect(waiting, GATED, FakeModel())] == ["done"]


def test_another_model_than_the_accepted_one_waits(waiting: Store) -> None:
    accept_configured(waiting, GATED)
    other = load_settings({"SELO_EVAL_GATE": "1", "SELO_LLM_URL": "http://127.0.0.1:9/v1", "SELO_LLM_MODEL": "another"})
    assert reflect(waiting, other, FakeModel()) == []


def test_switched_off_nothing_is_looked_up(waiting: Store) -> None:
    assert acceptance_of(load_settings({})) is None
    assert [one.outcome for one in reflect(waiting, load_settings({}), FakeModel())] == ["done"]


def test_a_kind_that_asks_no_model_is_not_held_back(waiting: Store) -> None:
    reassessment = KINDS["persona_reassessment"]
    reflect(waiting, load_settings({}), FakeModel())
    enrol(waiting, reassessment, NOW, 3)
    assert len(reflect(waiting, GATED, FakeModel(), reassessment)) == 1


def test_the_fingerprint_changes_with_prompt_schema_model_and_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    served = {"SELO_LLM_URL": "http://127.0.0.1:9/v1", "SELO_LLM_MODEL": "one"}
    found = [
        fingerprint_of(load_settings(given))
        for given in (
            {},
            served,
            served | {"SELO_LLM_MODEL": "two"},
            served | {"SELO_LLM_LIGHT_MODEL": "light"},
            served | {"SELO_LLM_TEMPERATURE": "0.1"},
        )
    ]
    monkeypatch.setitem(KINDS, "daily", replace(DAILY, instructions="Write."))
    # Asked for with settings that were not asked for before: what was computed once is remembered.
    found.append(fingerprint_of(load_settings(served | {"SELO_CONTEXT_CHARACTERS": "9000"})))
    monkeypatch.undo()
    found.append(fingerprint_of(load_settings(served | {"SELO_CONTEXT_CHARACTERS": "9001"})))
    assert len(set(found)) == len(found)
    assert fingerprint_of(load_settings(served)) == found[1]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
class TestFaces:
    @pytest.fixture
    def selo(
        self, waiting: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Selo:
        """The command on that store, with the gate on."""
        assert waiting.dialect in store_url
        monkeypatch.setenv("DATABASE_URL", store_url)
        monkeypatch.setenv("SELO_EVAL_GATE", "1")
        process_settings.cache_clear()
        return Selo(capsys)

    def test_reflect_why_and_status_say_what_to_do(self, selo: Selo) -> None:
        status, told = selo.json("reflect", "daily", "--now", "2026-11-23T12:00:00Z")
        assert (status, told["outcomes"]) == (1, [])
        assert "run `selo eval --accept`" in told["failures"][0]
        _, told = selo.json("why", "ana", "--on", "2026-11-22", "--now", "2026-11-23T12:00:00Z")
        assert (told["kinds"]["daily"]["outcome"], told["kinds"]["daily"]["reason"]) == ("deferred", "not_accepted")
        status, told = selo.json("status")
        (problem,) = [one for one in told["problems"] if one["code"] == "eval_not_accepted"]
        assert (status, problem["runbook"]) == (1, "docs/runbook.md#eval_not_accepted")

    @pytest.fixture
    def instance(self, selo: Selo, waiting: Store) -> Iterator[dg.DagsterInstance]:
        """Dagster beside that store."""
        assert selo.error == ""
        with instance_of(waiting, on_disk=True) as made:
            yield made

    def test_ticks_ask_for_no_run_until_it_is_accepted(self, instance: dg.DagsterInstance, waiting: Store) -> None:
        def ticks() -> tuple[int, str, int]:
            schedule = schedule_of(DAILY, jobs["daily"], lambda: FixedClock(NOW))
            context = dg.build_schedule_context(instance=instance, scheduled_execution_time=NOW)
            tick = schedule.evaluate_tick(context)
            sensor = due_requests_sensor(KINDS, jobs, lambda: FixedClock(NOW))
            looked = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
            return len(tick.run_requests or []), tick.skip_message or "", len(looked.run_requests or [])

        asked, why_none, sensed = ticks()
        assert (asked, sensed) == (0, 0)
        assert why_none.startswith("1 ready, held back: the model and prompts in use were not accepted")
        accept_configured(waiting, GATED)
        asked, _, sensed = ticks()
        assert (asked, sensed) == (1, 1)
