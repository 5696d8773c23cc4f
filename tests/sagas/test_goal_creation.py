"""A goal that is wanted twice is one goal, and stays until the last of those who asked for it is undone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from selo_dagster.people.goals import ACTIVE, CANCELLED, REACHED, goal_steps, goals
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.sagas.catalogue.goal_creation import COMPARED, GOAL_CREATION
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.store.engine import Store
from tests.sagas.minds import completed, rows, undone
from tests.support.fakes import NOW, add_person


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana and Ben."""
    add_person(store, "ana")
    add_person(store, "ben")
    return store


def make(store: Store, title: str = "Learn to swim", origin: str = "reflection:r1", **given: Any) -> Driver:
    """Ask for a goal of two steps and carry it out."""
    user = given.pop("user", "ana")
    wanted = {"title": title, "description": "d", "origin": origin, "steps": ["Find a pool", "Take three lessons"]}
    return completed(store, GOAL_CREATION, wanted | given, user=user)


def the_goal(store: Store) -> tuple[str, str, list[str]]:
    """Return the one goal's state, origin and what else asked for it."""
    (row,) = rows(store, goals)
    return row["state"], row["origin"], row["evidence"]


def steps(store: Store) -> list[str]:
    """Return the states of all steps."""
    return [row["state"] for row in rows(store, goal_steps, by="place")]


def questions(store: Store) -> list[str]:
    """Return the states of all questions."""
    return [row["state"] for row in rows(store, relationship_questions)]


def work_on_it(store: Store) -> None:
    """Let somebody have worked on every goal."""
    with store.write() as connection:
        connection.execute(update(goals).values(progress=0.5, version=goals.c.version + 1))


def add_goals(store: Store, number: int, title: str = "Another {}", **changes: Any) -> None:
    """Add goals, the later ones newer."""
    made = [
        {
            "id": f"g{index:03}",
            "user_id": "ana",
            "title": title.format(f"{index:03}" * 3),
            "description": "d",
            "origin": "somebody",
            "priority": 0.5,
            "state": ACTIVE,
            "created_at": NOW + timedelta(minutes=1 + index),
        }
        | changes
        for index in range(number)
    ]
    with store.write() as connection:
        connection.execute(insert(goals), made)


class TestTheSameGoal:
    @pytest.mark.parametrize("title", ["Learn to swim", "LEARN TO SWIM!", "Learn to swim now", "learn to  swim"])
    def test_under_nearly_the_same_title_is_asked_for_again_and_not_made_again(self, store: Store, title: str) -> None:
        make(store)
        second = make(store, title, "reflection:r2", priority=0.9)
        assert the_goal(store) == (ACTIVE, "reflection:r1", ["reflection:r2"])
        assert (steps(store), questions(store)) == (["pending"] * 2, ["pending"])
        (row,) = rows(store, goals)
        assert (row["title"], row["priority"], row["version"]) == ("Learn to swim", 0.5, 1)
        assert second.steps()["make_goal"].output == {"goal_id": row["id"], "merged": True}

    @pytest.mark.parametrize("title", ["Learn to sing opera", "Swim", "Learn to swim across the English Channel"])
    def test_under_another_title_is_another(self, store: Store, title: str) -> None:
        make(store)
        make(store, title, "reflection:r2")
        assert [row["evidence"] for row in rows(store, goals)] == [[], []]
        assert (steps(store), questions(store)) == (["pending"] * 4, ["pending"] * 2)

    @pytest.mark.parametrize("state", [REACHED, CANCELLED])
    def test_that_is_over_is_made_anew(self, store: Store, state: str) -> None:
        make(store)
        with store.write() as connection:
            connection.execute(update(goals).values(state=state))
        make(store, origin="reflection:r2")
        assert sorted(row["state"] for row in rows(store, goals)) == sorted([state, ACTIVE])

    def test_of_somebody_else_is_theirs(self, store: Store) -> None:
        make(store)
        make(store, origin="reflection:his", user="ben")
        assert [(row["user_id"], row["evidence"]) for row in rows(store, goals, by="user_id")] == [
            ("ana", []),
            ("ben", []),
        ]

    def test_is_looked_for_among_the_last_ones_only(self, store: Store) -> None:
        make(store)
        add_goals(store, COMPARED - 1)
        make(store, origin="reflection:r2")
        assert len(rows(store, goals)) == COMPARED
        add_goals(store, 1, title="One more", id="g-more", created_at=NOW + timedelta(days=1))
        make(store, origin="reflection:r3")
        assert len(rows(store, goals)) == COMPARED + 2

    def test_of_several_the_newest_is_meant(self, store: Store) -> None:
        add_goals(store, 3, title="Learn to swim")
        make(store, origin="reflection:r2")
        assert [row["evidence"] for row in rows(store, goals, by="id")] == [[], [], ["reflection:r2"]]


