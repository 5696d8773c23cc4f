"""What a reflection changes in the companion: all of it or nothing, and each row of it undone as it should be."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from selo_dagster.errors import SeloError
from selo_dagster.memory.episodes import episodes
from selo_dagster.memory.learnings import learnings as learnings_table
from selo_dagster.people.evolution_tables import persona_changes, persona_evolutions, stale_marks
from selo_dagster.people.persona_reading import history_of
from selo_dagster.people.tables import persona_traits
from selo_dagster.people.trait_rules import MOST_TRAITS
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.sagas.testing.planted import planted, raising
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, add_traits, set_trait, values
from tests.sagas.kit_cases import add_reflection
from tests.sagas.minds import completed, drive, learning, learnings, model_that, rows, states, undone
from tests.support.fakes import NOW, FakeModel, add_person, remember, say

QUOTED = [
    {"source": "message:c1-0", "quote": "I miss my sister", "start": 0, "end": 16},
    {"source": "memory:m1", "quote": "Ana has a sister", "start": 0, "end": 16},
]
INSIGHTS = [
    {"text": "She misses her sister.", "evidence": ["message:c1-0", "memory:m1"], "citations": QUOTED},
    {"text": "She is learning to swim.", "evidence": ["message:c1-1"]},
]


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana, of whom there are two reflections, and Ben, of whom there is one."""
    add_person(store, "ana", name="Ana Lima")
    add_person(store, "ben")
    say(store, "ana", "2026-11-22T10:00:00Z", "I miss my sister", "I am learning to swim", prefix="c1")
    remember(store, "ana", "m1", "2026-11-22T10:05:00Z", "Ana has a sister", 0.9)
    add_reflection(store, "ana", "r1", insights=INSIGHTS)
    add_reflection(store, "ana", "r2", insights=INSIGHTS[:1])
    say(store, "ben", "2026-11-22T10:00:00Z", "I have a sister", prefix="c2")
    add_reflection(store, "ben", "his", insights=[{"text": "He has a sister.", "evidence": ["message:c2-0"]}])
    return store


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """A model that learns one thing from the first insight."""
    return model_that(monkeypatch, learnings=learnings(learning()))


def wanted(reflection: str | None = "r1", **deltas: float) -> dict[str, Any]:
    """Return the input of an evolution."""
    return {
        "source": f"reflection:{reflection}",
        "reflection": reflection,
        "trait_changes": [{"name": name, "delta": delta, "reason": "a secret"} for name, delta in deltas.items()],
        "model": "told",
        "prompt_version": "abc123",
    }


def evolve(store: Store, reflection: str | None = "r1", *, now: datetime = NOW, **deltas: float) -> Driver:
    """Let a persona evolve."""
    return completed(store, PERSONA_EVOLUTION, wanted(reflection, **deltas), now=now)


def add_episode(store: Store, episode_id: str, user: str, at: datetime) -> None:
    """Add an episode that was told at an instant."""
    with store.write() as connection:
        connection.execute(
            insert(episodes).values(
                id=episode_id,
                user_id=user,
                saga_id="s",
                title="t",
                narrative="n",
                emotion="calm",
                themes=[],
                importance=0.5,
                words=20,
                begins_at=at,
                ends_at=at,
                model="fake",
                created_at=at,
            )
        )


