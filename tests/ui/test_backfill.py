"""A backfill of chosen people for a date long past, launched from the web UI as docs/backfill.md says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from selo_dagster.reflections.run import ReflectionConfig
from tests.ui.screens import open_partitions, seen
from tests.ui.server import Server, people_lines, running_server

PAGE = Path(__file__).parents[2] / "docs" / "backfill.md"
PEOPLE = 12
CHOSEN = ["u000002", "u000005", "u000009"]


def documented_config() -> tuple[str, date]:
    """Return the run config that docs/backfill.md tells the operator to type, and its date."""
    found = re.search(r"^```yaml\n(.*?)\n```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{PAGE.name} shows no run config"
    day = re.search(r"\d{4}-\d\d-\d\d", found[1])
    assert day, found[1]
    return found[1], date.fromisoformat(day[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Twelve people who all spoke on the documented date, and nobody who is due by themselves."""
    with running_server(tmp_path_factory.mktemp("backfill")) as running:
        running.stop_automation()
        running.ingest(people_lines(PEOPLE, documented_config()[1], "We laughed the whole evening."))
        yield running


def test_a_backfill_of_three_people_for_a_past_date(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    config, on = documented_config()
    open_partitions(page, server.address, f"Missing ({PEOPLE})")

    seen(page, "Materialize…").click()
    dialog = page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
    dialog.get_by_text("Select a partition or create one").click()
    for key in CHOSEN:
        page.get_by_role("menuitem", name=key).locator("visible=true").first.click()
    seen(page, "3 partitions").click()  # closes the menu
    dialog.get_by_text("Config", exact=True).click()
    dialog.get_by_role("button", name="Add config").click()

    editor = page.get_by_role("dialog").filter(has_text="Config Editor")
    editor.locator(".CodeMirror").click()
    page.keyboard.insert_text(config)
    editor.get_by_text("config", exact=True).first.click()
    editor.get_by_text(str(ReflectionConfig.model_fields["force"].description)).wait_for()
    explained = " ".join(editor.inner_text().split())
    for name, field in ReflectionConfig.model_fields.items():
        assert " ".join(str(field.description).split()) in explained, name
    editor.get_by_text("No errors").wait_for()
    page.mouse.move(700, 450)  # takes the tooltip away
    picture(page, "backfill-dialog")
    editor.get_by_role("button", name="Save config").click()
    seen(page, "Config saved")
    dialog.get_by_role("button", name="Launch backfill").click()

    seen(page, "View").click()
    page.wait_for_url("**/runs/b/*")
    seen(page, "100% completed")
    # The heading of a column says it too; the second one is the backfill's own status.
    page.get_by_text("Succeeded", exact=True).locator("visible=true").nth(1).wait_for()
    page.mouse.move(700, 450)  # the notice stays for as long as the mouse is on it
    page.get_by_text("Created backfill").wait_for(state="hidden")
    picture(page, "backfill")
    page.get_by_role("tab", name="Runs").or_(page.get_by_text("Runs", exact=True)).locator("visible=true").last.click()
    seen(page, "Success")
    for bad in ("Failure", "Queued", "Started", "Canceled"):
        assert not page.get_by_text(bad, exact=True).locator("visible=true").count(), bad

    assert server.reflected(on) == CHOSEN
    open_partitions(page, server.address, "Materialized (3)", f"Missing ({PEOPLE - 3})", "Failed (0)")
