"""The key of erasures and the door: an erased id stays out, nobody else waits, and readmission is a new start."""

from __future__ import annotations

import io
import json
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, update

from selo_dagster.errors import SeloError
from selo_dagster.memory.client import write
from selo_dagster.memory.ingest import IngestReport, ingest
from selo_dagster.people.erased import Door, erased_person, foreign_key_id
from selo_dagster.people.erased_tables import erased_people
from selo_dagster.people.erasure_key import KEY_FILE, ErasureKey, erasure_key, made_erasure_key
from selo_dagster.people.partitions import sync_partitions
from selo_dagster.people.registry import Registry, Statement
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.settings import Settings, load_settings, process_settings
from selo_dagster.store.engine import Store
from tests.support.command import Selo
from tests.support.fakes import NOW, add_person

SECRET = "a key that is long enough for us, 01"
OTHER = "another key that is long enough, 02!"


def settings(home: Path, key: str = "") -> Settings:
    return load_settings({"SELO_HOME": str(home), "SELO_ERASURE_KEY": key})


@pytest.fixture
def key() -> ErasureKey:
    """This installation's key, made at first use."""
    return made_erasure_key(process_settings())


def mark_erased(store: Store, key: ErasureKey, *user_ids: str) -> None:
    """Let ids count as erased."""
    with store.write() as connection:
        for user_id in user_ids:
            connection.execute(
                insert(erased_people).values(
                    digest=key.digest(user_id), key_id=key.id, saga_id="s1", erased_at=NOW, report="{}"
                )
            )


def person(user_id: str) -> dict[str, Any]:
    return {"type": "user", "id": user_id, "name": user_id, "timezone": "UTC"}


def word(user_id: str) -> dict[str, Any]:
    said = {"id": f"{user_id}-1", "conversation": user_id, "role": "user", "content": "hi"}
    return {"type": "message", "user": user_id, "at": "2026-11-22T21:04:00Z", **said}


def take(store: Store, *lines: dict[str, Any], **options: Any) -> IngestReport:
    return ingest(store, io.BytesIO("\n".join(map(json.dumps, lines)).encode()), **options)


def codes(report: IngestReport) -> list[str]:
    return [reason.partition(":")[0] for _, reason in report.rejected]


# The key


def test_a_digest_is_keyed_says_nothing_of_the_id_and_is_the_same_every_time() -> None:
    one, other = ErasureKey(SECRET.encode()), ErasureKey(OTHER.encode())
    assert one.digest("ana") == ErasureKey(SECRET.encode()).digest("ana")
    assert len({one.digest("ana"), one.digest("anb"), other.digest("ana")}) == 3
    assert len(one.digest("ana")) == 64
    assert one.id != other.id
    assert SECRET not in repr(one)


def test_no_digest_of_an_id_passes_for_a_signature() -> None:
    key = ErasureKey(SECRET.encode())
    assert key.signed("text", key.sign("text"))
    assert not key.signed("text", key.digest("text"))
    assert not key.signed("text", key.sign("text") + " ")
    assert not key.signed("text", "é\ud800")
    assert not ErasureKey(OTHER.encode()).signed("text", key.sign("text"))


def test_the_environments_key_counts_before_the_file(tmp_path: Path) -> None:
    made = made_erasure_key(settings(tmp_path))
    named = erasure_key(settings(tmp_path, SECRET))
    assert named is not None
    assert named.id == ErasureKey(SECRET.encode()).id != made.id


def test_what_the_file_holds_is_the_key_that_the_environment_would_take(tmp_path: Path) -> None:
    made = made_erasure_key(settings(tmp_path / "one"))
    text = (tmp_path / "one" / KEY_FILE).read_text()
    assert erasure_key(settings(tmp_path / "two", text)) == made


