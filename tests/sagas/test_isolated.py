"""Work for many sagas in one transaction: what breaks takes nothing of the others with it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from selo_dagster.people.goals import ACTIVE, goals
from selo_dagster.sagas.isolated import isolated
from selo_dagster.sagas.journal import Held
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, add_person


def held(*names: str) -> list[Held]:
    """Return sagas that somebody holds."""
    return [Held(name, "ana", 1, 1, {}, NOW, NOW + timedelta(hours=1), cancel_requested=False) for name in names]


class Work:
    """Makes a goal for each saga, and breaks for some of them afterwards. calls: by saga."""

    def __init__(self, store: Store, **broken: Exception) -> None:
        self.store, self.broken, self.calls = store, broken, Counter[str]()

    def run(self, *names: str) -> dict[str, str]:
        """Work for these in one transaction; returns what became of each."""
        with self.store.write() as connection:

            def work(one: Held) -> str:
                self.calls[one.id] += 1
                connection.execute(
                    insert(goals).values(
                        id=one.id,
                        user_id="ana",
                        title="t",
                        description="d",
                        origin="o",
                        priority=0.5,
                        state=ACTIVE,
                        created_at=NOW,
                    )
                )
                if one.id in self.broken:
                    raise self.broken[one.id]
                return "done"

            return {found.one.id: str(found.result) for found in isolated(connection, held(*names), work)}

    def made(self) -> list[str]:
        """Return the goals that are there."""
        with self.store.read() as connection:
            return list(connection.execute(select(goals.c.id).order_by(goals.c.id)).scalars())


@pytest.fixture
def people(store: Store) -> Store:
    """Ana is there."""
    add_person(store, "ana")
    return store


def test_work_that_does_not_break_is_done_once(people: Store) -> None:
    work = Work(people)
    assert work.run("a", "b", "c") == {"a": "done", "b": "done", "c": "done"}
    assert (work.made(), set(work.calls.values())) == (["a", "b", "c"], {1})


def test_what_breaks_is_rolled_back_and_that_alone(people: Store) -> None:
    work = Work(people, b=ValueError("no"))
    assert work.run("a", "b", "c") == {"a": "done", "b": "no", "c": "done"}
    assert work.made() == ["a", "c"]


def test_one_alone_that_breaks_is_not_tried_a_second_time(people: Store) -> None:
    work = Work(people, a=ValueError("no"))
    assert work.run("a") == {"a": "no"}
    assert (work.made(), work.calls["a"]) == ([], 1)


def test_what_the_database_refuses_breaks_one_as_well(people: Store) -> None:
    assert Work(people).run("a") == {"a": "done"}
    with people.write() as connection:

        def work(one: Held) -> str:
            row = {"id": one.id, "user_id": "ana", "title": "t", "description": "d", "origin": "o", "priority": 0.5}
            connection.execute(insert(goals).values(**row, state=ACTIVE, created_at=NOW))
            return "done"

        results = [found.result for found in isolated(connection, held("a", "b"), work)]
    assert [type(one) for one in results] == [IntegrityError, str]
    assert Work(people).made() == ["a", "b"]


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_a_database_that_is_gone_breaks_all_of_it(people: Store, names: tuple[str, ...]) -> None:
    gone = OperationalError("x", None, Exception(), connection_invalidated=True)
    work = Work(people, a=gone)
    with pytest.raises(OperationalError):
        work.run(*names)
    assert (work.made(), work.calls["a"]) == ([], 1)


def test_an_interruption_is_no_failure_of_a_saga(people: Store) -> None:
    with people.write() as connection:

        def work(_: Held) -> str:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            isolated(connection, held("a", "b"), work)
