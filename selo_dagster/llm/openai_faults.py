"""Tells what an error of the OpenAI client means. Reads what a server says, and keeps none of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from selo_dagster.llm.errors import NEVER_BILLED, Fault
from selo_dagster.llm.ladder import Refused
from selo_dagster.llm.retry_after import retry_after_s

_FAULTS: Final[dict[int, Fault]] = {
    401: "auth",
    403: "auth",
    408: "timeout",
    413: "context_too_long",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
MESSAGE_LIMIT: Final = 2_000
"""Characters of an error's message that are looked at."""

_BEFORE_SENDING: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
)
"""Classes of the HTTP library's errors of which the request was never sent."""

_REFUSING: Final = frozenset({400, 404, 422, 501})
_TOO_LONG = re.compile(r"context.*(size|length|window|exceed|long)|(size|length|exceed|long).*context", re.DOTALL)


@dataclass(frozen=True)
class Meaning:
    """refused: what may be left out of the request to be answered after all; None where that cannot help.

    billed: whether somebody may have to pay for the request.
    """

    fault: Fault
    retry_after_s: float | None = None
    refused: Refused | None = None
    billed: bool = False


def meaning_of(error: Exception) -> Meaning | None:
    """Return what an error means, whether the OpenAI client raised it or the HTTP library below it.

    None for anything else: a fault of the program must not look like one of the network.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return _meaning_of_status(error.status_code, error.body, retry_after_s(error.response.headers))
    # The HTTP library's name differs between versions of the client, the names of its classes do not.
    if not isinstance(error, (openai.OpenAIError, OSError)) and not type(error).__module__.startswith("http"):
        return None
    late = isinstance(error, openai.APITimeoutError) or type(error).__name__.endswith("Timeout")
    return Meaning("timeout" if late else "connection", billed=not _never_sent(error))


def _never_sent(error: Exception) -> bool:
    """Tell whether there was not even a connection: nobody can have read the request."""
    import openai

    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
    return type(cause).__name__ in _BEFORE_SENDING


def _meaning_of_status(status: int, body: object, wait_s: float | None) -> Meaning:
    said = _said(body)
    if status == 400 and _TOO_LONG.search(said):
        return Meaning("context_too_long")
    fault = _FAULTS.get(status, "server_error" if status >= 500 or status == 409 else "bad_request")
    if status not in _REFUSING:
        return Meaning(fault, wait_s, billed=fault not in NEVER_BILLED)
    return Meaning(fault, wait_s, _refused(status, said))


def _refused(status: int, said: str) -> Refused:
    if status == 400 and "max_completion_tokens" in said:
        return "max_tokens"
    return "temperature" if status == 400 and "temperature" in said else "response_format"


def _said(body: object) -> str:
    """Return the server's own words; other parts of an error may repeat the prompt."""
    if isinstance(body, str):
        return body[:MESSAGE_LIMIT].lower()
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    parts = (fields.get(name) for name in ("message", "code", "type", "param", "detail", "error"))
    return " ".join(part for part in parts if isinstance(part, str))[:MESSAGE_LIMIT].lower()
