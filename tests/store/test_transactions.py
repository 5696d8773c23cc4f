"""One transaction is all or nothing, on both databases."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from selo_dagster.clock import BEGINNING
from selo_dagster.memory.tables import events
from selo_dagster.people.tables import user_statements, users
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from selo_dagster.store.waiting import bound_waits, gave_way


def add(connection: object, user: str) -> None:
    connection.execute(insert(users).values(id=user, key=user, name="A", zone="UTC"))  # type: ignore[attr-defined]


def count(store: Store) -> int:
    with store.read() as connection:
        return len(connection.execute(select(users.c.id)).all())


def test_a_rolled_back_chunk_leaves_nothing_not_even_its_savepoints(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write() as connection:
        for user in ("a", "b"):
            with connection.begin_nested():
                add(connection, user)
        raise RuntimeError
    assert count(store) == 0


def test_a_savepoint_that_fails_takes_only_its_own_rows(store: Store) -> None:
    with store.write() as connection:
        add(connection, "a")
        with pytest.raises(DBAPIError), connection.begin_nested():
            add(connection, "b")
            add(connection, "a")
        add(connection, "c")
    assert count(store) == 2


def test_a_read_transaction_cannot_write_on_postgresql_and_sees_one_snapshot(store: Store) -> None:
    with store.read() as connection:
        assert connection.execute(select(users.c.id)).all() == []
        with store.write() as other:
            add(other, "a")
        assert connection.execute(select(users.c.id)).all() == []


def test_two_writers_never_lose_an_increment(store: Store) -> None:
    with store.write() as connection:
        add(connection, "a")

    def bump() -> None:
        for _ in range(25):
            with store.write() as connection:
                connection.execute(text("UPDATE users SET moves = moves + 1 WHERE id = 'a'"))

    threads = [threading.Thread(target=bump) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert connection.execute(select(users.c.moves)).scalar() == 100


@pytest.mark.postgres
def test_a_transaction_gives_way_where_a_lock_is_not_free_in_its_time(postgres_url: str) -> None:
    store = Store(postgres_url)
    with store.write() as connection:
        add(connection, "a")
    with store.write() as holding:
        holding.execute(text("UPDATE users SET moves = 1"))
        with pytest.raises(DBAPIError) as caught, store.write() as waiting:
            bound_waits(waiting, lock_s=0.05, silence_s=30.0)
            waiting.execute(text("UPDATE users SET moves = 2"))
    assert gave_way(caught.value)
    with store.write() as connection:
        # It was for that transaction alone.
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "0"
        assert connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == "1min"
    store.close()


@pytest.mark.postgres
def test_whoever_is_not_heard_of_keeps_nothing_locked(postgres_url: str) -> None:
    store = Store(postgres_url)
    with store.write() as connection:
        add(connection, "a")
    with pytest.raises(DBAPIError) as caught, store.write() as stopped:
        bound_waits(stopped, lock_s=30.0, silence_s=0.2)
        stopped.execute(text("UPDATE users SET moves = 1"))
        with store.write() as other:
            bound_waits(other, lock_s=20.0, silence_s=30.0)
            other.execute(text("UPDATE users SET moves = 2"))
    assert not gave_way(caught.value)
    with store.read() as connection:
        assert connection.execute(select(users.c.moves)).scalar() == 2
    store.close()


def test_bounds_of_waits_leave_sqlite_as_it_is(store: Store) -> None:
    with store.write() as connection:
        bound_waits(connection, lock_s=0.0, silence_s=30.0)
        add(connection, "a")
    assert count(store) == 1


def test_an_error_never_shows_the_values_that_were_sent(store: Store) -> None:
    with pytest.raises(DBAPIError) as caught, store.write() as connection:
        connection.execute(
            insert(user_statements).values(user_id="nobody", since=BEGINNING, name="planted secret", zone="UTC")
        )
    assert "planted secret" not in str(caught.value)


def test_the_stream_is_written_by_the_database_itself(store: Store) -> None:
    with store.write() as connection:
        add(connection, "a")
        connection.execute(insert(user_statements).values(user_id="a", since=BEGINNING, name="A", zone="UTC"))
    with store.read() as connection:
        (event,) = connection.execute(select(events)).all()
    assert (event.type, event.user_id, event.payload, event.seq) == ("user_stated", "a", {"zone": "UTC"}, None)
    assert event.ref == "a@0001-01-01T00:00:00.000000Z"


def test_the_database_clock_is_close_to_this_machine_and_can_look_ahead(store: Store) -> None:
    with store.read() as connection:
        now, later = connection.execute(select(database_now(), database_now(30))).one()
    assert 29 < (later - now).total_seconds() < 31
    assert now.tzinfo is not None
