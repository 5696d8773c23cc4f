"""A saga is asked for once by its key, in the caller's transaction, and its input is checked at the door."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from sqlalchemy import func, select, update

from selo_dagster.errors import SeloError
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION, GoalInput
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.start import Started, start
from selo_dagster.sagas.tables import saga_definitions, sagas
from selo_dagster.store.engine import Store
from tests.sagas.builders import LINE, SECRET, STRICT, Room
from tests.support.fakes import NOW

GOAL = {"title": "Run", "description": "Run far", "origin": "reflection:r1", "steps": ["shoes"]}


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """PostgreSQL only: many connections that really write at the same time."""
    opened = Store(postgres_url, pool_size=10)
    yield opened
    opened.close()


def asked(
    store: Store, given: dict[str, Any] | BaseModel, *, key: str = "k", user: str = "ana", saga: Saga = GOAL_CREATION
) -> Started:
    """Ask for a saga in a transaction of its own."""
    with store.write() as connection:
        return start(connection, saga, user_id=user, key=key, given=given, now=NOW, new_id=lambda: uuid4().hex)


def test_a_saga_begins_as_a_row_that_says_everything_it_will_need(room: Room) -> None:
    started = asked(room.store, GOAL)
    assert (started.state, started.existing) == ("pending", False)
    row = room.row(started.id)
    assert (row.type, row.version, row.fingerprint) == ("goal_creation", 2, GOAL_CREATION.fingerprint)
    assert (row.user_id, row.key, row.direction, row.generation, row.epoch) == ("ana", "k", "forward", 1, 0)
    assert row.input == {**GOAL, "priority": 0.5, "question": None, "ask": True}
    assert (row.created_at, (row.deadline_at - NOW).total_seconds()) == (NOW, GOAL_CREATION.deadline_s)
    assert room.locks() == {}


def test_the_same_key_asks_once_and_is_told_what_is_there(room: Room) -> None:
    first = room.ask(LINE, key="k")
    assert room.ask(LINE, key="k") == Started(first.id, "pending", existing=True)
    room.forward(LINE)
    assert room.ask(LINE, key="k", note="other") == Started(first.id, "completed", existing=True)
    assert len(room.rows()) == 1


def test_another_person_another_type_or_another_key_is_another_saga(room: Room) -> None:
    room.people(1)
    started = [
        room.ask(LINE, key="k"),
        room.ask(LINE, "p00", key="k"),
        room.ask(LINE, key="l"),
        room.ask(STRICT, key="k"),
    ]
    assert [one.existing for one in started] == [False] * 4
    assert len({one.id for one in started}) == 4


def test_a_saga_that_says_so_refuses_the_same_key_and_names_the_one_that_is_there(room: Room) -> None:
    first = room.ask(STRICT, key="k")
    with pytest.raises(SeloError) as refused:
        room.ask(STRICT, key="k")
    assert refused.value.code == "duplicate"
    assert first.id in refused.value.message
    assert len(room.rows()) == 1


def test_a_start_that_is_rolled_back_has_not_happened(room: Room) -> None:
    with pytest.raises(RuntimeError), room.store.write() as connection:
        start(connection, GOAL_CREATION, user_id="ana", key="k", given=GOAL, now=NOW, new_id=lambda: uuid4().hex)
        raise RuntimeError
    assert room.rows() == []
    assert not asked(room.store, GOAL).existing


def test_one_key_started_by_many_at_the_same_time_is_one_row(postgres_store: Store) -> None:
    room = Room(postgres_store)
    together = threading.Barrier(8)
    found: list[Started] = []

    def ask() -> None:
        with postgres_store.write() as connection:
            together.wait()
            found.append(
                start(
                    connection, GOAL_CREATION, user_id="ana", key="k", given=GOAL, now=NOW, new_id=lambda: uuid4().hex
                )
            )

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(room.rows()) == 1
    assert {one.id for one in found} == {room.rows()[0].id}
    assert sorted(one.existing for one in found) == [False] + [True] * 7


def test_two_contents_under_one_version_started_at_the_same_time_are_not_both_taken(postgres_store: Store) -> None:
    room = Room(postgres_store)
    changed = Saga(**{**{name: getattr(LINE, name) for name in Saga.model_fields}, "undo_days": 1})
    together = threading.Barrier(2)
    refused: list[str] = []

    def ask(saga: Saga) -> None:
        with postgres_store.write() as connection:
            connection.execute(select(saga_definitions)).all()
            together.wait()
            try:
                start(connection, saga, user_id="ana", key=uuid4().hex, given={}, now=NOW, new_id=lambda: uuid4().hex)
            except SeloError as changed_meanwhile:
                refused.append(changed_meanwhile.code)

    threads = [threading.Thread(target=ask, args=(saga,)) for saga in (LINE, changed)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Whatever was taken can be carried out by the definition that is remembered.
    with postgres_store.read() as connection:
        (known,) = connection.execute(select(saga_definitions.c.fingerprint)).scalars()
    assert {row.fingerprint for row in room.rows()} == {known}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({**GOAL, "title": 7}, "title: string_type"),
        ({**GOAL, "title": "  "}, "title: string_pattern_mismatch"),
        ({**GOAL, "priority": 2}, "priority: less_than_equal"),
        ({**GOAL, "priority": float("nan")}, "priority: finite_number"),
        ({**GOAL, "steps": []}, "steps: too_short"),
        ({**GOAL, "steps": ["a", ""]}, "steps.1: string_too_short"),
        ({name: value for name, value in GOAL.items() if name != "origin"}, "origin: missing"),
        ({**GOAL, "plan": 1}, "plan: extra_forbidden"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_the_field(room: Room, given: dict[str, Any], named: str) -> None:
    with pytest.raises(SeloError) as refused:
        asked(room.store, given)
    assert (refused.value.code, named in refused.value.message) == ("bad_input", True)
    assert room.rows() == []


@pytest.mark.parametrize(
    "given",
    [
        {**GOAL, "steps": SECRET},
        {**GOAL, "priority": SECRET},
        {**GOAL, "question": [SECRET]},
        {**GOAL, "title": {"a": SECRET}},
    ],
)
def test_what_somebody_wrote_is_in_no_refusal(room: Room, given: dict[str, Any]) -> None:
    with pytest.raises(SeloError) as refused:
        asked(room.store, given)
    assert refused.value.code == "bad_input"
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_input_that_no_database_can_keep_is_refused_as_input(room: Room) -> None:
    try:
        asked(room.store, {**GOAL, "title": "a\x00b"})
    except SeloError as refused:
        assert refused.code == "bad_input"  # noqa: PT017
    else:
        assert room.rows()[0].input["title"] == "a\x00b"


def test_input_may_be_given_as_its_model(room: Room) -> None:
    assert not asked(room.store, GoalInput(**GOAL)).existing


@pytest.mark.parametrize("key", ["", "a\nb", "a\x00b", "k" * 201])
def test_a_key_that_is_no_line_of_text_is_refused(room: Room, key: str) -> None:
    with pytest.raises(SeloError) as refused:
        asked(room.store, GOAL, key=key)
    assert refused.value.code == "bad_key"


def test_the_longest_key_and_one_of_any_script_are_taken(room: Room) -> None:
    assert not asked(room.store, GOAL, key="k" * 200).existing
    assert not asked(room.store, GOAL, key="день 1").existing


def test_nobody_is_told_so_and_neither_is_somebody_who_is_gone(room: Room) -> None:
    room.people(1)
    with room.store.write() as connection:
        connection.execute(update(users).where(users.c.id == "p00").values(state=TOMBSTONED))
    for user in ("nobody", "p00"):
        with pytest.raises(SeloError) as refused:
            asked(room.store, GOAL, user=user)
        assert refused.value.code == "unknown_user"
    with room.store.read() as connection:
        assert connection.execute(select(func.count()).select_from(saga_definitions)).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(sagas)).scalar_one() == 0


def test_a_definition_is_kept_beside_what_uses_it(room: Room) -> None:
    room.start(LINE)
    room.start(LINE)
    with room.store.read() as connection:
        (known,) = connection.execute(select(saga_definitions)).all()
    assert (known.type, known.version, known.fingerprint) == (LINE.name, 1, LINE.fingerprint)
    assert known.document == LINE.document
