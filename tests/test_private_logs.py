"""No secret and no identifier in a log, whoever writes it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from selo_dagster.private_logs import keep_logs_private

SECRET = "sk-" + "proj-abcdefghijklmnop1234567890"
MAIL = "ana@example.com"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler of somebody else's writes, that was added after the logs were made private."""
    before = logging.getLogRecordFactory()
    keep_logs_private()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_a_message_and_its_arguments_lose_what_is_private(written: io.StringIO) -> None:
    log = logging.getLogger("somebody.elses.child")
    log.warning("key %s of %s in %d rows", SECRET, MAIL, 7)
    log.warning(f"plain {MAIL} and {SECRET}")
    log.warning("%(who)s has %(what)s", {"who": MAIL, "what": SECRET})
    log.warning("two parts make one: %s@%s", "ana", "example.com")
    log.warning("an object: %s", ValueError(MAIL))
    assert written.getvalue().splitlines() == [
        "WARNING somebody.elses.child key [secret] of [email] in 7 rows",
        "WARNING somebody.elses.child plain [email] and [secret]",
        "WARNING somebody.elses.child [email] has [secret]",
        "WARNING somebody.elses.child two parts make one: [email]",
        "WARNING somebody.elses.child an object: [email]",
    ]


def _breaks() -> None:
    raise KeyError(SECRET)


def test_an_exception_with_its_causes_loses_what_is_private(written: io.StringIO) -> None:
    try:
        try:
            _breaks()
        except KeyError as cause:
            raise RuntimeError(f"no answer for {MAIL}") from cause
    except RuntimeError:
        logging.getLogger("a.library").exception("it broke", stack_info=True)
    told = written.getvalue()
    assert MAIL not in told
    assert SECRET not in told
    assert "RuntimeError: no answer for [email]" in told
    assert "KeyError: '[secret]'" in told
    assert "Traceback" in told


def test_what_is_not_private_is_written_as_it_was(written: io.StringIO) -> None:
    logging.getLogger("a").warning("row %d of %s at %s took %.2f s", 12, "daily", "2026-11-22T21:04:05+00:00", 0.5)
    logging.getLogger("a").warning("100% sure")
    assert written.getvalue().splitlines() == [
        "WARNING a row 12 of daily at 2026-11-22T21:04:05+00:00 took 0.50 s",
        "WARNING a 100% sure",
    ]


def test_a_handler_that_reads_the_arguments_still_finds_them(written: io.StringIO) -> None:
    record = logging.getLogger("uvicorn.access").makeRecord(
        "uvicorn.access", logging.INFO, "", 0, '%s - "%s %s" %d', ("127.0.0.1:1", "GET", f"/x?user={MAIL}", 200), None
    )
    assert record.args == ("127.0.0.1:1", "GET", "/x?user=[email]", 200)
    assert written.getvalue() == ""


def test_doing_it_again_changes_nothing(written: io.StringIO) -> None:
    factory = logging.getLogRecordFactory()
    keep_logs_private()
    assert logging.getLogRecordFactory() is factory
    assert written.getvalue() == ""


@pytest.mark.parametrize(
    "start",
    [
        "import selo_dagster.definitions",
        "from selo_dagster.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
    ],
    ids=["the code location", "the command"],
)
def test_processes_of_ours_begin_with_private_logs(start: str) -> None:
    code = f"{start}\nimport logging\nlogging.basicConfig(force=True)\nlogging.getLogger('x').error('mail {MAIL}')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mail [email]" in done.stderr
    assert MAIL not in json.dumps([done.stdout, done.stderr])
