"""The life of a question."""

from __future__ import annotations

from typing import Final

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
ANSWERED: Final = "answered"
EXPIRED: Final = "expired"
SKIPPED: Final = "skipped"

STATES: Final = (PENDING, DELIVERED, ANSWERED, EXPIRED, SKIPPED)
OPEN: Final = (PENDING, DELIVERED)
