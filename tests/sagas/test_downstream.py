"""What follows from a reflection is asked for with it, once, and never applied twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, insert, select, update

from selo_dagster.errors import SeloError
from selo_dagster.llm import rendering
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.learnings import learnings as learnings_table
from selo_dagster.people.evolution_tables import persona_evolutions, stale_marks
from selo_dagster.people.goals import ACTIVE, CANCELLED, goals
from selo_dagster.people.tables import persona_traits
from selo_dagster.reflections.claim import Claim, ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.settle import Made, Settlement
from selo_dagster.reflections.shapes.mantra import MadeMantra
from selo_dagster.reflections.shapes.reassessment import MadeReassessment
from selo_dagster.reflections.shapes.reflection import REFLECTION, MadeReflection
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas import downstream
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.claim import claimable_count
from selo_dagster.sagas.downstream import MOST_OPEN, Downstream, prompt_version
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, add_traits, values
from tests.sagas.builders import Room
from tests.sagas.minds import learning, learnings, model_that, rows
from tests.support.fakes import NOW, FakeModel, good_answer, run_cohort, say

ON = date(2026, 11, 22)
WISHES = [{"name": "empathy", "delta": 0.1, "reason": "she was sad"}]
ACTIONS = ["Ask how the interview went", "Be still.", "Remind her of the lake"]


@pytest.fixture
def room(store: Store, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Ana's, who had a Sunday; what sagas ask a model for is one learning."""
    registry.cache_clear()
    model_that(monkeypatch, learnings=learnings(learning()))
    made = Room(store)
    say(store, "ana", "2026-11-22T10:00:00Z", "The interview is tomorrow", prefix="c1")
    enrol(store, DAILY, NOW, 3)
    return made


def asking(**environ: str) -> Downstream:
    """Return what asks, under some settings."""
    return Downstream(registry(), load_settings(environ))


def wishing(
    wishes: list[dict[str, Any]] | None = None, actions: list[str] | None = None
) -> Callable[[CompletionRequest], Awaitable[str]]:
    """Return a model's answer to every request."""
    changes: dict[str, Any] = {"trait_changes": WISHES if wishes is None else wishes, "actions": actions or ACTIONS}

    async def answer(request: CompletionRequest) -> str:
        # Each version says something of its own.
        return good_answer(request, content=" ".join(uuid4().hex[:8] for _ in range(80)), **changes)

    return answer


def reflect(
    room: Room,
    wishes: list[dict[str, Any]] | None = None,
    actions: list[str] | None = None,
    *,
    on_made: Downstream | None = None,
) -> list[Settlement]:
    """Reflect on whoever is due."""
    model = FakeModel(wishing(wishes, actions))
    return run_cohort(
        room.store, model, run_id=uuid4().hex, clock=room.clock, on_made=on_made or asking(), request_id=None
    )


def again(
    room: Room,
    wishes: list[dict[str, Any]] | None = None,
    actions: list[str] | None = None,
    *,
    evolve: bool = False,
    on_made: Downstream | None = None,
) -> list[Settlement]:
    """Force a new version of Ana's Sunday."""
    wish = Wish(uuid4().hex, ("ana",), ON, force=True, evolve=evolve)
    assert place(room.store, DAILY, wish, room.clock.now(), 3) == []
    return reflect(room, wishes, actions, on_made=on_made)


def carried(room: Room) -> None:
    """Carry out what was asked for, in both directions, as a night does."""
    for _ in range(50):
        runs = 0
        for saga in (PERSONA_EVOLUTION, GOAL_CREATION):
            for direction, work in ((COMPENSATE, room.back), (FORWARD, room.forward)):
                if room.claimable(saga, direction):
                    work(saga, uuid4().hex)
                    runs += 1
        if not runs:
            return
        room.later(seconds=1)
    raise AssertionError("it does not come to an end")


def states(room: Room) -> list[tuple[str, str]]:
    """Return type and state of every saga, in the order in which they were asked for."""
    return [(row.type, row.state) for row in room.rows()]


