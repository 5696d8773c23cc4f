"""The companion's mind as the web UI shows it: lineage from messages to the persona, traits that plot, an undo."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.ui.screens import seen
from tests.ui.server import Server, people_lines, running_server

ONE = "u000003"
SAID = "I am so sad about my grandmother, and I miss her every day."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Six people and two nights in a row, worked through while the web UI runs; then one evolution taken back."""
    on = datetime.now(timezone.utc).date() - timedelta(days=2)
    with running_server(tmp_path_factory.mktemp("mind")) as running:
        running.stop_automation()
        for later in (0, 1):
            day = on + timedelta(days=later)
            running.ingest(_renamed(people_lines(6, day, SAID), later))
            done = running.selo("night", "--now", f"{day + timedelta(days=1)}T12:00:00Z", "--json")
            assert done.returncode == 0, done.stderr
        listed = running.selo("persona", "evolutions", "--user", ONE, "--json")
        newest = json.loads(listed.stdout)["evolutions"][0]["id"]
        running.selo("persona", "revert", newest, "--because", "shown in the documentation")
        assert running.selo("saga", "run", "--json").returncode == 0
        yield running


def _renamed(lines: Iterator[str], later: int) -> Iterator[str]:
    """Yield the lines with ids of their own for each day."""
    for line in lines:
        row = json.loads(line)
        if row["type"] == "message":
            row |= {"id": f"{row['id']}-d{later}", "conversation": f"{row['conversation']}-d{later}"}
        yield json.dumps(row) + "\n"


def test_the_lineage_goes_from_messages_to_the_persona(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    page.goto(f"{server.address}/assets/persona?view=lineage&lineageScope=upstream&lineageDepth=2")
    for asset in ("messages", "memories", "daily_reflection", "weekly_reflection", "persona"):
        seen(page, asset)
    picture(page, "mind-lineage")


def test_one_persons_persona_shows_its_traits_in_numbers_only(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    page.goto(f"{server.address}/assets/persona?view=partitions&partition={ONE}")
    seen(page, "Materialized (6)")
    seen(page, "trait_empathy")
    seen(page, "distance_from_home")
    body = page.locator("body").inner_text()
    assert "reversed" in body
    assert "grandmother" not in body
    picture(page, "mind-person")


def test_an_undo_is_an_event_of_its_own(server: Server, page: Any) -> None:
    page.goto(f"{server.address}/assets/persona?view=events&partition={ONE}")
    seen(page, "reversed")
    assert "grandmother" not in page.locator("body").inner_text()


def test_the_undo_of_many_is_an_asset_downstream(server: Server, page: Any) -> None:
    page.goto(f"{server.address}/assets/persona_undo?view=lineage&lineageScope=neighbors")
    seen(page, "persona")
    seen(page, "persona_undo")