def test_a_key_is_made_at_first_use_for_its_owner_alone_and_kept(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    assert erasure_key(settings(home)) is None
    assert not home.exists()
    made = made_erasure_key(settings(home))
    assert made == made_erasure_key(settings(home)) == erasure_key(settings(home))
    assert len(made.secret) == 64
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [KEY_FILE]
    assert made != made_erasure_key(settings(tmp_path / "elsewhere"))


def test_of_many_that_make_a_key_at_the_same_time_all_have_the_same_one(tmp_path: Path) -> None:
    for turn in range(20):
        home = settings(tmp_path / str(turn))
        gate = threading.Barrier(8)

        def make(home: Settings = home, gate: threading.Barrier = gate) -> ErasureKey:
            gate.wait(30)
            return made_erasure_key(home)

        with ThreadPoolExecutor(8) as makers:
            found = {one.result() for one in [makers.submit(make) for _ in range(8)]}
        assert found == {erasure_key(home)}
        assert [path.name for path in home.home.iterdir()] == [KEY_FILE]


def test_a_file_that_holds_no_key_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("short\n")
    for read in (erasure_key, made_erasure_key):
        with pytest.raises(SeloError, match="bring the former key back") as refused:
            read(settings(tmp_path))
        assert refused.value.code == "erasure_key"
    assert (tmp_path / KEY_FILE).read_text() == "short\n"


def test_a_home_that_cannot_be_written_asks_for_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SeloError, match="set SELO_ERASURE_KEY instead"):
        made_erasure_key(settings(tmp_path / "file" / "home"))


def test_a_short_key_in_the_environment_is_a_wrong_setting() -> None:
    with pytest.raises(SeloError, match="SELO_ERASURE_KEY") as refused:
        load_settings({"SELO_ERASURE_KEY": "short"})
    assert "short" not in refused.value.message.replace("SELO_ERASURE_KEY", "")
    assert "32" in refused.value.message


# The door


def test_an_erased_id_is_refused_with_all_its_lines_and_others_come_in(store: Store, key: ErasureKey) -> None:
    mark_erased(store, key, "ana")
    report = take(store, person("ana"), word("ana"), person("ben"), word("ben"))
    assert codes(report) == ["erased", "erased"]
    assert all("--readmit" in reason for _, reason in report.rejected)
    assert report.accepted == {"user": 1, "message": 1, "memory": 0, "event": 0}


def test_a_word_of_an_erased_person_alone_is_refused_as_erased_and_of_a_stranger_as_unknown(
    store: Store, key: ErasureKey
) -> None:
    mark_erased(store, key, "ana")
    assert codes(take(store, word("ana"), word("eve"))) == ["erased", "unknown_user"]


def test_the_client_is_kept_out_by_the_same_door_and_let_in_when_it_readmits(store: Store, key: ErasureKey) -> None:
    mark_erased(store, key, "ana")
    with store.write() as connection:
        with pytest.raises(SeloError) as refused:
            write(connection, person("ana"))
        assert refused.value.code == "erased"
        assert write(connection, person("ana"), word("ana"), readmit=True) == ["accepted", "accepted"]


def test_readmission_makes_a_new_person_under_a_key_that_dagster_never_saw(store: Store, key: ErasureKey) -> None:
    mark_erased(store, key, "ana", "ben")
    report = take(store, person("ana"), word("ana"), readmit=True)
    assert report.accepted["user"] == 1
    with store.read() as connection:
        row = connection.execute(select(users.c.state, users.c.key)).one()
        assert (row.state, row.key[:2]) == ("active", "u_")
        assert erased_person(connection, key, "ana") is None
        assert erased_person(connection, key, "ben") is not None
    # From now on Ana is somebody like anybody else.
    assert take(store, person("ana"), word("ana")).unchanged == 2
    assert codes(take(store, person("ben"))) == ["erased"]


def test_readmit_lets_nobody_in_who_is_being_erased(store: Store) -> None:
    add_person(store, "ana")
    with store.write() as connection:
        connection.execute(update(users).values(state=TOMBSTONED))
    report = take(store, person("ana"), word("ana"), readmit=True)
    assert [reason for _, reason in report.rejected] == ["erased: user 'ana' is being erased"] * 2


def test_a_readmission_that_is_rolled_back_leaves_the_door_shut(store: Store, key: ErasureKey) -> None:
    mark_erased(store, key, "ana")
    report = take(store, person("ana"), word("eve"), readmit=True, strict=True)
    assert codes(report) == ["unknown_user"]
    assert codes(take(store, person("ana"))) == ["erased"]