def made(**changes: Any) -> MadeReflection:
    """Return a reflection that is ready to be stored."""
    fits: dict[str, Any] = {
        "id": uuid4().hex,
        "words": 80,
        "content": "I think of her.",
        "themes": ["a theme"],
        "insights": [{"text": "She is sad.", "evidence": ["message:c1-0"]}],
        "actions": ACTIONS,
        "emotional_state": {},
        "trait_changes": WISHES,
        "model": "fake",
        "zone": "UTC",
        "zone_rules": "x",
        "window_start": NOW,
        "window_end": NOW,
        "input_hash": "0" * 64,
        "sources": (),
    }
    return MadeReflection(**fits | changes)


def goal(number: int, state: str) -> dict[str, Any]:
    """Return the row of a goal of Ana's."""
    row = {"id": f"{state}{number}", "user_id": "ana", "title": "t", "description": "d", "origin": "o"}
    return row | {"priority": 0.5, "state": state, "created_at": NOW}


def claim_of(kind: str = "daily", **changes: Any) -> Claim:
    """Return a claim of Ana's."""
    fits: dict[str, Any] = {
        "id": 1,
        "user_id": "ana",
        "kind": kind,
        "on": ON,
        "key": ON.isoformat(),
        "since": NOW,
        "version": 1,
        "epoch": 1,
        "attempts": 0,
    }
    return Claim(**fits | changes)


def asked(room: Room, claim: Claim, one: Made, on_made: Downstream | None = None) -> list[Any]:
    """Ask for what follows, in a transaction of its own; returns the sagas that are there then."""
    with room.store.write() as connection:
        (on_made or asking())(connection, claim, one, NOW)
    return room.rows()


class TestAsked:
    def test_a_reflection_asks_for_an_evolution_and_a_goal_under_its_own_id(self, room: Room) -> None:
        (settled,) = reflect(room)
        evolution, goal = room.rows()
        assert (evolution.type, evolution.user_id, evolution.key) == ("persona_evolution", "ana", settled.reflection_id)
        assert evolution.input == {
            "source": f"reflection:{settled.reflection_id}",
            "reflection": settled.reflection_id,
            "trait_changes": WISHES,
            "confidence": 0.8,
            "model": "fake",
            "prompt_version": prompt_version(DAILY),
        }
        assert (goal.type, goal.key) == ("goal_creation", settled.reflection_id)
        assert (goal.input["title"], goal.input["origin"]) == (ACTIONS[0], f"reflection:{settled.reflection_id}")
        assert goal.input["description"] == "From the daily reflection on 2026-11-22."
        # The person knows nothing of it: no question is asked about it.
        assert goal.input["ask"] is False
        assert states(room) == [("persona_evolution", "pending"), ("goal_creation", "pending")]

    def test_carried_out_it_moves_the_persona_and_leaves_a_goal_and_what_was_learned(self, room: Room) -> None:
        (settled,) = reflect(room)
        carried(room)
        assert {state for _, state in states(room)} == {"completed"}
        assert values(room.store)["empathy"] == 0.9
        assert [row["source"] for row in rows(room.store, learnings_table)] == [f"reflection:{settled.reflection_id}"]
        assert [row["title"] for row in rows(room.store, goals)] == [ACTIONS[0]]

    def test_actions_that_say_too_little_become_no_steps_and_alone_no_goal(self, room: Room) -> None:
        (row,) = asked(room, claim_of(), made(trait_changes=[]))
        assert row.input["steps"] == ["Ask how the interview went", "Remind her of the lake"]
        only_short = made(trait_changes=[], actions=["Be still.", "    Wait.      ", ""])
        assert asked(room, claim_of(), only_short) == [row]

    def test_a_reflection_that_wishes_for_nothing_evolves_nothing(self, room: Room) -> None:
        reflect(room, [])
        assert [kind for kind, _ in states(room)] == ["goal_creation"]

    @pytest.mark.parametrize("kind", [one.name for one in KINDS.values() if one.shape is REFLECTION])
    def test_every_reflection_evolves_and_the_daily_and_the_weekly_plan_too(self, room: Room, kind: str) -> None:
        found = [row.type for row in asked(room, claim_of(kind), made())]
        assert found == ["persona_evolution", *(["goal_creation"] if kind in {"daily", "weekly"} else [])]

    def test_what_is_no_reflection_asks_for_nothing(self, room: Room) -> None:
        mantra = MadeMantra(id=uuid4().hex, words=8, text="I go on gently.", reflection_id="r", model="fake")
        assert asked(room, claim_of("mantra"), mantra) == []

    def test_goals_can_be_left_out(self, room: Room) -> None:
        reflect(room, on_made=asking(SELO_GOALS_FROM_REFLECTIONS="0"))
        assert [kind for kind, _ in states(room)] == ["persona_evolution"]

    def test_with_so_many_open_goals_no_more_is_asked_for(self, room: Room) -> None:
        many = [goal(number, ACTIVE) for number in range(MOST_OPEN - 1)]
        with room.store.write() as connection:
            connection.execute(insert(goals), [*many, *(goal(number, CANCELLED) for number in range(5))])
        assert len(asked(room, claim_of(), made(trait_changes=[]))) == 1
        with room.store.write() as connection:
            connection.execute(insert(goals).values(goal(99, ACTIVE)))
        assert len(asked(room, claim_of(), made(trait_changes=[]))) == 1

    def test_the_goal_of_a_former_version_that_is_undone_is_none_of_the_open_ones(self, room: Room) -> None:
        one, two = made(trait_changes=[]), made(trait_changes=[])
        reflect(room)
        (first,) = rows(room.store, reflections)
        many = [goal(number, ACTIVE) for number in range(MOST_OPEN)]
        many[0]["origin"] = f"reflection:{first['id']}"
        with room.store.write() as connection:
            connection.execute(insert(goals), many)
        before = len(room.rows())
        assert len(asked(room, claim_of(), one)) == before
        again_ = claim_of(version=2, evolve=True)
        assert len(asked(room, again_, two)) == before + 1

    def test_a_very_long_action_is_cut_to_a_title_and_stays_a_step(self, room: Room) -> None:
        (row,) = asked(room, claim_of(), made(trait_changes=[], actions=["a " * 150]))
        assert (len(row.input["title"]), len(row.input["steps"][0])) == (200, 299)


