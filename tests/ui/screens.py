"""The few screens of Dagster's web UI that the tests use, by what an operator reads on them."""

from __future__ import annotations

from typing import Any

PARTITIONS = "/assets/daily_reflection?view=partitions"


def seen(page: Any, text: str) -> Any:
    """Wait until exactly this text is visible; returns its first place. The UI also keeps hidden copies of texts."""
    place = page.get_by_text(text, exact=True).locator("visible=true").first
    place.wait_for()
    return place


def open_partitions(page: Any, address: str, *counts: str) -> None:
    """Open daily_reflection's partitions and wait for counts such as `Failed (2)`."""
    page.goto(address + PARTITIONS)
    for count in counts:
        seen(page, count)


def shown_keys(page: Any, keys: list[str]) -> list[str]:
    """Return which of the keys the partitions list shows."""
    return [key for key in keys if page.get_by_text(key, exact=True).locator("visible=true").count()]
