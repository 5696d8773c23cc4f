"""Persona, goals and episodes in Dagster: numbers of each person whenever a saga of theirs has ended, and no word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import insert, select, update

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.people.goals import goals
from selo_dagster.people.tables import users
from selo_dagster.sagas import assets, mind
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.launch import WorkedOff, work_off_in
from selo_dagster.sagas.mind import FACES, episode_numbers, goal_numbers, mark_shown, persona_numbers, unshown
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.start import start
from selo_dagster.sagas.tables import sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, evolved, set_trait, taken_back
from tests.sagas.evolutions import asked, room_at
from tests.sagas.kit_cases import add_reflection
from tests.sagas.minds import learning, learnings, model_that
from tests.sagas.test_bulk_undo import materialized
from tests.sagas.test_persona_evolution import add_episode
from tests.support.dagster import NOW_TEXT, instance_of, statuses
from tests.support.fakes import NOW, add_person
from tests.test_private_boundary import SECRET, leaks_in

DEFINITIONS = selo_dagster.definitions.defs


@pytest.fixture
def store(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with three people, that the settings name too; Ben's key in Dagster is not his id."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    registry.cache_clear()
    for user in ("ana", "ben", "cy"):
        add_person(store, user)
    with store.write() as connection:
        connection.execute(update(users).where(users.c.id == "ben").values(key="k-ben"))
    yield store
    registry.cache_clear()


@pytest.fixture
def instance(store: Store) -> Iterator[dg.DagsterInstance]:
    """An instance with a partition for each of them."""
    with instance_of(store) as made:
        yield made


def shown(instance: dg.DagsterInstance, asset: str) -> dict[str, list[dict[str, Any]]]:
    """Return the metadata of every materialisation of an asset, by partition, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in instance.fetch_materializations(dg.AssetKey(asset), limit=1_000, ascending=True).records:
        made = record.asset_materialization
        assert made is not None
        found.setdefault(str(made.partition), []).append({name: one.value for name, one in made.metadata.items()})
    return found


def work(store: Store, instance: dg.DagsterInstance) -> WorkedOff:
    """Work off what waits, at the tests' now."""
    return work_off_in(store, instance, None, NOW_TEXT)


def want_goal(store: Store, user: str, title: str = "Learn to swim") -> str:
    """Ask for a goal; returns the saga's id."""
    given = {"title": title, "description": title, "origin": f"test:{uuid4().hex}", "steps": [title], "ask": False}
    with store.write() as connection:
        return start(
            connection,
            GOAL_CREATION,
            user_id=user,
            key=uuid4().hex,
            given=given,
            now=NOW,
            new_id=lambda: uuid4().hex,
        ).id


def undo(store: Store, saga_id: str) -> None:
    """Ask for the undo of a saga."""
    with store.write() as connection:
        found = registry().by_version
        Desk(connection, NOW, lambda name, version: found[name, version], "olga", "why not").compensate(saga_id)