class TestOnce:
    def test_the_same_reflection_asks_once(self, room: Room) -> None:
        one = made()
        assert len(asked(room, claim_of(), one)) == len(asked(room, claim_of(), one)) == 2

    def test_what_is_rolled_back_was_never_asked_for(self, room: Room) -> None:
        class DyingError(Exception):
            """Something breaks at the last moment."""

        ask = asking()

        def dying(connection: Connection, claim: Claim, one: Made, now: datetime) -> None:
            ask(connection, claim, one, now)
            assert len(connection.execute(select(sagas)).all()) == 2
            raise DyingError

        (settled,) = run_cohort(room.store, FakeModel(wishing()), on_made=dying)
        assert (settled.outcome, settled.reason) == ("failed", "DyingError")
        assert (room.rows(), rows(room.store, reflections), rows(room.store, persona_traits)) == ([], [], [])

    def test_what_cannot_be_asked_for_is_that_persons_failure_alone(self, room: Room) -> None:
        room.people(2)
        for name in ("p00", "p01"):
            say(room.store, name, "2026-11-22T10:00:00Z")
        enrol(room.store, DAILY, NOW, 3)
        ask = asking()

        def refusing(connection: Connection, claim: Claim, one: Made, now: datetime) -> None:
            if claim.user_id == "p00":
                raise SeloError("bad_input", "no")
            ask(connection, claim, one, now)

        found = {one.user_id: one.outcome for one in run_cohort(room.store, FakeModel(wishing()), on_made=refusing)}
        assert found == {"ana": "done", "p00": "failed", "p01": "done"}
        assert {row.user_id for row in room.rows()} == {"ana", "p01"}

    def test_whoever_lost_the_claim_meanwhile_asks_for_nothing(self, room: Room) -> None:
        answer = wishing()

        async def taken_over(request: CompletionRequest) -> str:
            with room.store.write() as connection:
                connection.execute(update(ledger).values(epoch=ledger.c.epoch + 1, run_id="another"))
            return await answer(request)

        assert run_cohort(room.store, FakeModel(taken_over), on_made=asking()) == []
        assert (room.rows(), rows(room.store, reflections)) == ([], [])

    @pytest.mark.parametrize(
        "wish",
        [
            {"name": "", "delta": 0.1, "reason": "r"},
            {"name": "x" * 201, "delta": 0.1, "reason": "r"},
            {"name": "wit", "delta": 0.1, "reason": "r" * 201},
        ],
    )
    def test_a_wish_that_no_saga_takes_is_an_answer_out_of_bounds(self, room: Room, wish: dict[str, Any]) -> None:
        (settled,) = reflect(room, [wish])
        assert (settled.outcome, settled.codes) == ("rejected", ("schema_validation_failed",))
        assert room.rows() == []

    def test_wishes_at_their_bounds_are_taken(self, room: Room) -> None:
        wishes = [{"name": f"{'x' * 198}{number}", "delta": 0.15, "reason": "r" * 200} for number in range(6)]
        (settled,) = reflect(room, wishes)
        assert settled.outcome == "done"
        carried(room)
        assert {state for _, state in states(room)} == {"completed"}
        # They are one trait: a name is cut where its column ends.
        assert values(room.store)["x" * 80] == 0.7


