"""One of many is forgotten while others write and are reflected on."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from selo_dagster.memory.client import write
from selo_dagster.memory.stream import NUMBERING, set_position
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from tests.crash.processes import until
from tests.support.command import Selo
from tests.support.everything import ABOUT_NOBODY, everything, fill
from tests.support.fakes import NOW, add_person, run_cohort
from tests.support.postgres import find_binaries

FULL = os.environ.get("SELO_TEST_SCALE") == "full"
PEOPLE = 1_000 if FULL else 40
WRITERS = 4
WHO = "zqx-4711-ana"
SECRET = "xyzzyplanted"
OURS = [table for table in metadata.sorted_tables if table.name not in ABOUT_NOBODY]


@pytest.mark.scale
@pytest.mark.timeout(1_800)
def test_of_many_one_is_forgotten_under_load_and_nothing_of_the_others_is_changed(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    registry.cache_clear()
    with store.write() as connection:
        for number in range(PEOPLE - 1):
            fill(connection, f"p{number:04}", "words")
        fill(connection, WHO, SECRET)
        # Those rows' events have numbers already: others come after them.
        set_position(connection, NUMBERING, 1 << 32)
    names = [f"writer-{number}" for number in range(WRITERS)]
    for name in names:
        add_person(store, name)
    # Whatever is due for those who will not write is done before it is looked at them.
    enrol(store, DAILY, NOW, 3)
    run_cohort(store)
    before = others(store, names)
    load = Load(store_url, names)
    load.until_busy()
    began = time.monotonic()
    status, document = Selo(capsys).json("erase", WHO, "--wait", "300")
    took = time.monotonic() - began
    load.stop()
    assert (status, document["verified"]) == (0, True), document["detail"]
    assert load.broken == []
    assert set(document["deleted"]) >= {table.name for table in OURS} - {"saga_locks"}
    after = others(store, names)
    assert {table: len(rows - after[table]) for table, rows in before.items() if rows - after[table]} == {}
    came = {table for table, rows in after.items() if rows - before[table]}
    assert came <= {"reflection_attempts", "saga_steps", "saga_attempts"}, "whose rows name nobody: those of the load"
    assert {table for table, rows in after.items() if not rows} == ABOUT_NOBODY & set(after)
    assert left(store, store_url, SECRET) == 0
    assert left(store, store_url, WHO) == 0
    with capsys.disabled():
        print(f"\n{store.dialect}: one of {PEOPLE} in {took:.1f} s beside {load.turns} turns of {WRITERS} writers")  # noqa: T201


def others(store: Store, writers: list[str]) -> dict[str, Counter[str]]:
    """Return the rows of everybody who neither writes nor is forgotten."""
    apart = (WHO, "erased-", *writers)
    found = everything(store, OURS)
    return {
        table: Counter(row for row in rows if not any(name in row for name in apart)) for table, rows in found.items()
    }


def left(store: Store, address: str, word: str) -> int:
    """Return how often a word stands in SQLite's files, or in a dump of PostgreSQL."""
    if store.dialect == "sqlite":
        path = Path(str(store.url.database))
        return sum(one.read_bytes().count(word.encode()) for one in path.parent.glob(f"{path.name}*"))
    where = ("-h", str(store.url.host), "-p", str(store.url.port), "-U", str(store.url.username))
    ran = subprocess.run(
        [find_binaries() / "pg_dump", *where, address.rpartition("/")[2]], capture_output=True, check=True
    )
    return ran.stdout.count(word.encode())


class Load:
    """People who write, and runs that reflect on them, until it is stopped."""

    def __init__(self, address: str, names: list[str]) -> None:
        self.turns = 0
        self.broken: list[BaseException] = []
        self._stop = threading.Event()
        self._address = address
        works = [*(self._writing(name) for name in names), self._reflecting]
        self._threads = [threading.Thread(target=self._loop, args=(work,), daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def until_busy(self) -> None:
        """Wait until everybody has written."""
        until(lambda: bool(self.broken) or self.turns > 3 * WRITERS, "everybody writes")

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _loop(self, work: Callable[[Store, int], None]) -> None:
        store, turn = Store(self._address), 0
        try:
            while not self._stop.is_set():
                work(store, turn)
                turn += 1
                self.turns += 1
        except BaseException as failed:  # noqa: BLE001 - shown by the test
            self.broken.append(failed)
        finally:
            store.close()

    @staticmethod
    def _writing(name: str) -> Callable[[Store, int], None]:
        def work(store: Store, turn: int) -> None:
            at = (NOW - timedelta(days=1, seconds=turn)).isoformat()
            said = {"conversation": f"c-{name}", "role": "user", "content": f"word {turn}", "at": at}
            with store.write() as connection:
                write(connection, {"type": "message", "id": f"{name}-{turn}", "user": name, **said})

        return work

    @staticmethod
    def _reflecting(store: Store, turn: int) -> None:
        enrol(store, DAILY, NOW, 3)
        run_cohort(store, run_id=f"run-{turn}")
