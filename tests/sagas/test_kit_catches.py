"""The kit lets sound sagas through, and finds the faults that people make in handlers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select, update

from selo_dagster.sagas.definition import Compensation, Saga, Step
from selo_dagster.sagas.given import Done, Given, Probed, RefusedError
from selo_dagster.sagas.testing import Case, Trial, check, trials
from selo_dagster.store.engine import Store
from tests.support.fakes import add_person

scores = Table("kit_scores", MetaData(), Column("who", String(20), primary_key=True), Column("score", Integer))

outside: dict[str, int] = {}
"""What is in force outside, by token."""

gone: set[str] = set()


class Nothing(BaseModel):
    """No field."""


class Points(BaseModel):
    """A number."""

    points: int


class Token(BaseModel):
    """The name of an effect outside."""

    token: str


def score(given: Given) -> int:
    return int(given.connection.execute(select(scores.c.score).where(scores.c.who == given.user_id)).scalar_one())


def set_score(given: Given, value: int) -> None:
    given.connection.execute(update(scores).where(scores.c.who == given.user_id).values(score=value))


def draw(_given: Given, points: Points) -> Points:
    return points


def add(given: Given, points: Points) -> Done:
    set_score(given, score(given) + points.points)
    return Done(points, undo=points)


def subtract(given: Given, points: Points) -> None:
    set_score(given, score(given) - points.points)


def tell(given: Given, points: Points) -> Done:
    if given.token in gone:
        raise RefusedError("too late")
    outside[given.token] = points.points
    return Done(Token(token=given.token), undo=Token(token=given.token))


def find(given: Given, _points: Points | None) -> Probed:
    if given.token not in outside:
        return Probed("absent")
    return Probed("there", Done(Token(token=given.token), undo=Token(token=given.token)))


def untell(given: Given, _token: Token | None) -> None:
    gone.add(str(given.forward_token))
    outside.pop(str(given.forward_token), None)


# --- faults


def add_outside_its_transaction(given: Given, points: Points) -> Done:
    outside[f"{given.token}/{len(outside)}"] = points.points
    return add(given, points)


def forget_to_undo(_given: Given, _points: Points) -> None:
    pass


def add_and_keep_the_old_one(given: Given, points: Points) -> Done:
    before = score(given)
    set_score(given, before + points.points)
    return Done(points, undo=Points(points=before))


def restore_blindly(given: Given, before: Points) -> None:
    set_score(given, before.points)


def tell_again(given: Given, points: Points) -> Done:
    outside[f"{given.token}/{len(outside)}"] = points.points
    return Done(Token(token=given.token), undo=Token(token=given.token))


def find_any(given: Given, _points: Points | None) -> Probed:
    if not any(one.startswith(given.token) for one in outside):
        return Probed("absent")
    return Probed("there", Done(Token(token=given.token), undo=Token(token=given.token)))


def untell_all(given: Given, _token: Token | None) -> None:
    for one in [one for one in outside if one.startswith(str(given.forward_token))]:
        del outside[one]


def find_nothing(_given: Given, _points: Points | None) -> Probed:
    return Probed("absent")


def untell_what_must_be_there(given: Given, _token: Token | None) -> None:
    del outside[str(given.forward_token)]


def saga_with(name: str, after: tuple[Step, ...] = (), **changes: Any) -> Saga:
    """Return a sound saga, but for some of its handlers."""
    of = {"add": add, "subtract": subtract, "tell": tell, "find": find, "untell": untell} | changes
    takes = {"points": "draw.points"}
    return Saga(
        name=name,
        version=1,
        says="Adds points and tells somebody.",
        input=Points,
        steps=(
            Step(
                name="draw",
                says="draws points",
                kind="generate",
                action=draw,
                input=Points,
                output=Points,
                takes={"points": "input.points"},
            ),
            Step(
                name="add",
                says="adds them",
                kind="effect",
                action=of["add"],
                input=Points,
                output=Points,
                takes=takes,
                records=Points,
                compensation=Compensation(handler=of["subtract"], accepts=Points),
            ),
            Step(
                name="tell",
                says="tells somebody",
                kind="effect",
                action=of["tell"],
                input=Points,
                output=Token,
                takes=takes,
                after=("add",),
                records=Token,
                compensation=Compensation(handler=of["untell"], accepts=Token),
                outside=True,
                probe=of["find"],
            ),
            *after,
        ),
    )


def count_it(given: Given, points: Points) -> Done:
    set_score(given, score(given) + 1_000 * points.points)
    return Done(points)


NO_WAY_BACK = (
    Step(
        name="seal",
        says="adds them a thousand times: no way back",
        kind="pivot",
        action=count_it,
        input=Points,
        output=Points,
        takes={"points": "draw.points"},
        after=("tell",),
    ),
    Step(
        name="celebrate",
        says="adds them once more",
        kind="retriable",
        action=count_it,
        input=Points,
        output=Points,
        takes={"points": "seal.points"},
    ),
)


def somebody_else_adds_three(connection: Connection) -> None:
    connection.execute(update(scores).values(score=scores.c.score + 3))


@pytest.fixture
def small_store(sqlite_url: str) -> Iterator[Store]:
    """A SQLite store with Ana, her score, and nothing outside."""
    store = Store(sqlite_url)
    add_person(store, "ana")
    with store.write() as connection:
        scores.create(connection)
        connection.execute(insert(scores).values(who="ana", score=5))
    outside.clear()
    gone.clear()
    yield store
    store.close()


def case(store: Store, saga: Saga) -> Case:
    return Case(
        saga,
        store,
        "ana",
        {"points": 2},
        tables=(scores,),
        outside=lambda: sorted(outside),
        disturb=somebody_else_adds_three,
    )


def faults(store: Store, saga: Saga) -> list[Trial]:
    return [one for one in trials(case(store, saga)) if one.fault is not None]


@pytest.mark.parametrize("more", [(), NO_WAY_BACK], ids=["undoable", "with a pivot"])
def test_a_sound_saga_comes_through(small_store: Store, more: tuple[Step, ...]) -> None:
    assert faults(small_store, saga_with(f"sound_{len(more)}", more)) == []


@pytest.mark.parametrize(
    ("changes", "scenario", "step", "says"),
    [
        ({"add": add_outside_its_transaction}, "undisturbed", None, "outside: 1 effects came"),
        ({"add": add_outside_its_transaction}, "failure", "add", "outside: 1 effects came"),
        ({"add": add_outside_its_transaction}, "crash forward, before a write", None, "3 effects outside"),
        ({"subtract": forget_to_undo}, "undisturbed", None, "changed in score"),
        (
            {"add": add_and_keep_the_old_one, "subtract": restore_blindly},
            "undo after somebody else's change",
            None,
            "took somebody else's change with it",
        ),
        (
            {"tell": tell_again, "find": find_any, "untell": untell_all},
            "zombie paused inside its call",
            "tell",
            "2 effects outside",
        ),
        ({"untell": untell_what_must_be_there}, "in doubt, not done, undone", "tell", "compensation_incomplete"),
    ],
)
def test_a_planted_fault_is_found(
    small_store: Store, changes: dict[str, Any], scenario: str, step: str | None, says: str
) -> None:
    # No further than to the one that is looked for: the rest takes seconds.
    assert any(
        (one.scenario, one.step) == (scenario, step) and one.fault is not None and says in one.fault
        for one in trials(case(small_store, saga_with("faulty", **changes)))
    )


def test_only_the_disturbance_finds_a_blind_restore(small_store: Store) -> None:
    saga = saga_with("blind", add=add_and_keep_the_old_one, subtract=restore_blindly)
    assert [one.scenario for one in faults(small_store, saga)] == ["undo after somebody else's change"]


def test_check_names_the_saga_the_scenario_the_step_and_the_write(small_store: Store) -> None:
    saga = saga_with("doubled", tell=tell_again, find=find_nothing, untell=untell_all)
    with pytest.raises(AssertionError) as raised:
        check(saga, small_store, "ana", {"points": 2}, tables=(scores,), outside=lambda: sorted(outside))
    message = str(raised.value)
    assert message.startswith("doubled: ")
    assert "lost answer, step tell" in message
    assert "crash forward, before a write, write 7: it did" in message