class TestANewVersion:
    def test_without_evolve_it_asks_for_nothing_and_nothing_is_applied_twice(self, room: Room) -> None:
        reflect(room)
        carried(room)
        before = values(room.store)
        (settled,) = again(room)
        carried(room)
        assert settled.outcome == "done"
        assert len(rows(room.store, reflections)) == 2
        assert (len(room.rows()), values(room.store)) == (2, before)

    @pytest.mark.parametrize("carry", [True, False], ids=["carried out", "still waiting"])
    def test_with_evolve_what_the_former_asked_for_is_undone_and_its_own_is_done(self, room: Room, carry: bool) -> None:
        first = [{"name": "empathy", "delta": 0.1, "reason": ""}, {"name": "wit", "delta": 0.1, "reason": ""}]
        second = [{"name": "empathy", "delta": -0.05, "reason": ""}, {"name": "grit", "delta": 0.02, "reason": ""}]
        reflect(room, first, ["Go to the lake with her"])
        if carry:
            carried(room)
        again(room, second, ["Write a letter to her"], evolve=True)
        carried(room)
        assert values(room.store) == INITIAL | {"empathy": 0.75, "grit": 0.52}
        gone = "compensated" if carry else "cancelled"
        assert [state for _, state in states(room)] == [gone, gone, "completed", "completed"]
        active = [row["title"] for row in rows(room.store, goals) if row["state"] == ACTIVE]
        assert active == ["Write a letter to her"]
        (kept,) = rows(room.store, learnings_table)
        assert kept["saga_id"] == room.rows()[2].id
        (why,) = {(row["actor"], row["because"]) for row in rows(room.store, saga_interventions)}
        assert why == ("reflections", "a new version of the reflection was made")

    def test_with_evolve_one_that_is_under_way_is_turned_round(self, room: Room) -> None:
        reflect(room)
        tokens = room.claim(PERSONA_EVOLUTION)
        for step in PERSONA_EVOLUTION.order[:4]:
            room.step(PERSONA_EVOLUTION, step.name, tokens)
        assert values(room.store)["empathy"] == 0.9
        again(room, [{"name": "empathy", "delta": -0.05, "reason": ""}], evolve=True)
        # Whoever held it can do nothing more.
        assert room.step(PERSONA_EVOLUTION, "record", tokens).lost == 1
        carried(room)
        assert values(room.store) == INITIAL | {"empathy": 0.75}

    def test_each_version_with_evolve_leaves_its_own_alone(self, room: Room) -> None:
        reflect(room)
        for delta in (0.02, -0.03, 0.07):
            room.later(minutes=1)
            again(room, [{"name": "empathy", "delta": delta, "reason": ""}], evolve=True)
            carried(room)
            assert values(room.store) == INITIAL | {"empathy": round(0.8 + delta, 6)}
        again(room)
        carried(room)
        assert values(room.store) == INITIAL | {"empathy": 0.87}

    def test_a_version_between_that_asked_for_nothing_does_not_hide_the_first(self, room: Room) -> None:
        reflect(room)
        again(room)
        again(room, [{"name": "empathy", "delta": -0.05, "reason": ""}], evolve=True)
        carried(room)
        assert values(room.store) == INITIAL | {"empathy": 0.75}

    def test_what_others_asked_for_is_left_alone(self, room: Room) -> None:
        room.people(1)
        say(room.store, "ana", "2026-11-21T10:00:00Z", "another day")
        say(room.store, "p00", "2026-11-22T10:00:00Z")
        enrol(room.store, DAILY, NOW, 3)
        reflect(room)
        carried(room)
        again(room, [], evolve=True)
        carried(room)
        assert values(room.store)["empathy"] == 0.9
        assert values(room.store, "p00")["empathy"] == 0.9

    def test_with_evolve_and_no_wish_the_former_is_only_undone(self, room: Room) -> None:
        reflect(room)
        carried(room)
        again(room, [], ["Wait."], evolve=True)
        carried(room)
        assert values(room.store) == INITIAL
        assert [state for _, state in states(room)] == ["compensated", "compensated"]

    def test_a_goal_that_is_too_old_to_be_undone_stays_and_keeps_no_new_version_from_being_made(
        self, room: Room
    ) -> None:
        reflect(room, actions=["Go to the lake with her"])
        carried(room)
        room.later(days=GOAL_CREATION.undo_days + 1)
        (settled,) = again(room, [], ["Write a letter to her"], evolve=True)
        assert settled.outcome == "done"
        carried(room)
        assert values(room.store) == INITIAL
        assert sorted(row["title"] for row in rows(room.store, goals) if row["state"] == ACTIVE) == [
            "Go to the lake with her",
            "Write a letter to her",
        ]

    def test_a_new_version_that_fails_at_first_still_does_what_was_wished(self, room: Room) -> None:
        reflect(room)
        carried(room)
        (settled,) = again(room, [{"name": "", "delta": 0.1, "reason": ""}], evolve=True)
        assert (settled.outcome, values(room.store)["empathy"]) == ("rejected", 0.9)
        assert settled.retry_at is not None
        room.clock.instant = settled.retry_at
        (settled,) = reflect(room, [{"name": "empathy", "delta": -0.05, "reason": ""}])
        carried(room)
        assert (settled.outcome, values(room.store)) == ("done", INITIAL | {"empathy": 0.75})


