"""A Dagster run that is killed: what it had settled, shown or not, is seen by the next."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select

from bench.fleet import NOW, fleet_lines
from selo_dagster.memory.ingest import ingest
from selo_dagster.people.partitions import sync_partitions
from selo_dagster.reflections.tables import reflections
from selo_dagster.store.engine import Store
from tests.crash.ledger import check_attempts, count, ledger, lost_of, other_connections, until_leases_end
from tests.crash.processes import DEADLINE_S, FULL, ROOT, until

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(300)]

log = logging.getLogger(__name__)

PEOPLE = 300
ASSET = dg.AssetKey("daily_reflection")
CONFIG = {"ops": {"reflect_daily": {"config": {"now": NOW.isoformat()}}}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Dagster home on disk, as `selo` makes it."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    shutil.copy(ROOT / "dagster.yaml", folder)
    (folder / "run.json").write_text(json.dumps(CONFIG))
    return folder


@contextmanager
def running(home: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Execute the daily job for everybody who is due, in a process group that is killed at the end."""
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "selo_dagster.definitions"]
    command += ["-j", "daily_reflections", "-c", str(home / "run.json")]
    environment = {**os.environ, "DAGSTER_HOME": str(home), "DATABASE_URL": url, "SELO_LEASE_S": "1"}
    with (home / "output").open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=ROOT, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)


def run_to_its_end(home: Path, url: str) -> None:
    """Execute the daily job and wait for its success."""
    with running(home, url) as process:
        assert process.wait(DEADLINE_S) == 0, (home / "output").read_text()[-3000:]


def settled_by(store: Store, *conditions: Any) -> int:
    """Return how many people are done."""
    return count(store, ledger.c.state == "done", *conditions)


def shown(instance: dg.DagsterInstance) -> Counter[str | None]:
    """Return how many materialisation events each partition has."""
    records = instance.fetch_materializations(ASSET, limit=10 * PEOPLE).records
    return Counter(record.partition_key for record in records)


@pytest.mark.parametrize("seed", range(5 if FULL else 1))
def test_what_a_killed_run_settled_is_shown_by_the_next_run_and_nobody_is_reflected_on_twice(
    store: Store, postgres_url: str, home: Path, seed: int
) -> None:
    ingest(store, BytesIO("".join(fleet_lines(PEOPLE)).encode()))
    moment = Random(seed).randrange(1, PEOPLE * 2 // 3)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        sync_partitions(store, instance)
        keys = list(instance.get_dynamic_partitions("users"))
        with running(home, postgres_url) as victim:
            until(lambda: victim.poll() is not None or settled_by(store) >= moment, "nobody was settled")
            with suppress(ProcessLookupError):
                os.killpg(victim.pid, signal.SIGKILL)
            assert victim.wait(DEADLINE_S) == -signal.SIGKILL, (home / "output").read_text()[-3000:]
        until(lambda: other_connections(store.engine) == 0, "the killed run is still connected")
        settled, unmarked = settled_by(store), settled_by(store, ledger.c.reported_by.is_(None))
        log.info(f"killed with {settled} settled, {unmarked} not marked as shown, {len(shown(instance))} shown")
        assert settled < PEOPLE
        until_leases_end(store)
        run_to_its_end(home, postgres_url)

        with store.read() as connection:
            made = connection.execute(select(reflections.c.user_id, reflections.c.version)).all()
        assert sorted((row.user_id, row.version) for row in made) == [(key, 1) for key in sorted(keys)]
        check_attempts(store)
        assert max(lost_of(store).values()) <= 1
        events = shown(instance)
        assert sorted(set(keys) - set(events)) == [], "settled by the killed run and shown by nobody"