def test_a_goal_that_the_person_does_not_know_of_is_not_asked_about(store: Store) -> None:
    driver = make(store, ask=False)
    assert (steps(store), questions(store)) == (["pending"] * 2, [])
    undone(driver)
    assert (the_goal(store)[0], steps(store)) == (CANCELLED, [CANCELLED] * 2)


class TestUndone:
    def test_the_second_takes_its_origin_back_and_nothing_else(self, store: Store) -> None:
        make(store)
        undone(make(store, origin="reflection:r2"))
        assert the_goal(store) == (ACTIVE, "reflection:r1", [])
        assert (steps(store), questions(store)) == (["pending"] * 2, ["pending"])

    def test_the_first_leaves_the_goal_its_steps_and_its_question_to_the_second(self, store: Store) -> None:
        first = make(store)
        make(store, origin="reflection:r2")
        undone(first)
        assert the_goal(store) == (ACTIVE, "reflection:r2", [])
        assert (steps(store), questions(store)) == (["pending"] * 2, ["pending"])

    @pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
    def test_with_the_last_of_them_the_goal_goes_its_steps_and_its_question_too(
        self, store: Store, order: tuple[int, ...]
    ) -> None:
        drivers = [make(store, origin=f"reflection:r{number}") for number in range(3)]
        left = {0, 1, 2}
        for number in order[:2]:
            undone(drivers[number])
            left.remove(number)
            state, origin, others = the_goal(store)
            assert (state, {origin, *others}) == (ACTIVE, {f"reflection:r{one}" for one in left})
            assert (steps(store), questions(store)) == (["pending"] * 2, ["pending"])
        undone(drivers[order[2]])
        assert (the_goal(store)[0], steps(store), questions(store)) == (CANCELLED, [CANCELLED] * 2, [])

    def test_a_question_that_was_asked_already_stays_when_the_goal_goes(self, store: Store) -> None:
        first = make(store)
        second = make(store, origin="reflection:r2")
        with store.write() as connection:
            connection.execute(update(relationship_questions).values(state="delivered", delivered_at=NOW))
        undone(first)
        undone(second)
        assert (the_goal(store)[0], questions(store)) == (CANCELLED, ["delivered"])

    def test_the_question_of_another_goal_stays(self, store: Store) -> None:
        make(store, "Sing in a choir")
        first = make(store)
        second = make(store, origin="reflection:r2")
        undone(first)
        undone(second)
        (question,) = rows(store, relationship_questions)
        assert question["question"] == "How is it going: Sing in a choir?"

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_goal_that_was_worked_on_is_left_to_whoever_else_asked_for_it(self, store: Store, which: int) -> None:
        drivers = [make(store), make(store, origin="reflection:r2")]
        work_on_it(store)
        undone(drivers[which])
        (row,) = rows(store, goals)
        assert (row["state"], row["progress"], row["evidence"]) == (ACTIVE, 0.5, [])
        assert row["origin"] == f"reflection:r{2 - which}"
        # The last one may not take it away.
        last = drivers[1 - which]
        last.ask_undo()
        assert last.to_the_end() == "compensation_incomplete"
        assert (the_goal(store)[0], steps(store)) == (ACTIVE, ["pending"] * 2)

    def test_a_step_that_is_done_stays_done_when_its_goal_is_left_to_another(self, store: Store) -> None:
        first = make(store)
        make(store, origin="reflection:r2")
        with store.write() as connection:
            connection.execute(update(goal_steps).where(goal_steps.c.place == 1).values(state="done"))
        undone(first)
        assert steps(store) == ["done", "pending"]

    def test_of_one_origin_that_asked_twice_each_undo_takes_one(self, store: Store) -> None:
        first, second = make(store), make(store)
        assert the_goal(store) == (ACTIVE, "reflection:r1", ["reflection:r1"])
        undone(first)
        assert the_goal(store) == (ACTIVE, "reflection:r1", [])
        undone(second)
        assert the_goal(store)[0] == CANCELLED

    def test_one_that_somebody_has_cancelled_meanwhile_stays_as_it_is(self, store: Store) -> None:
        first = make(store)
        make(store, origin="reflection:r2")
        with store.write() as connection:
            connection.execute(update(goals).values(state=CANCELLED))
        undone(first)
        assert the_goal(store) == (CANCELLED, "reflection:r1", ["reflection:r2"])

    def test_a_restart_after_its_undo_joins_the_goal_that_is_there_now(self, store: Store) -> None:
        first = make(store)
        undone(first)
        make(store, origin="reflection:r2")
        first.retry()
        first.require("completed", first.to_the_end())
        with store.read() as connection:
            active = connection.execute(select(goals).where(goals.c.state == ACTIVE)).one()
        assert (active.origin, active.evidence) == ("reflection:r2", ["reflection:r1"])