class TestDirectly:
    @pytest.fixture
    def direct(self) -> Downstream:
        """What asks where the persona evolves at once."""
        return asking(SELO_PERSONA_PATH="direct")

    def test_the_persona_moves_in_the_transaction_of_the_reflection(self, room: Room, direct: Downstream) -> None:
        (settled,) = reflect(room, on_made=direct)
        assert values(room.store) == INITIAL | {"empathy": 0.9}
        (record,) = rows(room.store, persona_evolutions)
        assert (record["saga_id"], record["source"], record["evidence"]) == (
            None,
            f"reflection:{settled.reflection_id}",
            [f"reflection:{settled.reflection_id}"],
        )
        assert (record["model"], record["prompt_version"], record["confidence"]) == ("fake", prompt_version(DAILY), 0.8)
        assert (states(room), rows(room.store, learnings_table)) == ([("goal_creation", "pending")], [])

    def test_what_is_rolled_back_has_moved_nothing(self, room: Room, direct: Downstream) -> None:
        def dying(connection: Connection, claim: Claim, one: Made, now: datetime) -> None:
            direct(connection, claim, one, now)
            raise ValueError

        run_cohort(room.store, FakeModel(wishing()), on_made=dying)
        assert (values(room.store), rows(room.store, persona_evolutions)) == ({}, [])

    def test_a_new_version_moves_nothing_and_with_evolve_only_its_own_share_stands(
        self, room: Room, direct: Downstream
    ) -> None:
        reflect(
            room,
            [{"name": "empathy", "delta": 0.1, "reason": ""}, {"name": "wit", "delta": 0.1, "reason": ""}],
            on_made=direct,
        )
        again(room, on_made=direct)
        assert values(room.store) == INITIAL | {"empathy": 0.9, "wit": 0.6}
        room.later(hours=1)
        again(room, [{"name": "empathy", "delta": -0.05, "reason": ""}], evolve=True, on_made=direct)
        assert values(room.store) == INITIAL | {"empathy": 0.75}
        assert sorted(row["state"] for row in rows(room.store, persona_evolutions)) == ["applied", "reversed"]
        # The second version was made of the person whom the first had moved.
        assert [row["because"] for row in rows(room.store, stale_marks)][:1] == [
            f"evolution:{row['id']}" for row in rows(room.store, persona_evolutions) if row["state"] == "reversed"
        ]

    @pytest.mark.parametrize(("first", "second"), [("saga", "direct"), ("direct", "saga")])
    def test_a_former_version_is_undone_whichever_way_it_went(self, room: Room, first: str, second: str) -> None:
        reflect(room, on_made=asking(SELO_PERSONA_PATH=first))
        carried(room)
        assert values(room.store)["empathy"] == 0.9
        again(
            room,
            [{"name": "curiosity", "delta": -0.05, "reason": ""}],
            evolve=True,
            on_made=asking(SELO_PERSONA_PATH=second),
        )
        carried(room)
        assert values(room.store) == INITIAL | {"curiosity": 0.75}


