"""Writing from the companion's own program, within its own transaction."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from sqlalchemy import insert, select

from selo_dagster.clock import BEGINNING
from selo_dagster.errors import SeloError
from selo_dagster.memory.client import write
from selo_dagster.memory.tables import memories, messages
from selo_dagster.people.tables import user_statements, users
from selo_dagster.store.engine import Store
from tests.memory.builders import SECRET, dump, event, memory, message, user, without

ALL = (user(), message(), memory(message="c1-1"), event())


class GiveUpError(Exception):
    """The companion changes its mind."""


def test_what_is_written_is_there_once_the_caller_commits(store: Store) -> None:
    with store.write() as connection:
        assert write(connection, *ALL) == ["accepted"] * 4
        with store.read() as another:
            assert another.execute(select(messages)).all() == []
    found = dump(store)
    assert {name: len(rows) for name, rows in found.items()} == {
        "users": 1,
        "user_statements": 1,
        "conversations": 1,
        "messages": 1,
        "memories": 1,
        "events": 4,
    }


def test_what_is_written_goes_with_the_callers_transaction(store: Store) -> None:
    before = dump(store)
    with pytest.raises(GiveUpError), store.write() as connection:
        write(connection, *ALL)
        raise GiveUpError
    assert dump(store) == before


def test_what_the_caller_wrote_before_is_known(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(users).values(id="ana", key="ana", name="Ana", zone="UTC"))
        connection.execute(insert(user_statements).values(user_id="ana", since=BEGINNING, name="Ana", zone="UTC"))
        assert write(connection, event()) == ["accepted"]
        assert write(connection, event()) == ["unchanged"]


def test_the_same_again_is_unchanged_and_no_row_differs(store: Store) -> None:
    with store.write() as connection:
        write(connection, *ALL)
    before = dump(store)
    with store.write() as connection:
        assert write(connection, *ALL) == ["unchanged"] * 4
    assert dump(store) == before


def test_a_call_may_hold_the_same_record_twice(store: Store) -> None:
    with store.write() as connection:
        assert write(connection, user(), event(), event()) == ["accepted", "accepted", "unchanged"]


def test_a_person_who_moves_is_updated(store: Store) -> None:
    moved = user(timezone="Asia/Tokyo", at="2026-05-01T00:00:00Z")
    with store.write() as connection:
        assert write(connection, user()) == ["accepted"]
        assert write(connection, moved) == ["updated"]


def test_nothing_written_is_nothing_done(store: Store) -> None:
    with store.write() as connection:
        assert write(connection) == []


def test_a_conflict_keeps_nothing_of_its_call_and_the_transaction_goes_on(store: Store) -> None:
    with store.write() as connection:
        write(connection, user(), message())
        with pytest.raises(SeloError) as refused:
            write(connection, memory("m1"), message(content=f"Other words. {SECRET}"), message("c1-2"))
        assert write(connection, memory("m2")) == ["accepted"]
    assert (refused.value.code, refused.value.message) == (
        "conflict",
        "record 2: message 'c1-1' is there already with other content",
    )
    with store.read() as connection:
        assert connection.execute(select(messages.c.id)).scalars().all() == ["c1-1"]
        assert connection.execute(select(memories.c.id)).scalars().all() == ["m2"]
        assert connection.execute(select(messages.c.content)).scalar_one() == f"I like rain. {SECRET}"
    assert {row[3] for row in dump(store)["events"]} == {"ana@0001-01-01T00:00:00.000000Z", "c1-1", "m2"}


REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([event(user="nobody")], "unknown_user"),
    ([event("e1", user="ana"), event("e2", user="nobody")], "unknown_user"),
    ([event("e1"), event("e2", event="message_created")], "reserved_event"),
    ([event("e1"), event("e2", event="memory_created", payload={"importance": 0.9})], "reserved_event"),
    ([event("e1"), event("e2", event="user_stated")], "reserved_event"),
    ([message("w1"), message("w2", role="robot")], "bad_value"),
    ([message("w1"), without(message("w2"), "at")], "missing_field"),
    ([message("w1"), message("w2", at=SECRET)], "bad_time"),
    ([memory("m1"), memory("m2", importance=SECRET)], "wrong_type"),
    ([memory("m1"), memory("m2", importance=1.5)], "out_of_range"),
    ([memory("m1"), memory("m2", message="w9")], "unknown_message"),
    ([event("e1"), event("e2", payload={"emotion": SECRET})], "missing_field"),
    ([event("e1"), event("e2", payload={"emotion": "grief", "intensity": SECRET})], "out_of_range"),
    ([event("e1"), event("e2", colour=SECRET)], "unknown_field"),
    ([event("e1"), event("e1", payload={"emotion": "joy", "intensity": 0.8})], "conflict"),
    ([message("w1"), message("w1", content="Other words")], "conflict"),
    ([{"type": SECRET}], "bad_type"),
    ([{"id": SECRET}], "missing_field"),
    ([event("e1"), event("e2", event="other", payload={"a": {SECRET}})], "bad_payload"),
    ([event("e1"), event("e2", event="other", payload={"a": object()})], "bad_payload"),
    ([event("e1"), event("e2", event="other", payload={"a": ("\0",)})], "bad_payload"),
    ([event("e1"), event("e2", event="other", payload={"a": ({"intensity": 7},)})], "out_of_range"),
]


@pytest.mark.parametrize(("records", "code"), REFUSED)
def test_a_refusal_has_its_code_and_none_of_what_was_said_and_keeps_nothing(
    store: Store, records: list[dict[str, Any]], code: str
) -> None:
    with store.write() as connection:
        write(connection, user())
    before = dump(store)
    with store.write() as connection, pytest.raises(SeloError) as refused:
        write(connection, *records)
    assert refused.value.code == code
    assert SECRET not in refused.value.message
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    assert dump(store) == before


def test_a_payload_is_the_same_whichever_python_types_it_was_made_of(store: Store) -> None:
    one = event(event="other", payload={"places": ("sea", "hills"), "by": {1: "one"}})
    with store.write() as connection:
        assert write(connection, user(), one) == ["accepted", "accepted"]
    with store.write() as connection:
        assert write(connection, one) == ["unchanged"]


@pytest.mark.parametrize(("pseudonymous", "key"), [(False, "ana"), (True, "p7")])
def test_a_persons_key_is_made_as_ingest_makes_it(store: Store, pseudonymous: bool, key: str) -> None:
    with store.write() as connection:
        write(connection, user(), pseudonymous=pseudonymous, token=lambda: "p7")
    with store.read() as connection:
        assert connection.execute(select(users.c.key)).scalar_one() == key
