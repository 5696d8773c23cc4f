"""A database that goes on from a backup: numbers go on, what was asked stays asked, what was unread is read."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text

from selo_dagster.memory.stream import NUMBERING, position
from selo_dagster.memory.tables import events, memories
from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.triggers.reader import READER
from selo_dagster.triggers.tables import trigger_counts, trigger_states
from tests.crash.stream import (
    EAGER,
    IMPORTANT,
    STRONG,
    check_asked_once,
    check_numbers,
    claim_requests,
    ledger,
    look,
    refs_of,
    requests_of,
    seen_by,
    trigger_worker,
    write_memories,
    write_people,
)
from tests.support.postgres import find_binaries, temporary_postgres

pytestmark = pytest.mark.crash

PEOPLE = 12
TABLES = (memories, events, ledger, trigger_states, trigger_counts)


def half_done(store: Store) -> None:
    """Leave everything that a backup may meet: requests in hand and ready, events read, numbered and neither."""
    with store.write() as connection:
        write_people(connection, [f"p{number:02}" for number in range(PEOPLE)])
    for turn in range(3):
        _remember(store, f"early-{turn}")
        look(store, batch=10)
        claim_requests(store, "run", 5)
    _remember(store, "numbered")
    _remember(store, "neither")
    # One batch of the rules, and no further: days.fold_stream has numbered what the rules have not read.
    look(store, batch=5, budget_s=0)
    with store.read() as connection:
        assert 0 < position(connection, READER) < position(connection, NUMBERING)
    _remember(store, "later")
    with store.read() as connection:
        assert connection.execute(select(events.c.id).where(events.c.seq.is_(None))).first() is not None
        states = set(connection.execute(select(ledger.c.state)).scalars())
    assert states == {"due", "claimed"}


def _remember(store: Store, when: str) -> None:
    with store.write() as connection:
        write_memories(connection, [(f"p{n:02}", f"p{n:02}-{when}", STRONG) for n in range(PEOPLE)])


def everything(store: Store) -> list[tuple[Any, ...]]:
    """Return every row of the stream and of what triggers keep."""
    with store.read() as connection:
        return [
            tuple(row) for table in TABLES for row in connection.execute(select(table).order_by(*table.primary_key))
        ]


def strong_memories(store: Store) -> set[str]:
    """Return the ids of what is remembered: all of it weighs much."""
    with store.read() as connection:
        return set(connection.execute(select(memories.c.id)).scalars())


def goes_on(restored: Store, before: list[tuple[Any, ...]], cursor: int) -> None:
    """Go on in the restored database, with a cursor that saw more than it has."""
    assert everything(restored) == before
    asked = {row.id: row for rule in (IMPORTANT, EAGER.name) for row in requests_of(restored, rule)}
    with restored.read() as connection:
        numbered = position(connection, NUMBERING)
        assert cursor > numbered
    first = look(restored)
    assert first.events > 0
    _remember(restored, "after")
    look(restored)
    look(restored)

    assert check_numbers(restored) > numbered
    strong = strong_memories(restored)
    rows = {row.id: row for rule in (IMPORTANT, EAGER.name) for row in requests_of(restored, rule)}
    for rule in (IMPORTANT, EAGER.name):
        check_asked_once(restored, strong, rule)
        assert seen_by(restored, rule) == len(strong)
    for number, row in asked.items():
        if row.state == "claimed":
            assert rows[number] == row, "what a run had in hand has changed"
        assert set(refs_of(row.cause)) <= set(refs_of(rows[number].cause))


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """A store that is closed at the end."""
    store = Store(url)
    yield store
    store.close()


@pytest.fixture(scope="module")
def another_cluster() -> Iterator[str]:
    """A server that has never seen the first one's data."""
    with temporary_postgres() as address:
        yield address


def dumped(url: str, folder: Path) -> Path:
    """Dump a database into a file."""
    dump = folder / "dump"
    subprocess.run([find_binaries() / "pg_dump", "-Fc", "-f", dump, url], check=True, timeout=60)
    return dump


@contextmanager
def restored_from(dump: Path, server: str, name: str) -> Iterator[Store]:
    """Restore a dump as a new database of a server."""
    engine = create_engine(normalised_url(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    restore = find_binaries() / "pg_restore"
    subprocess.run([restore, "--exit-on-error", "-d", f"{server}/{name}", dump], check=True, timeout=60)
    with opened(f"{server}/{name}") as store:
        yield store


@pytest.mark.postgres
def test_a_dump_that_is_restored_into_a_new_cluster_goes_on_where_it_was(
    store: Store, postgres_url: str, another_cluster: str, tmp_path: Path
) -> None:
    half_done(store)
    before = everything(store)
    dump = dumped(postgres_url, tmp_path)
    cursor = _life_goes_on(store)
    with restored_from(dump, another_cluster, "half_done") as restored:
        goes_on(restored, before, cursor)


@pytest.mark.postgres
def test_a_dump_that_is_taken_while_others_write_and_look_goes_on_as_a_whole(
    store: Store, postgres_url: str, another_cluster: str, tmp_path: Path
) -> None:
    with store.write() as connection:
        write_people(connection, [f"p{number:02}" for number in range(PEOPLE)])
    _remember(store, "first")
    look(store)
    dumps: list[Path] = []
    dumping = threading.Thread(target=lambda: dumps.append(dumped(postgres_url, tmp_path)))
    with trigger_worker(tmp_path, "keep", "--url", postgres_url, "--batch", "5") as reader:
        reader.go()
        dumping.start()
        turns = 0
        while dumping.is_alive() or turns < 5:
            _remember(store, f"turn-{turns}")
            claim_requests(store, "run", 3)
            turns += 1
        dumping.join()
        reader.go()
        reader.said("ENDED")
    everything_written = len(strong_memories(store))
    with restored_from(dumps[0], another_cluster, "while_others_write") as restored:
        there = strong_memories(restored)
        assert PEOPLE <= len(there) < everything_written, "the dump was not taken in between"
        asked = sum(row.cause["count"] for row in requests_of(restored, EAGER.name))
        _remember(restored, "after")
        look(restored)
        check_numbers(restored)
        strong = strong_memories(restored)
        assert asked <= len(there) < len(strong)
        for rule in (IMPORTANT, EAGER.name):
            check_asked_once(restored, strong, rule)
            assert seen_by(restored, rule) == len(strong)


@pytest.mark.parametrize("way", ["file copy", "VACUUM INTO"])
def test_a_copy_of_the_sqlite_file_goes_on_where_it_was(sqlite_url: str, tmp_path: Path, way: str) -> None:
    copy = tmp_path / "copy.db"
    with opened(sqlite_url) as store:
        half_done(store)
        before = everything(store)
        if way == "VACUUM INTO":
            with store.engine.connect() as connection:
                connection.exec_driver_sql("COMMIT")
                connection.execute(text("VACUUM INTO :path"), {"path": str(copy)})
    if way == "file copy":
        shutil.copy(tmp_path / "selo.db", copy)
    with opened(sqlite_url) as store:
        cursor = _life_goes_on(store)
    with opened(f"sqlite:///{copy}") as restored:
        goes_on(restored, before, cursor)


def _life_goes_on(store: Store) -> int:
    """Let more happen after the backup; returns how far the rules have come."""
    for turn in range(5):
        _remember(store, f"lost-{turn}")
    return look(store).seq