class TestShown:
    def test_whoever_evolved_is_a_partition_of_the_persona_with_every_trait_as_a_number(
        self, store: Store, instance: dg.DagsterInstance
    ) -> None:
        for user in ("ana", "ben"):
            asked(store, user, deltas={"empathy": 0.1, "calm": 0.05})
        assert work(store, instance).counts == {"completed": 2}
        found = shown(instance, "persona")
        assert sorted(found) == ["ana", "k-ben"]
        (ana,) = found["ana"]
        traits = {name: value for name, value in ana.items() if name.startswith("trait_")}
        assert traits == {f"trait_{name}": value for name, value in (INITIAL | {"empathy": 0.9, "calm": 0.55}).items()}
        assert (ana["sagas"], ana["evolutions"], ana["reversed"], ana["extremes"], ana["other_traits"]) == (
            1,
            1,
            0,
            0,
            0,
        )
        assert ana["distance_from_home"] == pytest.approx(0.115)
        assert all(isinstance(value, (int, float)) for value in ana.values())
        assert statuses(instance, "persona") == {"ana": "MATERIALIZED", "k-ben": "MATERIALIZED"}
        assert shown(instance, "goals") == {}

    def test_an_undo_is_shown_as_well(self, store: Store, instance: dg.DagsterInstance) -> None:
        evolution, goal = asked(store, "ana", deltas={"empathy": 0.1}), want_goal(store, "ana")
        work(store, instance)
        for saga_id in (evolution, goal):
            undo(store, saga_id)
        work(store, instance)
        done, undone = shown(instance, "persona")["ana"]
        assert (done["trait_empathy"], done["evolutions"], done["reversed"]) == (0.9, 1, 0)
        assert (undone["trait_empathy"], undone["evolutions"], undone["reversed"]) == (0.8, 0, 1)
        assert [one["active"] for one in shown(instance, "goals")["ana"]] == [1, 0]

    def test_goals_are_shown_with_how_far_they_are(self, store: Store, instance: dg.DagsterInstance) -> None:
        want_goal(store, "ana")
        want_goal(store, "ana", "Sing in a choir")
        want_goal(store, "ben")
        work(store, instance)
        assert shown(instance, "goals") == {
            "ana": [
                {"sagas": 1, "active": 1, "reached": 0, "progress": 0.0},
                {"sagas": 1, "active": 2, "reached": 0, "progress": 0.0},
            ],
            "k-ben": [{"sagas": 1, "active": 1, "reached": 0, "progress": 0.0}],
        }
        assert shown(instance, "persona") == {}

    def test_what_a_killed_run_did_not_show_the_next_one_does_once(
        self, store: Store, instance: dg.DagsterInstance
    ) -> None:
        # As if a run had died between its last step and its end.
        asked(store, "ana")
        asked(store, "ana", deltas={"empathy": 0.05})
        for number in range(2):
            room_at(store).forward(PERSONA_EVOLUTION, f"killed-{number}")
        assert shown(instance, "persona") == {}
        asked(store, "ben")
        work(store, instance)
        found = shown(instance, "persona")
        assert (found["ana"][0]["sagas"], found["ana"][0]["trait_empathy"]) == (2, 0.95)
        asked(store, "cy")
        work(store, instance)
        assert {key: len(each) for key, each in shown(instance, "persona").items()} == {"ana": 1, "k-ben": 1, "cy": 1}

    def test_in_a_run_in_which_some_break_the_others_are_shown(
        self, store: Store, instance: dg.DagsterInstance
    ) -> None:
        asked(store, "ana", reflection="nothing")
        asked(store, "ben")
        assert work(store, instance).counts == {"completed": 1, "nothing_to_undo": 1}
        found = shown(instance, "persona")
        assert (found["k-ben"][0]["trait_empathy"], found["ana"][0]["evolutions"]) == (0.9, 0)

    def test_one_that_was_cancelled_at_the_desk_is_shown_by_the_next_run(
        self, store: Store, instance: dg.DagsterInstance
    ) -> None:
        saga_id = want_goal(store, "ana")
        with store.write() as connection:
            Desk(connection, NOW, lambda _name, _version: GOAL_CREATION, "olga", "why not").cancel(saga_id)
        want_goal(store, "ben")
        work(store, instance)
        assert shown(instance, "goals")["ana"] == [{"sagas": 1, "active": 0, "reached": 0}]

    def test_more_than_are_read_at_once_are_all_shown(
        self, store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (mind, assets):
            monkeypatch.setattr(module, "AT_ONCE", 2)
        for user in ("ana", "ben", "cy"):
            asked(store, user)
        assert work(store, instance).runs == 1
        assert {key: len(each) for key, each in shown(instance, "persona").items()} == {"ana": 1, "k-ben": 1, "cy": 1}


def test_one_that_is_turned_round_while_it_is_shown_is_shown_again_when_it_ends(store: Store) -> None:
    saga_id = asked(store, "ana")
    room = room_at(store)
    room.forward(PERSONA_EVOLUTION)
    with store.read() as connection:
        ended, _ = unshown(connection, "persona_evolution")
    undo(store, saga_id)
    room.back(PERSONA_EVOLUTION)
    with store.write() as connection:
        mark_shown(connection, ended, "run-1")
    with store.read() as connection:
        ended, people = unshown(connection, "persona_evolution")
    assert [(saga, one.user_id) for (saga, _), one in zip(ended, people, strict=True)] == [(saga_id, "ana")]
    with store.write() as connection:
        mark_shown(connection, ended, "run-2")
    with store.read() as connection:
        assert unshown(connection, "persona_evolution") == ([], [])
        assert connection.execute(select(sagas.c.shown_by)).scalar_one() == "run-2"


class TestNumbers:
    def test_of_a_persona_that_nobody_has_moved_nothing_is_known(self, store: Store) -> None:
        with store.read() as connection:
            assert persona_numbers(connection, ["ana"]) == {
                "ana": {"other_traits": 0, "extremes": 0, "evolutions": 0, "reversed": 0}
            }

    def test_a_trait_under_a_models_own_name_is_counted_and_not_named(self, store: Store) -> None:
        evolved(store, "e1", ("my_password_is_4711", 0.1), ("wit", 0.1), ("calm", -0.2))
        taken_back(store, "e1")
        evolved(store, "e2", ("my_password_is_4711", 0.1), ("wit", 0.1), ("calm", -0.2))
        set_trait(store, "wit", value=0.95)
        with store.read() as connection:
            found = persona_numbers(connection, ["ana"])["ana"]
        assert {name for name in found if name.startswith("trait_")} == {f"trait_{name}" for name in (*INITIAL, "calm")}
        assert (found["other_traits"], found["extremes"], found["evolutions"], found["reversed"]) == (2, 1, 1, 1)

    def test_goals_that_are_over_count_for_no_progress(self, store: Store) -> None:
        def goal(number: int, state: str, progress: float) -> dict[str, Any]:
            row = {"id": f"g{number}", "user_id": "ana", "title": "t", "description": "d", "origin": "o"}
            return row | {"priority": 0.5, "state": state, "progress": progress, "created_at": NOW}

        with store.write() as connection:
            connection.execute(
                insert(goals),
                [goal(1, "active", 0.5), goal(2, "active", 0.25), goal(3, "reached", 1.0), goal(4, "cancelled", 0.9)],
            )
        with store.read() as connection:
            assert goal_numbers(connection, ["ana", "ben"]) == {
                "ana": {"active": 2, "reached": 1, "progress": 0.375},
                "ben": {"active": 0, "reached": 0},
            }

    def test_episodes_are_counted_with_their_length_and_weight(self, store: Store) -> None:
        for number in range(3):
            add_episode(store, f"e{number}", "ana", NOW + timedelta(hours=number))
        with store.read() as connection:
            assert episode_numbers(connection, ["ana", "ben"]) == {
                "ana": {"episodes": 3, "mean_words": 20.0, "mean_importance": 0.5},
                "ben": {"episodes": 0},
            }


class TestLineage:
    @pytest.mark.parametrize(
        ("asset", "parents"),
        [
            (
                "persona",
                {
                    "daily_reflection",
                    "weekly_reflection",
                    "triggered_reflection",
                    "one_off_reflection",
                    "adaptive_reflection",
                    "persona_reassessment",
                },
            ),
            ("goals", {"daily_reflection", "weekly_reflection"}),
            ("persona_undo", {"persona"}),
            ("persona_reassessment", {"daily_reflection"}),
        ],
    )
    def test_each_asset_rests_on_what_it_is_made_of_and_is_partitioned_by_people(
        self, asset: str, parents: set[str]
    ) -> None:
        node = DEFINITIONS.resolve_asset_graph().get(dg.AssetKey(asset))
        assert {key.to_user_string() for key in node.parent_keys} == parents
        assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)

    def test_every_saga_that_is_shown_is_there_and_rests_on_assets_that_are(self) -> None:
        known = {key.to_user_string() for key in DEFINITIONS.resolve_asset_graph().get_all_asset_keys()}
        assert {name for name in FACES if name not in registry().newest} <= {"episode_generation"}
        for face in FACES.values():
            assert {face.asset, *face.upstream} <= known

    def test_what_the_sagas_make_is_not_materialised_by_hand_and_the_undo_is(self) -> None:
        graph = DEFINITIONS.resolve_asset_graph()
        executable = {face.asset: graph.get(dg.AssetKey(face.asset)).is_executable for face in FACES.values()}
        assert set(executable.values()) == {False}
        assert graph.get(dg.AssetKey("persona_undo")).is_executable


@pytest.mark.parametrize("fails", [False, True], ids=["well", "badly"])
def test_no_word_of_anybody_enters_dagster(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    said = f"the password is {SECRET}"
    answer = {"learnings": said} if fails else learnings(learning(said))
    model_that(monkeypatch, learnings=answer)
    add_reflection(store, "ana", "r1", insights=[{"text": said, "evidence": ["message:m1"]}], content=said)
    deltas = {said: 0.1, SECRET: 0.1, "empathy": 0.2}
    evolution = asked(store, "ana", reflection="r1", deltas=deltas)
    goal = want_goal(store, "ben", said)
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as instance:
        instance.add_dynamic_partitions("users", ["ana", "k-ben", "cy"])
        work(store, instance)
        for dry_run in (True, False):
            assert materialized(instance, "ana", dry_run=dry_run, because="a bad model").success
        if not fails:
            undo(store, evolution)
        undo(store, goal)
        work(store, instance)
        assert len(shown(instance, "goals")["k-ben"]) == 2
        assert fails or len(shown(instance, "persona")["ana"]) == 2
    assert leaks_in(home) == []
    plain = SECRET.replace("-", "_")
    assert not any(plain.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert SECRET not in caplog.text
