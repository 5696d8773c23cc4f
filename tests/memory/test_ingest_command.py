"""`selo ingest` as its user types it."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from selo_dagster.memory.commands import ingest_command
from selo_dagster.people.tables import users
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.memory.builders import SECRET, event, jsonl, memory, message, user
from tests.support.command import Selo

ALL = (user(), message(), memory(message="c1-1"), event())


@pytest.fixture
def selo(store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    return Selo(capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(jsonl(*ALL))
    return path


def test_the_json_document_is_the_one_of_the_contract(selo: Selo, file: Path) -> None:
    accepted = {"user": 1, "message": 1, "memory": 1, "event": 1}
    document = {"lines": 4, "accepted": accepted, "updated": 0, "unchanged": 0, "rejected": []}
    assert selo.json("ingest", str(file)) == (0, {**document, "rejected_total": 0, "withheld": 0})
    assert selo.error == ""
    again = {**document, "accepted": dict.fromkeys(accepted, 0), "unchanged": 4}
    assert selo.json("ingest", str(file)) == (0, {**again, "rejected_total": 0, "withheld": 0})


def test_a_rejected_line_ends_with_status_1_and_is_named(selo: Selo, file: Path) -> None:
    file.write_bytes(jsonl(user(), memory(importance=7), message()))
    status, document = selo.json("ingest", str(file))
    assert status == 1
    assert document["rejected"] == [{"line": 2, "reason": "out_of_range: importance must be a number from 0 to 1"}]
    assert document["accepted"]["message"] == 1


def test_strict_keeps_nothing(selo: Selo, file: Path) -> None:
    file.write_bytes(jsonl(user(), memory(importance=7)))
    status, document = selo.json("ingest", "--strict", str(file))
    assert (status, document["withheld"], document["accepted"]["user"]) == (1, 1, 0)
    assert selo.json("ingest", "--strict", str(file))[1]["withheld"] == 1


def test_people_get_a_summary_with_every_number_and_the_first_rejected_lines(selo: Selo, file: Path) -> None:
    file.write_bytes(jsonl(*ALL, *[memory(str(number), importance=7) for number in range(30)]))
    status, printed = selo("ingest", str(file))
    assert status == 1
    assert "34 lines" in printed
    assert "rejected" in printed
    assert "line 5: out_of_range: importance must be a number from 0 to 1" in printed
    assert "and 10 more: --json lists the first 30" in printed
    assert SECRET not in printed + selo.error


def test_a_summary_of_strict_says_what_was_not_kept(selo: Selo, file: Path) -> None:
    file.write_bytes(jsonl(user(), memory(importance=7)))
    assert "good, not kept (--strict)" in selo("ingest", "--strict", str(file))[1]


@pytest.mark.parametrize("arguments", [["missing.jsonl"], ["."], [], ["--json", "missing.jsonl"]])
def test_a_file_that_cannot_be_read_is_wrong_use(selo: Selo, arguments: list[str]) -> None:
    assert selo("ingest", *arguments)[0] == 2


def test_a_database_that_is_behind_is_wrong_use(selo: Selo, file: Path, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'fresh.db'}")
    process_settings.cache_clear()
    status, document = selo.json("ingest", str(file))
    assert (status, document["error"]["code"]) == (2, "schema_behind")


def test_standard_input_is_read_with_a_dash(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    result = CliRunner().invoke(ingest_command, ["-", "--json"], input=jsonl(*ALL))
    assert (result.exit_code, result.stderr) == (0, "")
    assert '"lines": 4' in result.stdout


def test_pseudonymous_keys_are_taken_from_the_settings(
    selo: Selo, file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_PSEUDONYMOUS_KEYS", "1")
    process_settings.cache_clear()
    assert selo("ingest", str(file))[0] == 0
    with store.read() as connection:
        assert str(connection.execute(select(users.c.key)).scalar()).startswith("u_")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_people_at_a_terminal_see_how_far_it_is_and_programs_do_not(
    selo: Selo, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    status, _ = selo.json("ingest", str(file))
    assert status == 0
    assert "4 lines" in terminal.getvalue()


def test_no_text_of_a_person_reaches_the_log(selo: Selo, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broken = b'{"type":"message","content":"' + SECRET.encode() + b'\xff"}\n'
    file.write_bytes(jsonl(*ALL, broken, memory(content="\0" + SECRET), message(at=SECRET), {SECRET: 1}))
    status, printed = selo("ingest", str(file))
    assert status == 1
    assert SECRET not in printed + selo.error + caplog.text