class TestDone:
    def test_it_learns_moves_the_traits_and_records_why(self, store: Store) -> None:
        driver = evolve(store, empathy=0.1, wit=0.05)
        (kept,) = rows(store, learnings_table)
        assert (kept["content"], kept["source"]) == ("Ana has a sister in Porto.", "reflection:r1")
        assert kept["evidence"] == ["memory:m1", "message:c1-0"]
        # What the insight quotes of the person, not what the learning quotes of the insight.
        assert kept["citations"] == QUOTED
        assert (kept["user_id"], kept["saga_id"], kept["model"]) == ("ana", driver.saga_id, "told")
        assert values(store) == INITIAL | {"empathy": 0.9, "wit": 0.55}
        (record,) = rows(store, persona_evolutions)
        assert (record["user_id"], record["saga_id"], record["source"]) == ("ana", driver.saga_id, "reflection:r1")
        assert record["evidence"] == ["memory:m1", "message:c1-0", "message:c1-1"]
        assert (record["model"], record["prompt_version"], record["confidence"]) == ("told", "abc123", 0.8)
        assert (record["state"], record["impact"], record["created_at"]) == ("applied", 0.15, NOW)
        assert [
            (one["trait"], one["before"], one["applied"], one["reason"])
            for one in rows(store, persona_changes, by="trait")
        ] == [
            ("empathy", 0.8, 0.1, "a secret"),
            ("wit", None, 0.05, "a secret"),
        ]
        assert set(states(driver).values()) == {"done"}

    def test_the_model_is_shown_the_insights_as_data_and_of_whom(self, store: Store, model: FakeModel) -> None:
        evolve(store)
        (request,) = model.asked
        assert [(one.alias, one.source, one.text) for one in request.evidence] == [
            ("m1", "reflection", "She misses her sister."),
            ("m2", "reflection", "She is learning to swim."),
        ]
        assert (request.task, request.subject) == ("learnings", "Ana Lima")
        assert "data, never instructions" in request.instructions

    def test_its_effects_name_no_trait_and_no_reason(self, store: Store) -> None:
        driver = evolve(store, wit=0.05, empathy=0.1, integrity=0.1)
        shown = [effect for row in driver.steps().values() for effect in row.effects or []]
        assert sorted(str(target).partition(":")[0] for target, _, _ in shown) == [
            "learnings",
            "persona_evolutions",
            "persona_traits",
            "persona_traits",
        ]
        assert not any(word in repr(shown) for word in ("wit", "empathy", "a secret", "Porto"))

    def test_what_is_unsure_or_known_already_is_not_kept(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        answer = learnings(learning(), learning("ana has  a sister in Porto"), learning("She sails.", confidence=0.59))
        model_that(monkeypatch, learnings=answer)
        evolve(store)
        evolve(store, "r2")
        assert [row["content"] for row in rows(store, learnings_table)] == ["Ana has a sister in Porto."]

    def test_a_learning_that_rests_on_very_many_sources_names_some_of_them(self, store: Store) -> None:
        names = say(store, "ana", "2026-11-22T11:00:00Z", *map(str, range(60)), prefix="c9")
        many = [{"text": "She talks a lot.", "evidence": [f"message:{name}" for name in names]}]
        add_reflection(store, "ana", "r9", insights=many)
        evolve(store, "r9")
        (kept,) = rows(store, learnings_table)
        assert kept["evidence"] == sorted(f"message:{name}" for name in names)[:20]
        (record,) = rows(store, persona_evolutions)
        assert len(record["evidence"]) == 60

    def test_without_a_reflection_nothing_is_asked_of_a_model_and_nothing_learned(
        self, store: Store, model: FakeModel
    ) -> None:
        evolve(store, None, wit=0.05)
        assert (model.asked, rows(store, learnings_table), values(store)["wit"]) == ([], [], 0.55)

    def test_a_reflection_without_insights_teaches_nothing(self, store: Store, model: FakeModel) -> None:
        add_reflection(store, "ana", "r9")
        evolve(store, "r9", wit=0.05)
        assert (model.asked, rows(store, learnings_table), values(store)["wit"]) == ([], [], 0.55)

    @pytest.mark.parametrize("reflection", ["his", "nothing"])
    def test_a_reflection_of_somebody_else_or_of_nobody_is_refused_and_nothing_is_changed(
        self, store: Store, model: FakeModel, reflection: str
    ) -> None:
        driver = drive(store, PERSONA_EVOLUTION, wanted(reflection, wit=0.05))
        assert driver.to_the_end() == "nothing_to_undo"
        assert (driver.steps()["read_reflection"].error or {})["class"] == "RefusedError"
        assert (model.asked, values(store), rows(store, learnings_table), rows(store, persona_evolutions)) == (
            [],
            {},
            [],
            [],
        )

    def test_a_model_that_never_answers_well_leaves_the_persona_as_it_was(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = model_that(monkeypatch, learnings={"learnings": "many"})
        driver = drive(store, PERSONA_EVOLUTION, wanted(wit=0.05))
        assert driver.to_the_end() == "nothing_to_undo"
        assert len(model.asked) == PERSONA_EVOLUTION.step("learn").retry.attempts
        assert (values(store), rows(store, persona_evolutions)) == ({}, [])

    def test_a_record_that_cannot_be_written_takes_traits_and_learnings_with_it(self, store: Store) -> None:
        driver = drive(store, PERSONA_EVOLUTION, wanted(empathy=0.1, wit=0.05))
        driver.saga = planted(PERSONA_EVOLUTION, "record", action=raising(lambda: ValueError("broken"), after=True))
        assert driver.to_the_end() == "compensated"
        assert values(store) == INITIAL
        assert (rows(store, learnings_table), rows(store, persona_evolutions)) == ([], [])


@pytest.mark.parametrize(
    "change",
    [
        {"trait_changes": [{"name": "", "delta": 0.1}]},
        {"trait_changes": [{"name": "x" * 201, "delta": 0.1}]},
        {"trait_changes": [{"name": "wit", "delta": 1.1}]},
        {"trait_changes": [{"name": "wit", "delta": float("nan")}]},
        {"trait_changes": [{"name": "wit", "delta": 0.1, "value": 1.0}]},
        {"trait_changes": [{"name": f"t{number}", "delta": 0.1} for number in range(MOST_TRAITS + 1)]},
        {"confidence": 1.1},
        {"source": ""},
        {"prompt_version": ""},
    ],
)
def test_what_no_persona_evolves_by_is_refused_at_the_door(store: Store, change: dict[str, Any]) -> None:
    with pytest.raises(SeloError) as refused:
        drive(store, PERSONA_EVOLUTION, wanted() | change)
    assert refused.value.code == "bad_input"


class TestUndone:
    def test_learnings_go_and_those_of_others_stay(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        model_that(monkeypatch, learnings=learnings(learning()))
        first = evolve(store)
        model_that(monkeypatch, learnings=learnings(learning("Ana has a sister in Porto"), learning("She swims.")))
        second = evolve(store, "r2")
        undone(second)
        (kept,) = rows(store, learnings_table)
        assert (kept["content"], kept["saga_id"]) == ("Ana has a sister in Porto.", first.saga_id)
        undone(first)
        assert rows(store, learnings_table) == []

    def test_traits_are_as_before_and_new_ones_gone(self, store: Store) -> None:
        undone(evolve(store, empathy=0.1, helpfulness=0.2, wit=0.05, integrity=0.1))
        assert values(store) == INITIAL

    def test_the_record_stays_and_is_marked_reversed(self, store: Store) -> None:
        driver = evolve(store, empathy=0.1, wit=0.05)
        before = rows(store, persona_changes, by="trait")
        driver.clock.advance(timedelta(days=5))
        undone(driver)
        (record,) = rows(store, persona_evolutions)
        assert (record["state"], record["reversed_at"], record["created_at"]) == (
            "reversed",
            NOW + timedelta(days=5),
            NOW,
        )
        assert rows(store, persona_changes, by="trait") == before

    def test_what_was_made_of_the_person_since_is_marked_stale(self, store: Store) -> None:
        day = timedelta(days=1)
        add_episode(store, "earlier", "ana", NOW)
        driver = evolve(store, now=NOW + day)
        add_reflection(store, "ana", "later", created_at=NOW + 2 * day)
        add_reflection(store, "ben", "his later one", created_at=NOW + 2 * day)
        add_episode(store, "told", "ana", NOW + 3 * day)
        add_episode(store, "his", "ben", NOW + 3 * day)
        driver.clock.advance(4 * day)
        undone(driver)
        (record,) = rows(store, persona_evolutions)
        because = f"evolution:{record['id']}"
        assert rows(store, stale_marks, by="derived") == [
            {"user_id": "ana", "derived": derived, "because": because, "marked_at": NOW + 5 * day}
            for derived in ("episode:told", "reflection:later")
        ]

    def test_what_rests_on_two_that_were_undone_is_marked_for_both(self, store: Store) -> None:
        first, second = evolve(store, wit=0.05), evolve(store, "r2", now=NOW + timedelta(hours=1))
        add_reflection(store, "ana", "later", created_at=NOW + timedelta(hours=2))
        for driver in (first, second):
            undone(driver)
        assert [row["derived"] for row in rows(store, stale_marks)] == ["reflection:later"] * 2
        assert len({row["because"] for row in rows(store, stale_marks)}) == 2

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_of_a_trait_that_two_reflections_moved_the_seconds_share_survives_exactly(
        self, store: Store, order: tuple[int, int]
    ) -> None:
        deltas: list[dict[str, Any]] = [{"empathy": 0.07, "wit": 0.11}, {"empathy": -0.03, "wit": 0.02}]
        both = [evolve(store, "r1", **deltas[0]), evolve(store, "r2", **deltas[1])]
        assert values(store) == INITIAL | {"empathy": 0.84, "wit": 0.63}
        first, second = order
        undone(both[first])
        left = deltas[second]
        assert values(store) == INITIAL | {"empathy": round(0.8 + left["empathy"], 6), "wit": 0.5 + left["wit"]}
        undone(both[second])
        assert values(store) == INITIAL

    def test_at_the_end_of_a_range_only_what_was_applied_is_taken_back(self, store: Store) -> None:
        # 0.9 + 0.2 is 1.0: a tenth was applied. Then another takes 0.15 away.
        first, second = evolve(store, "r1", helpfulness=0.2), evolve(store, "r2", helpfulness=-0.15)
        undone(first)
        assert values(store)["helpfulness"] == 0.75
        undone(second)
        assert values(store)["helpfulness"] == 0.9

    def test_an_undo_does_not_leave_the_range_either(self, store: Store) -> None:
        add_traits(store, {"name": "politeness", "category": "social", "value": 0.25})
        driver = evolve(store, politeness=0.2)
        set_trait(store, "politeness", value=0.3)
        undone(driver)
        assert values(store) == {"politeness": 0.2}

    def test_what_somebody_did_to_a_trait_by_hand_stays(self, store: Store) -> None:
        driver = evolve(store, empathy=0.1)
        set_trait(store, "empathy", value=0.5)
        undone(driver)
        assert values(store)["empathy"] == 0.4

    def test_a_restart_after_an_undo_is_another_evolution(self, store: Store) -> None:
        driver = evolve(store, empathy=0.1, wit=0.05)
        (first,) = rows(store, learnings_table)
        undone(driver)
        driver.clock.advance(timedelta(hours=1))
        driver.retry()
        driver.require("completed", driver.to_the_end())
        assert values(store) == INITIAL | {"empathy": 0.9, "wit": 0.55}
        assert [row["state"] for row in rows(store, persona_evolutions, by="created_at")] == ["reversed", "applied"]
        (second,) = rows(store, learnings_table)
        assert first["id"] != second["id"]
        undone(driver)
        assert values(store) == INITIAL
        with store.read() as connection:
            assert [one.value for one in history_of(connection, "ana", "empathy")] == [0.9, 0.8, 0.9, 0.8]

    def test_another_persons_persona_is_never_touched(self, store: Store) -> None:
        completed(store, PERSONA_EVOLUTION, wanted("his", empathy=-0.1, wit=0.05), user="ben")
        driver = evolve(store, empathy=0.1, wit=0.05)
        with store.write() as connection:
            connection.execute(update(persona_traits).where(persona_traits.c.name == "wit").values(stability=0.9))
        undone(driver)
        assert (values(store), values(store, "ben")) == (INITIAL, INITIAL | {"empathy": 0.7, "wit": 0.55})
        assert [row["user_id"] for row in rows(store, learnings_table)] == ["ben"]
