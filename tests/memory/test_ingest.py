"""Ingest: good lines are kept, bad ones named, and everything can be repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from selo_dagster.memory import ingest as ingest_module
from selo_dagster.memory.tables import conversations, events, memories, messages
from selo_dagster.people.tables import user_statements, users
from selo_dagster.store.engine import Store
from tests.memory.builders import SECRET, codes, dump, event, memory, message, reasons, take, user, without

ALL = (user(), message(), memory(message="c1-1"), event())


def test_every_kind_of_line_is_accepted_and_counted(store: Store) -> None:
    report = take(store, *ALL)
    assert report.as_json() == {
        "lines": 4,
        "accepted": {"user": 1, "message": 1, "memory": 1, "event": 1},
        "updated": 0,
        "unchanged": 0,
        "rejected": [],
        "rejected_total": 0,
        "withheld": 0,
    }
    found = dump(store)
    assert found["conversations"] == [("c1", "ana")]
    assert found["messages"][0][:5] == ("c1-1", "ana", "c1", "user", f"I like rain. {SECRET}")
    assert found["memories"][0][2:6] == ("fact", f"Likes rain. {SECRET}", 0.8, 0.9)
    assert found["memories"][0][7:] == ("c1-1", ["work"])


def test_an_empty_file_is_fine(store: Store) -> None:
    assert take(store, b"\n \n").lines == 0


def test_the_event_of_an_event_line_is_written_and_the_others_come_from_the_database(store: Store) -> None:
    take(store, *ALL)
    with store.read() as connection:
        found = connection.execute(select(events).order_by(events.c.id)).all()
    assert [(row.origin, row.ref, row.type, row.user_id, row.seq) for row in found] == [
        ("user", "ana@0001-01-01T00:00:00.000000Z", "user_stated", "ana", None),
        ("message", "c1-1", "message_created", "ana", None),
        ("memory", "m1", "memory_created", "ana", None),
        ("event", "e1", "emotional_spike", "ana", None),
    ]
    assert found[3].payload == {"emotion": SECRET, "intensity": 0.8}


def test_the_same_file_again_is_unchanged_and_not_one_row_differs(store: Store) -> None:
    moved = user(at="2026-05-01T00:00:00Z", timezone="Asia/Tokyo")
    odd = event("e2", event="other", payload={"a": 1e300, "b": [True, None, 1, 1.0, -0.0, 5e-324], "c": {"ü": "\\n\t"}})
    bare = without(memory("m2", importance=1), "tags", "confidence")
    lines = (*ALL, moved, odd, bare, message("c1-2", content="a\\b\tc\nd\re\\N", role="assistant"))
    assert take(store, *lines).rejected == ()
    before = dump(store)
    again = take(store, *lines)
    assert (again.unchanged, again.rejected, again.updated) == (len(lines), (), 0)
    assert dump(store) == before


def test_text_comes_back_exactly_as_it_was_written(store: Store) -> None:
    content = "tab\there \\ back\\slash \\N \\. 'quote' \"double\" %s :x {} € 🙂\u2028\u0085\x01 end\r."
    take(store, user(), message(content=content), memory(content=content, tags=["a\\b", "c'd", "{e}"]))
    with store.read() as connection:
        assert connection.execute(select(messages.c.content)).scalar() == content
        assert connection.execute(select(memories.c.content)).scalar() == content
        assert connection.execute(select(memories.c.tags)).scalar() == ["a\\b", "c'd", "{e}"]


def test_the_same_content_in_another_spelling_is_unchanged(store: Store) -> None:
    take(store, user(), message(content="Café\nau lait", at="2026-11-22T21:04:00Z"))
    report = take(store, message(content="Cafe\u0301\r\nau lait", at="2026-11-22T23:04:00+02:00"))
    assert report.unchanged == 1


@pytest.mark.parametrize(
    "line",
    [
        message(content="Other."),
        message(role="assistant"),
        message(at="2026-11-22T21:04:01Z"),
        message(conversation="c2"),
        memory(content="Other.", message="c1-1"),
        memory(importance=0.7, message="c1-1"),
        memory(confidence=None, message="c1-1"),
        memory(kind="guess", message="c1-1"),
        memory(tags=[], message="c1-1"),
        memory(),
        event(event="other"),
        event(at="2026-11-22T21:06:01Z"),
        event(payload={"emotion": SECRET, "intensity": 0.9}),
    ],
)
def test_other_content_under_the_same_id_is_a_conflict(store: Store, line: dict[str, Any]) -> None:
    take(store, *ALL)
    before = dump(store)
    report = take(store, line)
    assert reasons(report) == {1: f"conflict: {line['type']} {line['id']!r} is there already with other content"}
    assert dump(store) == before


def test_ids_are_unique_per_type_only(store: Store) -> None:
    assert take(store, user("x"), message("x", user="x"), memory("x", user="x"), event("x", user="x")).rejected == ()


def test_later_lines_of_a_batch_see_the_earlier_ones(store: Store) -> None:
    report = take(store, *ALL, *ALL, message(content="Other."), user(timezone="Asia/Tokyo"))
    assert report.unchanged == 4
    assert codes(report) == {9: "conflict", 10: "conflict"}


def test_a_user_line_comes_before_what_depends_on_it(store: Store) -> None:
    report = take(store, message(), memory(), event(), user(), message())
    assert codes(report) == {1: "unknown_user", 2: "unknown_user", 3: "unknown_user"}
    assert reasons(report)[1] == "unknown_user: no user 'ana' before this line"
    assert report.accepted == {"user": 1, "message": 1, "memory": 0, "event": 0}


def test_what_depends_on_a_rejected_line_is_rejected_too(store: Store) -> None:
    report = take(store, user(timezone="Mars/Olympus"), message(), memory(message="c1-1"))
    assert codes(report) == {1: "bad_zone", 2: "unknown_user", 3: "unknown_user"}


def test_the_message_of_a_memory_exists_and_is_the_same_persons(store: Store) -> None:
    ben = [user("ben"), message("b1", user="ben", conversation="b")]
    report = take(store, user(), *ben, memory(message="c1-1"), memory(message="b1"), message(), memory(message="c1-1"))
    assert codes(report) == {4: "unknown_message", 5: "conflict"}
    assert take(store, memory("m2", message="b1"), memory("m3", message="c1-1")).accepted["memory"] == 1


@pytest.mark.parametrize("separately", [True, False])
def test_one_conversation_has_one_person(store: Store, separately: bool) -> None:
    first, second = [user(), user("ben"), message()], [message("b1", user="ben")]
    report = take(store, *first, *second) if not separately else (take(store, *first), take(store, *second))[1]
    assert list(reasons(report).values()) == ["conflict: conversation 'c1' is another user's"]


def test_nothing_is_taken_in_for_an_erased_person(store: Store) -> None:
    take(store, user())
    with store.write() as connection:
        connection.execute(update(users).values(state="tombstoned"))
    assert set(codes(take(store, *ALL)).values()) == {"erased"}


def test_a_move_is_updated_and_history_stays_append_only(store: Store) -> None:
    report = take(
        store,
        user(),
        user(at="2026-05-01T00:00:00Z", timezone="Asia/Tokyo"),
        user(at="2026-03-01T00:00:00Z", timezone="America/New_York"),
        user(timezone="Asia/Tokyo"),
        user(name="Anna"),
    )
    assert (report.accepted["user"], report.updated) == (1, 2)
    assert codes(report) == {3: "conflict", 4: "conflict"}
    with store.read() as connection:
        assert connection.execute(select(users.c.zone, users.c.moves)).one() == ("Asia/Tokyo", 1)
        assert len(connection.execute(select(user_statements)).all()) == 2


def test_every_bad_line_is_named_and_the_good_ones_around_it_are_kept(store: Store) -> None:
    report = take(
        store,
        user(),
        b'{"type":"message","id":"x","content":"\xff' + SECRET.encode() + b'"}\n',
        b"\n",
        memory(importance=7),
        message(at="2026-11-22T21:04:00"),
        {**message(), "colour": "red"},
        user("ben", timezone="Mars/Olympus"),
        user("a\u0000b"),
        b"{" + SECRET.encode() + b"\n",
        b'{"a":"' + SECRET.encode() * 700_000 + b'"}\n',
        message(),
    )
    assert codes(report) == {
        2: "bad_utf8",
        4: "out_of_range",
        5: "naive_time",
        6: "unknown_field",
        7: "bad_zone",
        8: "bad_id",
        9: "bad_json",
        10: "too_long",
    }
    assert report.lines == 10
    assert report.accepted == {"user": 1, "message": 1, "memory": 0, "event": 0}


def test_rejected_lines_come_in_the_order_of_the_file_and_only_the_first_1000_are_listed(store: Store) -> None:
    report = take(
        store, user(), *[line for n in range(1_100) for line in (memory(importance=7), message(str(n), user="x"))]
    )
    assert report.rejected_total == 2_200
    assert [number for number, _ in report.rejected] == list(range(2, 1_002))


@pytest.mark.parametrize("lines", [1, 2, 3, 7])
def test_batches_of_any_size_give_the_same_rows(store: Store, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_LINES", lines)
    seen: list[int] = []
    report = take(store, *ALL, *ALL, user("ben"), message("b", user="ben"), on_progress=seen.append)
    assert (report.unchanged, codes(report)) == (4, {10: "conflict"})
    assert seen[-1] == 10
    assert len(seen) == -(-10 // lines)


def test_a_batch_of_long_lines_ends_early(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_BYTES", 2_000)
    seen: list[int] = []
    take(store, user(), *(message(str(n), content="x" * 1_500) for n in range(4)), on_progress=seen.append)
    assert seen == [3, 5]


def test_more_rows_than_one_statement_takes_are_written_in_order(store: Store) -> None:
    take(store, user(), *(message(str(number), conversation=f"c{number % 700}") for number in range(1_234)))
    with store.read() as connection:
        refs = connection.execute(select(events.c.ref).where(events.c.origin == "message").order_by(events.c.id))
        assert list(refs.scalars()) == [str(number) for number in range(1_234)]
        assert len(connection.execute(select(conversations)).all()) == 700


def test_people_get_random_keys_when_the_installation_is_pseudonymous(store: Store) -> None:
    take(store, user(), user("josé"), pseudonymous=True, token=iter(["u_1", "u_2"]).__next__)
    with store.read() as connection:
        assert set(connection.execute(select(users.c.key)).scalars()) == {"u_1", "u_2"}


def test_a_message_that_was_removed_leaves_its_memory_in_place(store: Store) -> None:
    take(store, *ALL)
    with store.write() as connection:
        connection.execute(delete(messages))
    assert codes(take(store, memory(message="c1-1"))) == {1: "unknown_message"}


def test_a_report_is_json(store: Store) -> None:
    document = json.loads(json.dumps(take(store, user(), memory(importance=7)).as_json()))
    assert document["rejected"] == [{"line": 2, "reason": "out_of_range: importance must be a number from 0 to 1"}]
