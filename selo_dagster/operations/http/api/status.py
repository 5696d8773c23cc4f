"""What `selo status --json` says, over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel

from selo_dagster.operations.http.api.calls import Calls


class Status(RootModel[dict[str, Any]]):
    """Health in one look: counts, lags, the last run of each job, and what needs a person."""


def add(calls: Calls) -> None:
    """Add the call."""

    @calls.reads("/status", Status)
    def read_status() -> Status:
        """Say how things are, as `selo status --json` does; kept for a second or more, by what it costs to find out."""
        return Status(calls.served.status())
