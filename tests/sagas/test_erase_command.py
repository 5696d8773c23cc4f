"""`selo erase`, typed as an operator types it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import insert, select, text, update

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.home import prepare_home
from selo_dagster.memory.tables import messages
from selo_dagster.people.erasure_key import KEY_FILE
from selo_dagster.people.tables import users
from selo_dagster.sagas.catalogue.user_erasure import USER_ERASURE
from selo_dagster.sagas.erasure import compacting
from selo_dagster.sagas.erasure.launch import carry_out
from selo_dagster.sagas.tables import saga_definitions, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.sagas.erasing import Erasing
from tests.support.command import Selo, selo_with_sagas
from tests.support.fakes import add_person, say

assert selo_dagster.definitions.defs is not None
OTHER = "another key that is long enough, 02!"


@pytest.fixture
def selo(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Selo]:
    """The command on a database with Ana and Ben."""
    for user in ("ana", "ben"):
        add_person(store, user)
        say(store, user, "2026-11-22T20:00:00Z", f"hello from {user}")
    with selo_with_sagas(store_url, monkeypatch, capsys) as command:
        yield command


def begun(store: Store, *steps: str) -> tuple[Erasing, str]:
    """Carry Ana's erasure through some steps, by a run of which Dagster knows nothing; returns its saga too."""
    erasing = Erasing(store)
    saga_id = erasing.ask().saga_id
    tokens, run_id = erasing.claim(saga_id)
    erasing.carry(tokens, run_id, *steps)
    return erasing, saga_id


def erased(selo: Selo, who: str = "ana") -> Any:
    status, document = selo.json("erase", who)
    assert status == 0
    return document


def test_it_forgets_a_person_proves_it_and_prints_the_signed_report(selo: Selo, store: Store) -> None:
    document = erased(selo)
    assert (document["user"], document["verified"], document["state"]) == ("ana", True, "completed")
    assert document["deleted"] == {
        "conversations": 1,
        "events": 2,
        "messages": 1,
        "user_statements": 1,
        "users": 1,
    }
    assert json.loads(document["report"])["report"]["deleted"] == document["deleted"]
    with store.read() as connection:
        assert connection.execute(select(messages.c.content)).scalars().all() == ["hello from ben"]
        assert connection.execute(select(sagas.c.state, sagas.c.user_id)).all() == [
            ("completed", f"erased-{document['saga']}")
        ]


def test_a_person_may_be_named_by_the_partition_key(selo: Selo, store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(users).where(users.c.id == "ana").values(key="u_1"))
    document = erased(selo, "u_1")
    assert document["user"] == "ana"
    assert json.loads(document["report"])["report"]["id_is_partition_key"] is False


def test_somebody_unknown_is_refused_and_nothing_is_begun(selo: Selo, store: Store) -> None:
    status, document = selo.json("erase", "eve")
    assert (status, document["error"]["code"]) == (2, "unknown_user")
    with store.read() as connection:
        assert connection.execute(select(sagas)).all() == []


def test_a_second_time_it_says_so_and_proves_it_again(selo: Selo) -> None:
    first = erased(selo)
    status, again = selo.json("erase", "ana")
    assert (status, again["error"]["code"], again["verified"]) == (2, "erased", True)
    assert "no row is left" in again["error"]["message"]
    assert {name: again[name] for name in ("user", "deleted", "report", "saga")} == {
        name: first[name] for name in ("user", "deleted", "report", "saga")
    }
    status, _ = selo("erase", "ana")
    assert status == 2
    assert "'ana' was erased at " in selo.error


def test_the_second_time_it_does_not_say_proved_of_a_report_that_was_changed(selo: Selo, store: Store) -> None:
    erased(selo)
    with store.write() as connection:
        connection.execute(
            text("""UPDATE erased_people SET report = replace(report, '"messages": 1', '"messages": 2')""")
        )
    status, again = selo.json("erase", "ana")
    assert (status, again["verified"]) == (2, False)
    assert "not as it was signed" in again["error"]["message"]


def test_people_read_a_table_a_sentence_and_the_report(selo: Selo) -> None:
    status, printed = selo("erase", "ana")
    assert status == 0
    assert "ana was erased" in printed
    assert "no row is left in any of" in printed
    assert json.loads(printed.splitlines()[-1])["report"]["rows_left"] == 0


def test_without_somebody_who_means_it_nothing_is_done(
    selo: Selo, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    status, _ = selo("erase", "ana")
    assert status == 130
    with store.read() as connection:
        assert connection.execute(select(sagas)).all() == []
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert selo("erase", "ana")[0] == 0
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert selo("erase", "ben", "--yes")[0] == 0


@pytest.mark.parametrize("arguments", [(), ("ana", "--verify", "x"), ("ana", "--wait", "-1")])
def test_wrong_use_is_refused(selo: Selo, arguments: tuple[str, ...]) -> None:
    status, document = selo.json("erase", *arguments)
    assert (status, document["error"]["code"]) == (2, "wrong_use")


# Reports


def test_a_report_is_verified_from_a_file_and_from_standard_input_also_as_the_whole_output(
    selo: Selo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = erased(selo)
    file = tmp_path / "report"
    for told in (document["report"], json.dumps(document)):
        file.write_text(told)
        status, found = selo.json("erase", "--verify", str(file))
        assert (status, found["genuine"], found["report"]["saga"]) == (0, True, document["saga"])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(document["report"].encode())))
    assert selo("erase", "--verify", "-") == (0, "the report is as it was signed\n")


