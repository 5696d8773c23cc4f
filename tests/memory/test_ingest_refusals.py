"""All or nothing with strict, and what happens when the database itself refuses or fails."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from sqlalchemy import insert, text

from selo_dagster.errors import SeloError
from selo_dagster.memory import ingest as ingest_module
from selo_dagster.memory.ingest import ingest
from selo_dagster.people.tables import users
from selo_dagster.store.engine import Store
from tests.memory.builders import SECRET, codes, dump, event, jsonl, memory, message, reasons, take, user

ALL = (user(), message(), memory(message="c1-1"), event())


def test_strict_keeps_everything_or_nothing_and_reports_every_fault(store: Store) -> None:
    before = dump(store)
    bad = take(store, *ALL, memory("m2", importance=7), message("c1-2", user="ben"), strict=True)
    assert codes(bad) == {5: "out_of_range", 6: "unknown_user"}
    assert (bad.withheld, bad.lines, sum(bad.accepted.values())) == (4, 6, 0)
    assert dump(store) == before
    good = take(store, *ALL, strict=True)
    assert (sum(good.accepted.values()), good.withheld) == (4, 0)
    assert take(store, *ALL, strict=True).unchanged == 4


def test_strict_spans_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_LINES", 2)
    before = dump(store)
    assert codes(take(store, *ALL, memory("m2", importance=7), strict=True)) == {5: "out_of_range"}
    assert dump(store) == before


@pytest.mark.parametrize("strict", [True, False])
def test_a_line_that_the_database_refuses_is_rejected_alone(store: Store, strict: bool, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    with store.write() as connection:
        connection.execute(insert(users).values(id="other", key="key3", name="O", zone="UTC"))
    people = [user(f"key{number}") for number in range(8)]
    report = take(store, *people, message(user="key4"), message("x", user="key3"), strict=strict)
    assert codes(report) == {4: "refused", 10: "unknown_user"}
    assert "users" in reasons(report)[4]
    assert report.accepted["user"] == (0 if strict else 7)
    assert SECRET not in caplog.text


def test_a_refusal_of_the_database_does_not_show_what_was_written(store: Store) -> None:
    with store.write() as connection:
        if store.dialect == "postgresql":
            connection.execute(text("ALTER TABLE messages ADD CONSTRAINT no_rain CHECK (content NOT LIKE '%rain%')"))
        else:
            connection.exec_driver_sql(
                "CREATE TRIGGER no_rain BEFORE INSERT ON messages WHEN NEW.content LIKE '%rain%' "
                f"BEGIN SELECT RAISE(ABORT, 'not this: {SECRET}'); END"
            )
    report = take(store, user(), message(), message("c1-2", content="I like sun."))
    assert codes(report) == {2: "refused"}
    assert report.accepted["message"] == 1


def test_a_database_that_fails_on_the_way_says_what_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_LINES", 2)

    def broken(_lines: int) -> None:
        with store.write() as connection:
            connection.exec_driver_sql("DROP TABLE stream_positions")
            connection.exec_driver_sql("ALTER TABLE memories RENAME TO gone")

    with pytest.raises(SeloError, match="the first 2 lines are kept, ingest the same file again") as caught:
        ingest(store, io.BytesIO(jsonl(*ALL)), on_progress=broken)
    assert caught.value.code == "database_failed"
    assert SECRET not in str(caught.value)
