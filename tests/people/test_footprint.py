"""Everything about a person is found by the database's own foreign keys, and nothing of anybody else's."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import Connection, delete, insert, inspect, text

from selo_dagster.memory.tables import conversations, messages
from selo_dagster.people.footprint import Footprint
from selo_dagster.people.tables import users
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from tests.support.everything import ABOUT_NOBODY, everything, fill
from tests.support.fakes import NOW, add_person

OURS = set(metadata.tables) - ABOUT_NOBODY


def footprint(store: Store) -> Footprint:
    with store.read() as connection:
        return Footprint.of(connection)


def filled(store: Store) -> None:
    with store.write() as connection:
        for user_id in ("ana", "ben"):
            fill(connection, user_id, "words")


def count(store: Store, user_id: str) -> dict[str, int]:
    with store.read() as connection:
        return Footprint.of(connection).count(connection, user_id)


def remove(store: Store, user_id: str, limit: int) -> dict[str, int]:
    """Delete everything but the person's own row, so many rows a transaction; returns how many, by table."""
    found, gone, place = footprint(store), Counter[str](), 0
    while True:
        with store.write() as connection:
            deleted = found.delete(connection, user_id, limit=limit, begin=place)
        assert sum(deleted.rows.values()) <= limit
        gone.update(deleted.rows)
        if deleted.whole:
            return dict(gone)
        place = deleted.place


def a_table(store: Store, name: str, *columns: str) -> None:
    with store.write() as connection:
        connection.execute(text(f"CREATE TABLE {name} ({', '.join(columns)})"))


def run(store: Store, *statements: str) -> None:
    with store.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_every_table_of_this_project_is_reached_or_known_to_be_about_nobody(store: Store) -> None:
    with store.read() as connection:
        there = set(inspect(connection).get_table_names()) - {"selo_schema_version"}
    assert there == set(metadata.tables)
    assert set(footprint(store).tables) == OURS


def test_a_table_that_comes_later_is_found_with_what_rests_on_it(store: Store) -> None:
    add_person(store, "ana")
    add_person(store, "ben")
    a_table(
        store, '"Their Letters"', "id INTEGER PRIMARY KEY", "whose VARCHAR(200) REFERENCES users (id) ON DELETE CASCADE"
    )
    a_table(
        store,
        "pages",
        'letter INTEGER REFERENCES "Their Letters" (id) ON DELETE CASCADE',
        "words TEXT",
    )
    run(store, """INSERT INTO "Their Letters" VALUES (1, 'ana'), (2, 'ben'), (3, NULL)""")
    run(store, "INSERT INTO pages VALUES (1, 'a'), (1, 'b'), (2, 'c'), (NULL, 'd')")
    assert count(store, "ana") == {'"Their Letters"': 1, "pages": 2, "user_statements": 1, "events": 1, "users": 1}
    assert remove(store, "ana", 1) == {'"Their Letters"': 1, "pages": 2, "user_statements": 1, "events": 1}
    with store.read() as connection:
        assert connection.execute(text("SELECT words FROM pages ORDER BY 1")).scalars().all() == ["c", "d"]
        assert connection.execute(text('SELECT id FROM "Their Letters" ORDER BY 1')).scalars().all() == [2, 3]


@pytest.mark.parametrize("limit", [1, 3, 1_000])
def test_whatever_a_person_has_in_any_table_goes_a_bounded_part_at_a_time_and_nothing_of_others(
    store: Store, limit: int
) -> None:
    filled(store)
    before = everything(store)
    there = count(store, "ana")
    assert there.keys() == OURS
    gone = remove(store, "ana", limit)
    assert gone == {table: number for table, number in there.items() if table != "users"}
    assert count(store, "ana") == {"users": 1}
    with store.write() as connection:
        connection.execute(delete(users).where(users.c.id == "ana"))
    after = everything(store)
    assert count(store, "ana") == {}
    for table, rows in after.items():
        assert rows == [row for row in before[table] if "'ana'" not in row and " ana" not in row], table
        assert "ana" not in "".join(rows), table
    assert all(after[table] for table in OURS)


