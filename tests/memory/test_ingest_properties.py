"""Whatever the file holds: the numbers add up, nothing escapes, no text comes back, and a repetition is quiet."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from selo_dagster.memory.ingest import ingest
from selo_dagster.store.engine import Store
from tests.memory.builders import SECRET, TABLES, dump, event, memory, message, user

FEW = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

ids = st.sampled_from(["a", "b", "ana", "josé", "", "x\n", " x", "y" * 201])
times = st.sampled_from(["2026-11-22T21:04:00Z", "2026-11-22T21:04:00+02:00", "2026-11-22T21:04:00", SECRET, "", 7])
texts = st.one_of(st.just(SECRET), st.text(max_size=20).map(lambda words: f"{words}{SECRET}"), st.just(""))
numbers = st.one_of(st.floats(), st.integers(-1, 2), st.booleans(), st.none(), texts)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "intensity", SECRET]), inner, max_size=3)
    ),
    max_leaves=6,
)
zones = st.sampled_from(["UTC", "Europe/Lisbon", "Asia/Tokyo", "Mars/Olympus", SECRET + "!"])


def changed(builder: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Lines of one kind: now and then a field is anything at all."""
    return st.fixed_dictionaries({}, optional={**fields, "colour": texts}).map(lambda changes: builder(**changes))


lines = st.one_of(
    changed(user, id=ids, name=texts, timezone=zones, at=times),
    changed(message, id=ids, user=ids, conversation=ids, content=texts, role=texts, at=times),
    changed(memory, id=ids, user=ids, content=texts, importance=numbers, tags=json_values, message=ids, at=times),
    changed(event, id=ids, user=ids, event=st.sampled_from(["other", "emotional_spike", "A"]), payload=json_values),
    json_values,
)
raw_lines = st.one_of(
    lines.map(lambda line: json.dumps(line).encode()),
    lines.map(lambda line: json.dumps(line).encode()[:-2]),
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"") + SECRET.encode()),
    st.sampled_from([b"", b"  "]),
)
files = st.lists(
    st.sampled_from([b"", b"\r"]).flatmap(lambda end: raw_lines.map(lambda line: line + end + b"\n")), max_size=25
).map(b"".join)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def emptied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that the test empties before each example."""
    assert tmp_path.exists()
    store = Store(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
    yield store
    store.close()


def empty(store: Store) -> None:
    with store.write() as connection:
        for table in reversed(TABLES):
            connection.execute(delete(table))


@FEW
@given(data=files, strict=st.booleans())
def test_any_file_is_taken_in_line_by_line(emptied: Store, data: bytes, strict: bool) -> None:
    empty(emptied)
    report = ingest(emptied, io.BytesIO(data), strict=strict)
    filled = sum(1 for line in data.split(b"\n") if line.strip(b" \t\r\x0b\x0c"))
    assert report.lines == filled
    kept = sum(report.accepted.values()) + report.updated + report.unchanged
    assert kept + report.rejected_total + report.withheld == report.lines
    assert len(report.rejected) == report.rejected_total
    assert SECRET not in repr(report)
    assert all(reason.partition(":")[0].replace("_", "").isalnum() for _, reason in report.rejected)
    before = dump(emptied)
    if strict and report.rejected:
        assert not any(before.values())
        return
    ingest(emptied, io.BytesIO(data))
    after = dump(emptied)
    for table in ("messages", "memories", "events", "conversations"):
        # A line that came before its user is taken in now; what was there stays as it is.
        assert all(row in after[table] for row in before[table])


good = st.lists(
    st.one_of(
        st.builds(message, id=st.sampled_from("abc"), content=texts.filter(bool), user=st.just("ana")),
        st.builds(
            memory,
            id=st.sampled_from("abc"),
            importance=st.floats(0, 1),
            tags=st.lists(st.sampled_from("xyz"), max_size=32),
        ),
        st.builds(
            event,
            id=st.sampled_from("abc"),
            event=st.just("other"),
            payload=st.dictionaries(
                st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
                st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none(),
                max_size=4,
            ),
        ),
    ),
    max_size=15,
)


@FEW
@given(written=good)
def test_what_was_accepted_is_unchanged_the_next_time(emptied: Store, written: list[dict[str, Any]]) -> None:
    empty(emptied)
    data = "\n".join(json.dumps(line) for line in [user(), *written]).encode()
    first = ingest(emptied, io.BytesIO(data))
    assert {reason.partition(":")[0] for _, reason in first.rejected} <= {"conflict", "bad_text"}
    before = dump(emptied)
    again = ingest(emptied, io.BytesIO(data))
    assert again.unchanged == first.lines - first.rejected_total
    assert again.rejected == first.rejected
    assert dump(emptied) == before