class TestAReassessment:
    def test_it_asks_for_its_wishes_under_its_date_with_nothing_to_learn_from(self, room: Room) -> None:
        wishes = ({"name": "wit", "delta": -0.03, "reason": "drifts home"},)
        (row,) = asked(room, claim_of("persona_reassessment"), MadeReassessment("m1", wishes))
        assert (row.type, row.key) == ("persona_evolution", "2026-11-22")
        assert row.input["source"] == "reassessment:2026-11-22"
        assert (row.input["reflection"], row.input["model"], row.input["trait_changes"]) == (
            None,
            "homeostasis",
            list(wishes),
        )

    @pytest.mark.parametrize("path", ["saga", "direct"])
    def test_made_again_a_day_drifts_once(self, room: Room, path: str) -> None:
        add_traits(room.store, {"name": "wit", "category": "general", "value": 0.9})
        ask = asking(SELO_PERSONA_PATH=path)
        for version, evolve, value in ((1, False, 0.87), (2, False, 0.87), (3, True, 0.88), (4, True, 0.885)):
            delta = {1: -0.03, 2: -0.01, 3: -0.02, 4: -0.015}[version]
            one = MadeReassessment(uuid4().hex, ({"name": "wit", "delta": delta, "reason": "drifts home"},))
            asked(room, claim_of("persona_reassessment", version=version, evolve=evolve), one, ask)
            carried(room)
            assert values(room.store) == {"wit": value}


class TestTheWording:
    def test_its_version_is_short_and_stays_the_same(self) -> None:
        assert prompt_version(DAILY) == prompt_version(DAILY)
        assert len(prompt_version(DAILY)) == 12

    def test_its_version_changes_with_what_a_model_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = prompt_version(DAILY)
        assert prompt_version(replace(DAILY, instructions=DAILY.instructions + " Please.")) != before
        monkeypatch.setattr(downstream, "RULES", rendering.RULES + " Please.")
        assert prompt_version(DAILY) != before

    def test_kinds_and_what_caused_them_have_versions_of_their_own(self, room: Room) -> None:
        flavours = KINDS["triggered"].flavours
        found = {
            asked(room, claim_of("triggered", cause={"rule": rule}), made())[-1].input["prompt_version"]
            for rule in [*flavours, "another"]
        }
        assert len(found) == len(flavours) + 1
        assert prompt_version(DAILY) not in found


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """PostgreSQL only: connections that really write at the same time."""
    opened = Store(postgres_url, pool_size=8)
    yield opened
    opened.close()


def test_two_reflections_of_one_person_that_end_at_once_both_move_the_persona(
    postgres_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_that(monkeypatch, learnings=learnings())
    room = Room(postgres_store)
    for day in (20, 21, 22):
        say(postgres_store, "ana", f"2026-11-{day}T10:00:00Z", f"day {day}")
    enrol(postgres_store, DAILY, NOW, 3)
    wishes = [{"name": "empathy", "delta": 0.02, "reason": ""}, {"name": "wit", "delta": 0.02, "reason": ""}]
    found = reflect(room, wishes, on_made=asking(SELO_PERSONA_PATH="direct"))
    assert [one.outcome for one in found] == ["done"] * 3
    assert values(postgres_store) == INITIAL | {"empathy": 0.86, "wit": 0.56}
    with postgres_store.read() as connection:
        assert claimable_count(connection, GOAL_CREATION, FORWARD, NOW + timedelta(days=1)) == 1