def test_what_rests_on_something_goes_before_it_so_that_every_row_is_counted(store: Store) -> None:
    order = [part.table for part in footprint(store).parts]
    for child in metadata.sorted_tables:
        for key in child.foreign_keys:
            parent = key.column.table.name
            if {child.name, parent} <= set(order) and child.name != parent:
                assert order.index(child.name) < order.index(parent), (child.name, parent)


def test_rows_that_are_spared_stay_with_what_rests_on_them(store: Store) -> None:
    filled(store)
    with store.write() as connection:
        (mine,) = connection.execute(text("SELECT id FROM sagas WHERE user_id = 'ana'")).scalars()
        found = Footprint.of(connection, {"sagas": "id <> :spared"})
        assert found.delete(connection, "ana", spared=mine).whole
        assert found.count(connection, "ana", spared=mine) == {"users": 1}
        assert Footprint.of(connection).count(connection, "ana") == {
            **dict.fromkeys(("users", "sagas", "saga_steps", "saga_alerts"), 1),
            **dict.fromkeys(("saga_attempts", "saga_interventions"), 1),
        }


def test_a_circle_of_tables_ends(store: Store) -> None:
    add_person(store, "ana")
    a_table(
        store,
        "boxes",
        "id INTEGER PRIMARY KEY",
        "inside INTEGER REFERENCES boxes (id) ON DELETE CASCADE",
        "whose VARCHAR(200) REFERENCES users (id) ON DELETE CASCADE",
    )
    run(store, "INSERT INTO boxes VALUES (1, NULL, 'ana'), (2, 1, 'ana')")
    assert "boxes" in footprint(store).tables
    remove(store, "ana", 10)
    assert count(store, "ana") == {"users": 1}


@pytest.mark.parametrize("action", ["", "ON DELETE RESTRICT"])
def test_rows_that_would_hold_a_person_back_are_named(store: Store, action: str) -> None:
    add_person(store, "ana")
    add_person(store, "ben")
    a_table(store, "invoices", "id INTEGER", f"whose VARCHAR(200) REFERENCES users (id) {action}")
    run(store, "INSERT INTO invoices VALUES (1, 'ben')")
    held = footprint(store)
    assert "invoices" not in held.tables
    with store.read() as connection:
        assert held.rows_that_hold(connection, "ana") == {}
        assert held.rows_that_hold(connection, "ben") == {"invoices": 1}


def test_rows_that_only_lose_a_pointer_are_nobodys(store: Store) -> None:
    add_person(store, "ana")
    a_table(store, "cards", "id INTEGER", "whose VARCHAR(200) REFERENCES users (id) ON DELETE SET NULL")
    run(store, "INSERT INTO cards VALUES (1, 'ana')")
    found = footprint(store)
    assert "cards" not in found.tables
    with store.write() as connection:
        assert found.rows_that_hold(connection, "ana") == {}
        connection.execute(delete(users).where(users.c.id == "ana"))
        assert connection.execute(text("SELECT id, whose FROM cards")).all() == [(1, None)]


def test_other_peoples_rows_that_would_go_too_are_counted(store: Store) -> None:
    add_person(store, "ana")
    add_person(store, "ben")

    def write(connection: Connection) -> None:
        connection.execute(insert(conversations).values(id="both", user_id="ana"))
        for name in ("ana", "ben"):
            row = {"id": name, "user_id": name, "conversation_id": "both", "role": "user", "content": "hi", "at": NOW}
            connection.execute(insert(messages).values(row))

    with store.write() as connection:
        write(connection)
    found = footprint(store)
    with store.read() as connection:
        assert found.others_rows(connection, "ana") == {"messages": 1}
        assert found.others_rows(connection, "ben") == {}
