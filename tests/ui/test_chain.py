"""The nightly chain for one person, as the web UI shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.reflections.tables import reflection_ledger
from tests.ui.screens import seen
from tests.ui.server import Server, people_lines, running_server

ONE = "u000003"
CHAIN = ("daily_reflection", "mantra", "relationship_questions")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Six people, and a night that was worked through by the command while the web UI runs."""
    on = datetime.now(timezone.utc).date() - timedelta(days=1)
    with running_server(tmp_path_factory.mktemp("chain")) as running:
        running.stop_automation()
        running.ingest(people_lines(6, on, "My sister has an interview next Tuesday, and I am so glad."))
        noon = f"{on + timedelta(days=1)}T12:00:00Z"
        done = running.selo("night", "--now", noon, "--json")
        assert done.returncode == 0, done.stderr
        yield running


def test_every_asset_of_the_chain_shows_one_person_green_with_numbers_only(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    for asset in CHAIN:
        page.goto(f"{server.address}/assets/{asset}?view=partitions&partition={ONE}")
        seen(page, "Materialized (6)")
        seen(page, "outcome")
        seen(page, "done")
        assert "sister" not in page.locator("body").inner_text()
    picture(page, "chain-person")
    with server.store.read() as connection:
        rows = connection.execute(
            select(reflection_ledger.c.kind, reflection_ledger.c.state).where(reflection_ledger.c.user_id == ONE)
        ).all()
    states = {row.kind: row.state for row in rows}
    assert {states["daily"], states["mantra"], states["relationship_questions"]} == {"done"}


def test_the_lineage_goes_from_messages_to_the_mantra(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    page.goto(f"{server.address}/assets/daily_reflection?view=lineage&lineageScope=neighbors")
    for asset in ("messages", "memories", "daily_reflection", "mantra"):
        seen(page, asset)
    picture(page, "chain")


def test_the_automation_page_lists_every_schedule_and_sensor(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    page.goto(f"{server.address}/automation")
    for name in ("mantra_refresh_schedule", "weekly_reflections_schedule", "due_requests", "resource_guard"):
        seen(page, name)
    picture(page, "automation")
