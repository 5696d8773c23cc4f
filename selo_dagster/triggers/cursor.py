"""The sensor's cursor: where in the stream it is, as versioned JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

VERSION = 1


class Cursor(BaseModel):
    """What Dagster keeps between ticks. seq: number of the last event that was looked at.

    The database knows the place itself, in the transaction of what was made of the events, and goes by that. So
    setting the cursor back, or losing it, neither loses nor repeats anything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    v: int = Field(VERSION, ge=VERSION, le=VERSION)
    seq: int = Field(ge=0)

    def text(self) -> str:
        """Return it as Dagster stores it."""
        return self.model_dump_json()


def read_cursor(text: str | None) -> Cursor | None:
    """Return a stored cursor; None where there is none, or where it cannot be read: the database knows the place."""
    if not text:
        return None
    try:
        return Cursor.model_validate_json(text)
    except ValidationError:
        return None
