"""No secret and no personal identifier in a log, whoever writes it: ours, a library's, Dagster's."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

from selo_dagster.llm.trust.veil import without_private

_MARK: Final = "keeps_private"


def keep_logs_private() -> None:
    """Take secrets and identifiers out of every record of this process from now on. Doing it again changes nothing.

    At the making of the record, not in a filter: a logger's filters do not see what its children write, and a handler's
    are missing from every handler that is added later.
    """
    make = logging.getLogRecordFactory()
    if getattr(make, _MARK, False):
        return

    def made(*arguments: Any, **named: Any) -> logging.LogRecord:
        return _private(make(*arguments, **named))

    setattr(made, _MARK, True)
    logging.setLogRecordFactory(made)


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
        return record
    if without_private(said) == said:
        return record
    record.msg, record.args = _hidden(record.msg), _hidden_arguments(record.args)
    said = record.getMessage()
    if (private := without_private(said)) != said:
        # What is private comes about only where the parts are put together.
        record.msg, record.args = private, None
    return record


def _hidden_arguments(arguments: Any) -> Any:
    if isinstance(arguments, Mapping):
        return {name: _hidden(value) for name, value in arguments.items()}
    return tuple(map(_hidden, arguments)) if isinstance(arguments, tuple) else arguments


def _hidden(value: Any) -> Any:
    if isinstance(value, (int, float)) or value is None:
        return value
    said = value if isinstance(value, str) else str(value)
    private = without_private(said)
    return value if private == said else private