def test_a_report_that_was_changed_fails(selo: Selo, tmp_path: Path) -> None:
    document = erased(selo)
    file = tmp_path / "report"
    file.write_text(document["report"].replace('"messages": 1', '"messages": 0'))
    status, found = selo.json("erase", "--verify", str(file))
    assert (status, found["genuine"]) == (1, False)
    assert "NOT" in selo("erase", "--verify", str(file))[1]


def test_a_report_under_another_key_names_it_and_what_is_no_report_is_refused(
    selo: Selo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = erased(selo)
    file = tmp_path / "report"
    file.write_text(document["report"])
    monkeypatch.setenv("SELO_ERASURE_KEY", OTHER)
    process_settings.cache_clear()
    status, found = selo.json("erase", "--verify", str(file))
    assert (status, found["error"]["code"]) == (2, "erasure_key")
    assert json.loads(document["report"])["report"]["key_id"] in found["error"]["message"]
    monkeypatch.delenv("SELO_ERASURE_KEY")
    process_settings.cache_clear()
    (process_settings().home / KEY_FILE).unlink()
    assert selo.json("erase", "--verify", str(file))[1]["error"]["code"] == "erasure_key"
    file.write_text("{}")
    assert selo.json("erase", "--verify", str(file))[1]["error"]["code"] == "bad_report"
    assert selo.json("erase", "--verify", str(tmp_path / "none"))[1]["error"]["code"] == "bad_report"


# What is in the way


def test_files_that_others_keep_busy_make_it_unverified_until_it_is_asked_for_again(
    selo: Selo, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacting, "BUSY_S", 0)
    erasing, _ = begun(store, "fence", "remove")
    with store.read() as connection:
        connection.execute(select(users)).all()
        status, document = selo.json("erase", "ana", "--wait", "0")
    assert (status, document["verified"], document["state"]) == (1, False, "waiting")
    assert json.loads(document["report"])["report"]["compacted"] is None
    assert erasing.rows() == {}
    assert document["deleted"]["messages"] == 1
    assert "selo saga show" in document["detail"]
    assert erased(selo)["verified"] is True


def test_what_another_program_holds_is_named_and_nothing_is_changed(selo: Selo, store: Store) -> None:
    with store.write() as connection:
        connection.execute(text("CREATE TABLE invoices (whose VARCHAR(200) REFERENCES users (id))"))
        connection.execute(text("INSERT INTO invoices VALUES ('ana')"))
    status, document = selo.json("erase", "ana")
    assert (status, document["error"]["code"]) == (2, "held_elsewhere")
    assert "invoices (1)" in document["error"]["message"]
    with store.read() as connection:
        assert connection.execute(select(sagas)).all() == []


def test_a_definition_that_is_gone_is_told_before_anything_is_begun(selo: Selo, store: Store) -> None:
    with store.write() as connection:
        connection.execute(
            insert(saga_definitions).values(type="old", version=1, fingerprint="x", document={"undo_days": 1})
        )
        now = connection.execute(select(database_now())).scalar_one()
        row = {"id": "s1", "type": "old", "version": 1, "fingerprint": "x", "user_id": "ben", "key": "k", "input": {}}
        row |= {"state": "parked", "direction": "forward", "created_at": now, "deadline_at": now}
        connection.execute(insert(sagas).values(row))
    status, document = selo.json("erase", "ana")
    assert (status, document["error"]["code"]) == (2, "stranded_sagas")


def test_what_a_dead_run_left_is_gone_on_with(selo: Selo, store: Store) -> None:
    _, saga_id = begun(store, "fence", "remove")
    document = erased(selo)
    assert (document["saga"], document["verified"]) == (saga_id, True)


def test_one_that_another_process_carries_is_waited_for(selo: Selo, store: Store) -> None:
    erasing = Erasing(store)
    asked = erasing.ask()
    prepare_home(process_settings())
    rows: list[Any] = []
    with dg.DagsterInstance.get() as instance:
        job = selo_dagster.definitions.defs.resolve_job_def("saga_user_erasure")
        other = instance.create_run_for_job(job).run_id
        tokens = erasing.room.claim(USER_ERASURE, run_id=other, ids=[asked.saga_id])

        def wait() -> None:
            rows.append(carry_out(store, instance, USER_ERASURE, asked.saga_id, wait_s=60.0))

        waiting = threading.Thread(target=wait)
        waiting.start()
        erasing.carry(tokens, other)
        waiting.join(60)
    assert [(row.state, row.run_id) for row in rows] == [("completed", other)]
    assert selo.json("erase", "ana")[1]["error"]["code"] == "erased"
