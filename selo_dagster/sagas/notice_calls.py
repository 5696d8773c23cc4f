"""Calls to the companion's own server: explicit time limits, no redirect, nothing of them in a log or an exception."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from selo_dagster.errors import SeloError
from selo_dagster.settings import process_settings

CONNECT_S: Final = 3.0
ANSWER_S: Final = 10.0
"""Seconds for a connection, and for each wait on it afterwards."""

_TALKATIVE: Final = ("httpx2", "httpcore2")


class NoNoticeUrlError(SeloError):
    """Nobody said where the companion's server is."""

    def __init__(self) -> None:
        super().__init__(
            "no_notice_url",
            "nobody says where the companion's server is: set SELO_NOTICE_URL, such as http://HOST:PORT",
        )


class NotReachedError(Exception):
    """The server was not even reached: nothing was sent."""


class NoAnswerError(Exception):
    """Something was sent, and what came of it was not heard."""


@dataclass(frozen=True)
class Server:
    """The companion's server. token: of the bearer, never shown."""

    url: str
    token: str | None = field(repr=False)

    def post(self, token: str, body: Mapping[str, str]) -> int:
        """Leave a notice under a token; returns the status. Raises NotReachedError, NoAnswerError."""
        return self._status("POST", "/notices", {"Idempotency-Key": token}, body)

    def get(self, token: str) -> int:
        """Ask whether there is a notice of this token; returns the status. Raises as `post`."""
        return self._status("GET", f"/notices/{quote(token, safe='')}")

    def delete(self, token: str) -> int:
        """Take the notice of this token back; returns the status. Raises as `post`."""
        return self._status("DELETE", f"/notices/{quote(token, safe='')}")

    def _status(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Mapping[str, str] | None = None
    ) -> int:
        import httpx2

        _quieten()
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        limits = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
        try:
            # A redirect would take ids and the bearer's token to a server that nobody chose.
            with (
                httpx2.Client(timeout=limits, follow_redirects=False, verify=_certificates()) as client,
                client.stream(method, f"{self.url}{path}", headers=sent, json=body) as answer,
            ):
                # The status says everything; a body, however long, is not read.
                return int(answer.status_code)
        # Without their cause: these errors hold the address, and with it the token.
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.InvalidURL, UnicodeError):
            raise NotReachedError from None
        except (httpx2.HTTPError, OSError) as broken:
            raise NoAnswerError(type(broken).__name__) from None


def companion_server() -> Server:
    """Return the server that the settings name. Raises NoNoticeUrlError."""
    settings = process_settings()
    if settings.notice_url is None:
        raise NoNoticeUrlError
    token = settings.notice_token
    return Server(settings.notice_url.rstrip("/"), None if token is None else token.get_secret_value())


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Return whom this machine trusts. Reading that takes longer than a call, so it is read once."""
    import httpx2

    return httpx2.create_ssl_context()


def _quieten() -> None:
    # Below warning they write addresses and headers.
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.WARNING:
            logger.setLevel(logging.WARNING)
