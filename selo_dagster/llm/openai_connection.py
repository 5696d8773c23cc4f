"""The connection to one server: nothing goes there that was meant for another, nothing of it into the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_TALKATIVE: Final = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")


def prepare() -> None:
    """Load the client library, which takes a second: better before the first call than inside its time limit.

    Its loggers and those of the HTTP libraries are raised to warning: below it they write addresses and, in older
    versions, prompts.
    """
    import openai  # noqa: F401

    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.WARNING:
            logger.setLevel(logging.WARNING)


def opened(base_url: str, api_key: str | None) -> AsyncOpenAI:
    """Return a client for one event loop, which retries nothing and follows no redirect."""
    import openai

    client = openai.AsyncOpenAI(
        base_url=base_url,
        # Left to itself, the client would send the key that OPENAI_API_KEY holds for another server.
        api_key=api_key or "none",
        max_retries=0,
        # A redirect would send the prompt to a server that nobody chose.
        http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
    )
    # Loads what the first call needs.
    _ = client.chat.completions
    return client


def headers_for(api_key: str | None) -> dict[str, Any]:
    """Return the headers that each request leaves out: those of OPENAI_* variables, and the key where there is none."""
    from openai import Omit

    headers = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
    return headers if api_key else headers | {"Authorization": Omit()}
