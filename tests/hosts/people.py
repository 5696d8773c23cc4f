"""People who are due tonight by the machine's own clock, and notices that their companion is to be told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import Final

from selo_dagster.clock import UTC, SystemClock
from selo_dagster.memory.ingest import ingest
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.start import random_id, start
from selo_dagster.store.engine import Store
from tests.crash.saga_processes import NOTICE
from tests.sagas.kit_cases import add_reflection

OLD: Final = "-old"
"""How the id of a reflection ends that is older than the night."""


def names(people: int, family: str) -> list[str]:
    """Return the people's ids."""
    return [f"{family}{number:04}" for number in range(people)]


def _yesterday() -> datetime:
    now = SystemClock().now()
    return datetime(now.year, now.month, now.day, 12, tzinfo=UTC) - timedelta(days=1)


def _lines(people: Sequence[str]) -> Iterator[str]:
    at = _yesterday().isoformat()
    for name in people:
        said = {"user": name, "role": "user", "content": f"I am {name}, my sister came and we laughed.", "at": at}
        yield json.dumps({"type": "user", "id": name, "name": name, "timezone": "UTC"}) + "\n"
        yield json.dumps({"type": "message", "id": f"{name}-1", "conversation": f"{name}-c", **said}) + "\n"


def take_in(store: Store, people: int, family: str = "p") -> list[str]:
    """Ingest people, each with yesterday behind them; returns their ids."""
    everybody = names(people, family)
    taken = ingest(store, BytesIO("".join(_lines(everybody)).encode()))
    assert not taken.rejected, taken.rejected[:3]
    return everybody


def ask_for_notices(store: Store, people: Sequence[str]) -> list[str]:
    """Ask that the companion is told of an older reflection of each; returns the sagas' ids."""
    now = SystemClock().now()
    saga = registry().type(NOTICE)
    ids = []
    for name in people:
        add_reflection(store, name, f"{name}{OLD}")
    with store.write() as connection:
        for name in people:
            given = {"reflection_id": f"{name}{OLD}"}
            ids.append(start(connection, saga, user_id=name, key="k", given=given, now=now, new_id=random_id).id)
    return ids
