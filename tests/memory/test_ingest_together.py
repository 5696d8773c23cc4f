"""Several ingests, other writers and an erasure at the same time."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, insert, select, update

from selo_dagster.clock import parse_instant
from selo_dagster.memory import ingest as ingest_module
from selo_dagster.memory.ingest import IngestReport, ingest
from selo_dagster.memory.tables import conversations, events, memories, messages
from selo_dagster.people.tables import users
from selo_dagster.store.engine import Store
from tests.memory.builders import codes, dump, jsonl, memory, message, take, user

PEOPLE = 5
EACH = 60


def a_file(*, backwards: bool = False) -> bytes:
    people = [user(f"user{number}") for number in range(PEOPLE)]
    said = [
        message(f"{number}-{place}", user=f"user{number}", conversation=f"c{number}")
        for place in range(EACH)
        for number in range(PEOPLE)
    ]
    kept = [memory(line["id"], user=line["user"], message=line["id"]) for line in said]
    if backwards:
        people, said, kept = people[::-1], said[::-1], kept[::-1]
    return jsonl(*people, *said, *kept)


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = []
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results.append(call())
        except BaseException as failed:  # noqa: BLE001 - shown by the test
            results.append(failed)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("strict", [False, True])
def test_two_ingests_of_the_same_people_at_the_same_time_end_with_the_rows_of_one(
    store: Store, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_LINES", 50)
    files = [a_file(), a_file(), a_file(backwards=True)]
    reports = together([lambda data=data: ingest(store, io.BytesIO(data), strict=strict) for data in files])  # type: ignore[misc]
    assert all(isinstance(report, IngestReport) for report in reports), reports
    lines = PEOPLE + 2 * PEOPLE * EACH
    assert sum(sum(report.accepted.values()) for report in reports) == lines
    assert sum(report.unchanged for report in reports) == 2 * lines
    assert all(report.rejected == () for report in reports)
    with store.read() as connection:
        assert len(connection.execute(select(memories)).all()) == PEOPLE * EACH
        assert len(connection.execute(select(events)).all()) == lines


def between_comparing_and_writing(store: Store, act: Callable[[], None]) -> None:
    """Call `act` once, after the store has looked which of a batch's messages are there."""
    done: list[bool] = []

    def watch(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if not done and statement.startswith("SELECT messages.id"):
            done.append(True)
            act()

    event.listen(store.engine, "after_cursor_execute", watch)


@pytest.mark.postgres
@pytest.mark.parametrize(("content", "outcome"), [(None, "unchanged"), ("Other.", "conflict")])
def test_a_row_that_another_program_writes_meanwhile_is_compared(
    postgres_url: str, content: str | None, outcome: str
) -> None:
    store, other = Store(postgres_url), Store(postgres_url)
    take(store, user())
    line = message()

    def meanwhile() -> None:
        with other.write() as connection:
            connection.execute(insert(conversations).values(id="c1", user_id="ana"))
            connection.execute(
                insert(messages).values(
                    id=line["id"],
                    user_id="ana",
                    conversation_id="c1",
                    role="user",
                    content=content or line["content"],
                    at=parse_instant(line["at"]),
                )
            )

    between_comparing_and_writing(store, meanwhile)
    report = take(store, message("c1-0"), line, message("c1-2"))
    assert report.accepted["message"] == 2
    assert (report.unchanged, codes(report)) == ((1, {}) if outcome == "unchanged" else (0, {2: "conflict"}))
    store.close()
    other.close()


@pytest.mark.postgres
def test_an_erasure_waits_for_what_is_written_for_its_person_and_removes_it(postgres_url: str) -> None:
    store, other = Store(postgres_url), Store(postgres_url)
    take(store, user(), user("ben"))
    erased = threading.Event()

    def erase() -> None:
        with other.write() as connection:
            connection.execute(update(users).where(users.c.id == "ana").values(state="tombstoned"))
            connection.execute(delete(messages).where(messages.c.user_id == "ana"))
        erased.set()

    thread = threading.Thread(target=erase)

    def meanwhile() -> None:
        thread.start()
        assert not erased.wait(0.3)

    between_comparing_and_writing(store, meanwhile)
    take(store, message(), message("b1", user="ben", conversation="b"))
    thread.join()
    assert [row[0] for row in dump(store)["messages"]] == ["b1"]
    assert codes(take(store, message())) == {1: "erased"}
    store.close()
    other.close()


@pytest.mark.postgres
def test_a_deadlock_with_another_program_is_tried_again(postgres_url: str) -> None:
    store, other = Store(postgres_url), Store(postgres_url)
    take(store, user(), user("ben"))
    first_locked, done = threading.Event(), threading.Event()

    def rival() -> None:
        with other.write() as connection:
            # Patient, so that the other side is the one that notices the deadlock and gives way.
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '20s'")
            connection.execute(insert(conversations).values(id="c2", user_id="ana"))
            first_locked.set()
            # Waits for the ingest, which will wait for c2.
            connection.execute(update(users).where(users.c.id == "ben").values(name="Ben"))
        done.set()

    thread = threading.Thread(target=rival)

    def meanwhile() -> None:
        thread.start()
        assert first_locked.wait(5)

    between_comparing_and_writing(store, meanwhile)
    report = take(store, message("b", user="ben", conversation="b"), message("a", conversation="c2"))
    thread.join()
    assert done.is_set()
    assert report.accepted["message"] == 2
    store.close()
    other.close()
