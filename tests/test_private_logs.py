"""No secret and no identifier in a log, whoever writes it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal

import pytest

from selo_dagster.private_logs import keep_logs_private

SECRET = "sk-" + "proj-abcdefghijklmnop1234567890"
MAIL = "ana@example.com"
CARD = "4111111111111111"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler of somebody else's writes, that was added after the logs were made private."""
    before, before_record = logging.getLogRecordFactory(), logging.Logger.makeRecord
    keep_logs_private()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)
    logging.setLogRecordFactory(before)
    logging.Logger.makeRecord = before_record  # type: ignore[method-assign]


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


class Told:
    """Something that says of itself what nobody may read in a log."""

    def __init__(self, said: str, shown: str) -> None:
        self.said, self.shown = said, shown

    def __str__(self) -> str:
        if not self.said:
            raise ValueError(MAIL)
        return self.said

    def __repr__(self) -> str:
        return self.shown


@pytest.mark.parametrize(
    "logged",
    [
        ("mail %s %s", MAIL),
        ("%d rows", MAIL),
        ("%s of %d", Told("nobody", f"<{MAIL}>"), "x"),
        ("%(who)s %(what)s", {"who": MAIL, MAIL: 1}),
        (f"of {MAIL}", 1),
        (f"%s {SECRET}", "a", CARD),
        ("%s %s", int(CARD)),
    ],
)
@pytest.mark.usefixtures("written")
def test_what_cannot_be_formatted_is_told_of_without_what_is_private(
    capsys: pytest.CaptureFixture[str], logged: tuple[object, ...]
) -> None:
    stream = io.StringIO()
    made = logging.getLogger("a").makeRecord("a", logging.WARNING, "", 0, logged[0], logged[1:], None)
    # Not through the logger: a handler of pytest's raises what others tell.
    logging.StreamHandler(stream).handle(made)
    told = stream.getvalue() + capsys.readouterr().err
    assert "--- Logging error ---" in told
    assert not [one for one in (MAIL, SECRET, CARD) if one in told]


def test_what_cannot_say_what_it_is_is_told_of_by_its_class(written: io.StringIO) -> None:
    logging.getLogger("a").warning("%s came", Told("", "fine"))
    logging.getLogger("a").warning("%r came", Told("", MAIL))
    assert written.getvalue().splitlines() == ["WARNING a <Told> came", "WARNING a '<Told>' came"]


@pytest.mark.parametrize(
    ("form", "told"), [("%d of it", "[card] of it"), ("%.2f of it", "[card].00 of it"), ("%s of it", "[card] of it")]
)
@pytest.mark.parametrize("number", [Decimal(CARD), int(CARD)], ids=["decimal", "whole"])
def test_a_number_that_is_private_is_hidden_in_whatever_form_it_is_logged(
    written: io.StringIO, form: str, told: str, number: Decimal | int
) -> None:
    logging.getLogger("a").warning(form, number)
    assert written.getvalue() == f"WARNING a {told}\n"


def test_the_fields_that_a_logger_adds_lose_what_is_private(written: io.StringIO) -> None:
    def record(logger: logging.Logger, **extra: object) -> logging.LogRecord:
        return logger.makeRecord("a", logging.INFO, "", 0, "said", (), None, extra=extra)

    class Loggers(logging.Logger):
        """A class of loggers of somebody else's."""

    went = object()
    for logger in (logging.getLogger("a"), logging.getLogger(), Loggers("a")):
        made = record(logger, mail=MAIL, of={"key": SECRET}, broke=KeyError(MAIL), rows=7, went=went)
        assert vars(made).items() >= {"mail": "[email]", "rows": 7, "went": went}.items()
        assert not [one for one in (MAIL, SECRET) if one in f"{made.__dict__}"]
    logging.getLogger("a").warning("went", extra={"mail": MAIL})
    assert written.getvalue() == "WARNING a went\n"


def test_the_objects_that_dagster_reads_back_from_a_record_stay_what_they_are(written: io.StringIO) -> None:
    event = Told(MAIL, MAIL)
    made = logging.getLogger("dagster").makeRecord(
        "dagster", logging.INFO, "", 0, "said", (), None, extra={"dagster_event": event}
    )
    assert vars(made)["dagster_event"] is event
    assert written.getvalue() == ""


def test_doing_it_again_changes_nothing(written: io.StringIO) -> None:
    factory, making = logging.getLogRecordFactory(), logging.Logger.makeRecord
    keep_logs_private()
    assert logging.getLogRecordFactory() is factory
    assert logging.Logger.makeRecord is making
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
