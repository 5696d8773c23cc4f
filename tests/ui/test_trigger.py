"""A strong memory that another program inserts by plain SQL, and what the web UI shows of its reflection."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.reflections.tables import reflection_ledger
from tests.ui.screens import seen
from tests.ui.server import Server, people_lines, running_server, until

ONE = "u000001"
SECRET = "The lighthouse keeper sold the brass telescope."
INSERT = """
import sqlite3, sys
from datetime import datetime, timezone
connection = sqlite3.connect(sys.argv[1], timeout=30)
at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
connection.execute(
    "INSERT INTO memories (id, user_id, kind, content, importance, at) VALUES ('strong', ?, 'event', ?, 0.95, ?)",
    (sys.argv[2], sys.argv[3], at),
)
connection.commit()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three people, everything switched on as it is by default."""
    on = datetime.now(timezone.utc).date() - timedelta(days=1)
    with running_server(tmp_path_factory.mktemp("trigger")) as running:
        running.ingest(people_lines(3, on, "I walked by the sea."))
        yield running


def done(server: Server) -> Any:
    """Return the ledger's row of the triggered reflection once it is done."""
    with server.store.read() as connection:
        return connection.execute(
            select(reflection_ledger).where(
                reflection_ledger.c.kind == "triggered", reflection_ledger.c.state == "done"
            )
        ).one_or_none()


def test_a_memory_from_another_process_is_a_run_with_its_trigger_and_causes(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    database = str(server.home / "selo.db")
    subprocess.run([sys.executable, "-c", INSERT, database, ONE, SECRET], check=True)
    row = until("the strong memory is reflected on", lambda: done(server))
    assert row.user_id == ONE
    (number,) = (cause[0] for cause in row.cause["causes"])

    assert until(f"run {row.run_id} ends", lambda: server.ended(row.run_id)) == "SUCCESS"
    page.goto(f"{server.address}/runs?q[0]=tag%3Aselo%2Ftrigger%3Dimportant_memory%201")
    seen(page, "triggered_reflections")
    page.goto(f"{server.address}/runs/{row.run_id}")
    seen(page, "RUN_SUCCESS")
    seen(page, "View tags and config").click()
    page.get_by_text("important_memory 1").locator("visible=true").first.wait_for()
    picture(page, "trigger-run")
    assert "lighthouse" not in page.content()

    page.goto(f"{server.address}/assets/triggered_reflection?view=partitions&partition={ONE}")
    for shown in ("trigger", "important_memory", "cause_events", str(number)):
        seen(page, shown)
    picture(page, "trigger-person")
    assert "lighthouse" not in page.content()


def test_the_sensors_page_shows_its_ticks_and_its_cursor(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    page.goto(f"{server.address}/locations/selo_dagster/sensors/memory_events")
    for shown in ("Latest tick", "Cursor", "~3 sec", "triggered_reflections"):
        seen(page, shown)
    # A tick that asked for nothing says so; a word such as "skipped" is nowhere on this page.
    page.get_by_text(re.compile(r"^\d+ runs? requested$")).locator("visible=true").nth(1).wait_for()
    page.get_by_text(re.compile(r'^\{"v":1,"seq":\d+\}$')).locator("visible=true").nth(1).wait_for()
    picture(page, "trigger-sensor")
