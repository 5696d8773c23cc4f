"""Who may call: tokens, scopes and rates, decided before anything of a request is read."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from selo_dagster.api_tokens import READ, ApiToken
from selo_dagster.operations.http.problems import ProblemError
from selo_dagster.settings import Settings

FAILURES: Final = "20/minute"
"""Requests of one address without a right token that are answered with more than "too many"."""

NOBODY: Final = "nobody"
"""Who reads where no tokens are set."""

_SCHEME: Final = "bearer"


@dataclass(frozen=True)
class Caller:
    """Who calls. name: the token's."""

    name: str


class Guard:
    """Lets in whoever has a right token with the scope that a call needs.

    Without any token in the settings everybody may read, and nobody may write.
    """

    def __init__(self, settings: Settings) -> None:
        self._tokens = tuple((_digest(one.secret), one) for one in settings.tokens)
        self._rate = parse(settings.api_rate)
        self._failures = parse(FAILURES)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admit(self, request: Request, scope: str) -> Caller:
        """Return who calls. Raises ProblemError 401, 403 or 429."""
        if not self._tokens:
            if scope == READ:
                return Caller(NOBODY)
            raise ProblemError(403, "no_tokens", "nothing can be written over HTTP: set SELO_API_TOKENS to allow it")
        token = self._token(request.headers.get("authorization", ""))
        if token is None:
            address = request.client.host if request.client is not None else ""
            self._count(self._failures, f"failures/{address}", "too many requests without a right token")
            raise ProblemError(
                401, "unauthorized", "a right bearer token is needed", {"WWW-Authenticate": 'Bearer realm="selo"'}
            )
        if scope not in token.scopes:
            raise ProblemError(
                403,
                "insufficient_scope",
                f"this call needs the scope {scope}",
                {"WWW-Authenticate": f'Bearer realm="selo", error="insufficient_scope", scope="{scope}"'},
            )
        if scope != READ:
            self._count(self._rate, f"writes/{token.name}", "this token writes too often")
        return Caller(token.name)

    def _token(self, header: str) -> ApiToken | None:
        scheme, _, secret = header.partition(" ")
        given = _digest(secret.strip())
        found: ApiToken | None = None
        # All of them, whatever is found: how long it takes tells nothing.
        for digest, token in self._tokens:
            if hmac.compare_digest(digest, given):
                found = token
        return found if scheme.lower() == _SCHEME else None

    def _count(self, rate: RateLimitItem, whose: str, what: str) -> None:
        if self._limiter.hit(rate, whose):
            return
        # The library counts by the machine's clock, and so do callers.
        seconds = self._limiter.get_window_stats(rate, whose).reset_time - time.time()
        raise ProblemError(429, "too_many_requests", what, {"Retry-After": str(max(1, math.ceil(seconds)))})


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
