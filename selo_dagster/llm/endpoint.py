"""Which server is asked: a key that holds no secret, and what people call it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from selo_dagster.settings import Settings

HOST_LENGTH = 255


@dataclass(frozen=True)
class Endpoint:
    """A server. Both lanes of models behind one address are one endpoint: they are gone together.

    key: 64 hexadecimal digits. host: with its port, where one is named.
    """

    key: str
    host: str


def endpoint_of(settings: Settings) -> Endpoint | None:
    """Return the server that the settings name, None for the extractive model."""
    if settings.llm_url is None or settings.llm_model is None:
        return None
    return endpoint_at(settings.llm_url)


def endpoint_at(url: str) -> Endpoint:
    """Return the endpoint of an address. User, password, query and fragment are no part of it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    named = f"{parts.scheme.lower()}://{host}{parts.path.rstrip('/')}"
    return Endpoint(hashlib.sha256(named.encode()).hexdigest(), host[:HOST_LENGTH])
