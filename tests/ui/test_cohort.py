"""A cohort of twelve in which exactly two people's reflections break, launched from the Jobs page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select, text

from selo_dagster.reflections.states import BROKEN
from selo_dagster.reflections.tables import reflection_ledger, reflections
from tests.ui.conftest import PATIENCE_MS, SIZE
from tests.ui.screens import open_partitions, seen, shown_keys
from tests.ui.server import LOCATION, Server, people_lines, running_server, until

PEOPLE = 12
KEYS = [f"u{number:06}" for number in range(PEOPLE)]
BROKEN_KEYS = ["u000003", "u000007"]
SECRET = "The violet heron laughed under the frozen pier."
SECRET_NAME = "Zephyrine"
TRIGGER = (
    "CREATE TRIGGER break_two BEFORE INSERT ON reflections "
    f"WHEN NEW.user_id IN ('{BROKEN_KEYS[0]}', '{BROKEN_KEYS[1]}') "
    "BEGIN SELECT RAISE(ABORT, 'planted'); END"
)


@dataclass(frozen=True)
class Ended:
    """The cohort's run and the date that it was about."""

    server: Server
    run_id: str
    on: date


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Ended]:
    """The run, launched by hand without a partition, ended red."""
    on = datetime.now(timezone.utc).date() - timedelta(days=1)
    with running_server(tmp_path_factory.mktemp("cohort")) as server:
        server.stop_automation()
        with server.store.write() as connection:
            connection.execute(text(TRIGGER))
        server.ingest(people_lines(PEOPLE, on, SECRET, SECRET_NAME))
        run_id = launch_by_hand(server, browser)
        assert until(f"run {run_id} ends", lambda: server.ended(run_id)) == "FAILURE"
        yield Ended(server, run_id, on)


def launch_by_hand(server: Server, browser: Any) -> str:
    """Launch daily_reflections from its launchpad without a partition; returns the run's id."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{server.address}/jobs")
    seen(page, "daily_reflections").click()
    page.wait_for_url("**/jobs/daily_reflections**")
    page.goto(f"{server.address}/locations/{LOCATION}/jobs/daily_reflections/playground")
    seen(page, "No missing config")
    page.get_by_role("button", name="Launch Run").click()
    seen(page, "Are you sure?")
    # After this question the UI stays where it is; without it, it would show the run in a new tab.
    with page.expect_response(lambda one: "LaunchPipelineExecution" in (one.request.post_data or "")) as answered:
        page.get_by_role("button", name="Confirm").click()
    launched = answered.value.json()["data"]["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = str(launched["run"]["id"])
    context.close()
    return run_id


def ledger_states(server: Server) -> dict[str, str]:
    """Return each person's state."""
    with server.store.read() as connection:
        rows = connection.execute(select(reflection_ledger.c.user_id, reflection_ledger.c.state))
        return {row.user_id: row.state for row in rows}


def test_the_run_page_shows_no_word_of_anybody(cohort: Ended, page: Any) -> None:
    with cohort.server.store.read() as connection:
        made = connection.execute(select(reflections.c.content)).scalars().all()
    assert any(SECRET.rstrip(".") in content for content in made), "there was nothing that could have leaked"

    # The log draws only what fits on the screen.
    page.set_viewport_size({"width": 1400, "height": 6000})
    page.goto(f"{cohort.server.address}/runs/{cohort.run_id}")
    seen(page, "RUN_FAILURE")
    for key in KEYS:
        page.get_by_text(key).locator("visible=true").first.wait_for()
    assert_tells_nothing(page.content())
    seen(page, "View stdout / stderr").click()
    seen(page, "stderr").click()
    page.get_by_text(f"daily_reflections - {cohort.run_id}").locator("visible=true").first.wait_for()
    assert_tells_nothing(page.content())
    # What the page could fetch and does not draw.
    kept = [path for path in (cohort.server.home / "dagster").rglob("*") if path.is_file()]
    assert any(b"2 of 12 people were not reflected on" in path.read_bytes() for path in kept)
    for path in kept:
        assert SECRET.encode() not in path.read_bytes(), path
        assert SECRET_NAME.encode() not in path.read_bytes(), path


def assert_tells_nothing(shown: str) -> None:
    """Neither the sentence nor a part of it, nor the name."""
    for private in (SECRET, "violet heron", "frozen pier", SECRET_NAME):
        assert private not in shown


def test_two_broken_people_are_two_red_cells_until_they_are_repaired(
    cohort: Ended, page: Any, picture: Callable[[Any, str], None]
) -> None:
    server = cohort.server
    states = ledger_states(server)
    assert sorted(key for key, state in states.items() if state in BROKEN) == BROKEN_KEYS
    assert server.reflected(cohort.on) == [key for key in KEYS if key not in BROKEN_KEYS]

    open_partitions(page, server.address, "Failed (2)", f"Materialized ({PEOPLE - 2})", "Missing (0)")
    picture(page, "two-red")
    assert shown_keys(page, KEYS) == KEYS
    seen(page, f"Materialized ({PEOPLE - 2})").click()  # takes the green ones out of the list
    seen(page, "2 Partitions Selected")
    assert shown_keys(page, KEYS) == BROKEN_KEYS

    with server.store.write() as connection:
        connection.execute(text("DROP TRIGGER break_two"))
    users = [argument for key in BROKEN_KEYS for argument in ("--user", key)]
    repaired = server.selo("reflect", "daily", *users)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert server.reflected(cohort.on) == KEYS
    open_partitions(page, server.address, "Failed (0)", f"Materialized ({PEOPLE})", "Missing (0)")
