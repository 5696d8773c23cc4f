"""No secret and no personal identifier in a log, whoever writes it: ours, a library's, Dagster's."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

from selo_dagster.llm.trust.veil import without_private

_MARK: Final = "keeps_private"

_OF_ANY_RECORD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_DAGSTERS: Final = frozenset({"dagster_event", "dagster_event_batch_metadata", "dagster_meta"})
"""Fields that Dagster's handlers read back as the objects that they are; ids, codes and numbers only."""


def keep_logs_private() -> None:
    """Take secrets and identifiers out of every record of this process from now on. Doing it again changes nothing.

    At the making of the record, not in a filter: a logger's filters do not see what its children write, and a handler's
    are missing from every handler that is added later.
    """
    make = logging.getLogRecordFactory()
    if not getattr(make, _MARK, False):

        def made(*arguments: Any, **named: Any) -> logging.LogRecord:
            return _extra_hidden(_private(make(*arguments, **named)))

        setattr(made, _MARK, True)
        logging.setLogRecordFactory(made)
    # A logger adds its extra fields after that. In every class of loggers: most loggers are there before we are.
    make_record = logging.Logger.makeRecord
    if not getattr(make_record, _MARK, False):

        def making(logger: logging.Logger, *arguments: Any, **named: Any) -> logging.LogRecord:
            return _extra_hidden(make_record(logger, *arguments, **named))

        setattr(making, _MARK, True)
        logging.Logger.makeRecord = making  # type: ignore[method-assign, assignment]


def _extra_hidden(record: logging.LogRecord) -> logging.LogRecord:
    for name in record.__dict__.keys() - _OF_ANY_RECORD - _DAGSTERS:
        record.__dict__[name] = _hidden(record.__dict__[name])
    return record


def _private(record: logging.LogRecord) -> logging.LogRecord:
    if record.exc_info and record.exc_info[0] is not None:
        # As text, which formatters take as it is: the exception itself would be told by each in its own way.
        record.exc_text = without_private("".join(traceback.format_exception(*record.exc_info)).rstrip())
        record.exc_info = None
    if record.stack_info:
        record.stack_info = without_private(record.stack_info)
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - a message that cannot be formatted is told of by whoever handles the record
        record.msg, record.args = _hidden(record.msg), _hidden_arguments(record.args)
        return record
    private = without_private(said)
    if private == said:
        return record
    record.msg, record.args = _hidden(record.msg), _hidden_arguments(record.args)
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - a text stands now where its form wants a number
        record.msg, record.args = private, None
        return record
    if (private := without_private(said)) != said:
        # What is private comes about only where the parts are put together.
        record.msg, record.args = private, None
    return record


def _hidden_arguments(arguments: Any) -> Any:
    if isinstance(arguments, Mapping):
        return {_hidden(name): _hidden(value) for name, value in arguments.items()}
    return tuple(map(_hidden, arguments)) if isinstance(arguments, tuple) else _hidden(arguments)


def _hidden(value: Any) -> Any:
    """Return a value as it is, or as text where what may be written of it holds something private."""
    try:
        said = value if isinstance(value, str) else str(value)
        shown = repr(value)
    except Exception:  # noqa: BLE001 - whoever logs is not to fail because of what it logs
        return f"<{type(value).__name__}>"
    private = without_private(said)
    return value if private == said and without_private(shown) == shown else private