@pytest.mark.parametrize("there", ["nothing", "another key"])
def test_without_the_key_of_the_erased_nobody_new_comes_in_and_it_says_what_to_do(
    store: Store, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_person(store, "ben")
    mark_erased(store, ErasureKey(OTHER.encode()), "ana")
    if there == "another key":
        monkeypatch.setenv("SELO_ERASURE_KEY", SECRET)
        process_settings.cache_clear()
    report = take(store, person("eve"), word("ben"))
    assert codes(report) == ["erasure_key"]
    sentence = report.rejected[0][1]
    assert ErasureKey(OTHER.encode()).id in sentence
    assert "SELO_ERASURE_KEY" in sentence
    assert report.accepted["message"] == 1
    assert not (process_settings().home / KEY_FILE).exists()
    # Whoever knows better says so.
    assert take(store, person("eve"), readmit=True).accepted["user"] == 1


def test_a_key_that_cannot_be_read_keeps_new_people_out_only_once_somebody_was_erased(
    store: Store, key: ErasureKey
) -> None:
    (process_settings().home / KEY_FILE).write_text("damaged")
    assert take(store, person("eve")).accepted["user"] == 1
    mark_erased(store, key, "ana")
    assert codes(take(store, person("bob"))) == ["erasure_key"]


@pytest.fixture
def statements(store: Store) -> Iterator[list[str]]:
    """What the database is asked."""
    asked: list[str] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    yield asked
    event.remove(store.engine, "before_cursor_execute", note)


def test_where_nobody_was_erased_the_door_costs_one_small_query_a_batch_and_no_digest(
    store: Store, statements: list[str]
) -> None:
    def never() -> ErasureKey:
        raise AssertionError("the key was asked for")

    for door, expected in ((Door(never), 1), (Door(never, readmit=True), 1)):
        registry = Registry(door=door)
        statements.clear()
        with store.write() as connection:
            registry.load(connection, [f"p{number}" for number in range(900)], ["x"])
        assert len([one for one in statements if "erased_people" in one]) == expected
    # Nobody unknown: nothing to ask at all.
    add_person(store, "ana")
    registry = Registry(door=Door(never))
    statements.clear()
    with store.write() as connection:
        registry.load(connection, ["ana"], [])
        registry.state(Statement("new", "New", "UTC"))
    assert not [one for one in statements if "erased_people" in one]


def test_many_ids_are_looked_up_in_few_statements(store: Store, key: ErasureKey, statements: list[str]) -> None:
    mark_erased(store, key, "p7", "p1500")
    statements.clear()
    report = take(store, *(person(f"p{number}") for number in range(2_000)))
    assert codes(report) == ["erased", "erased"]
    assert report.accepted["user"] == 1_998
    assert len([one for one in statements if "erased_people" in one]) < 10


def test_people_erased_under_one_key_are_all_told_by_it(store: Store, key: ErasureKey) -> None:
    with store.read() as connection:
        assert foreign_key_id(connection, None) is None
    mark_erased(store, key, "ana", "ben")
    with store.read() as connection:
        assert foreign_key_id(connection, key) is None
        assert foreign_key_id(connection, None) == key.id
        assert foreign_key_id(connection, ErasureKey(OTHER.encode())) == key.id


def test_the_command_readmits(
    store: Store,
    store_url: str,
    key: ErasureKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    mark_erased(store, key, "ana")
    file = tmp_path / "people.jsonl"
    file.write_text(f"{json.dumps(person('ana'))}\n{json.dumps(word('ana'))}\n")
    selo = Selo(capsys)
    status, document = selo.json("ingest", str(file))
    assert (status, document["rejected_total"]) == (1, 2)
    status, document = selo.json("ingest", str(file), "--readmit")
    assert (status, document["accepted"]["message"]) == (0, 1)


# Dagster's partitions


class Partitions:
    """The keys that Dagster knows."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)

    def get_dynamic_partitions(self, partitions_def_name: str) -> list[str]:  # noqa: ARG002 - there is one
        """Return them."""
        return self.keys

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Any) -> None:  # noqa: ARG002
        """Add some."""
        self.keys += partition_keys


def test_the_key_of_somebody_who_is_gone_or_going_is_retired_and_never_added_again(
    store: Store, key: ErasureKey
) -> None:
    for name in ("ana", "ben", "erased-1"):
        add_person(store, name)
    with store.write() as connection:
        connection.execute(update(users).where(users.c.id != "ben").values(state=TOMBSTONED))
    dagster = Partitions("ana", "gone")
    synced = sync_partitions(store, dagster)
    assert (synced.people, synced.added, synced.retired) == (1, 1, 2)
    assert dagster.keys == ["ana", "gone", "ben"]
    mark_erased(store, key, "gone")
    take(store, person("gone"), readmit=True)
    again = sync_partitions(store, dagster)
    assert (again.people, again.added, again.retired) == (2, 1, 2)
    assert dagster.keys[:3] == ["ana", "gone", "ben"]
    assert dagster.keys[3].startswith("u_")
