"""A backup that is taken in the middle of everything goes on elsewhere, and repeats nothing that was done."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import MetaData, func, select, text, update

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.clock import FixedClock
from selo_dagster.home import prepare_home
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.client import write
from selo_dagster.memory.stream import NUMBERING, position
from selo_dagster.memory.tables import events, messages
from selo_dagster.people.goals import goals
from selo_dagster.people.tables import users
from selo_dagster.reflections.claim import LOST, RUNNING
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.states import CLAIMED, DONE
from selo_dagster.reflections.tables import reflection_attempts, reflections
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.claim import claim
from selo_dagster.sagas.downstream import Downstream
from selo_dagster.sagas.engine import Tools
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.states import COMPLETED, FORWARD
from selo_dagster.sagas.tables import saga_locks, saga_steps, sagas
from selo_dagster.settings import load_settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import HEAD
from tests.crash.ledger import count, ledger, until_leases_end
from tests.crash.processes import until
from tests.crash.saga_processes import ask_for, until_free
from tests.crash.test_trigger_restore import dumped, opened, restored_from
from tests.support.command import Selo, selo_with_sagas
from tests.support.dagster import NOW_TEXT
from tests.support.fakes import NOW, FakeModel, add_person, by_the_book, run_cohort, say
from tests.support.postgres import temporary_postgres

assert selo_dagster.definitions.defs is not None

pytestmark = pytest.mark.timeout(300)

PEOPLE = 12
SLOTS = 4
WHEN = 8
"""Whose call the backup comes into: so many people follow that the last of them has no slot yet."""

SAGAS = 2
FIRST_STEP = GOAL_CREATION.order[0]
KEY = "a key that is long enough for these tests"
ROOT = Path(__file__).parents[2]

Restore = Callable[[], "Restored"]


@dataclass(frozen=True)
class Restored:
    """What became of a backup elsewhere. url: its address."""

    url: str
    store: Store


@dataclass
class Backup:
    """Takes a backup of a store, once, and restores it elsewhere. folder: where files go."""

    store: Store
    url: str
    folder: Path
    stack: ExitStack
    files: list[Path] = field(default_factory=list)

    def take(self) -> None:
        """Dump it with pg_dump, or copy it with VACUUM INTO; both while others write."""
        if self.store.dialect == "postgresql":
            self.files.append(dumped(self.url, self.folder))
            return
        copy = self.folder / "copy.db"
        with self.store.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.execute(text("VACUUM INTO :path"), {"path": str(copy)})
        self.files.append(copy)

    def restore(self) -> Restored:
        """Bring the backup up: on PostgreSQL in a server that has never seen the first one's data."""
        (file,) = self.files
        if self.store.dialect == "postgresql":
            server = self.stack.enter_context(temporary_postgres())
            store = self.stack.enter_context(restored_from(file, server, "restored"))
            return Restored(f"{server}/restored", store)
        url = f"sqlite:///{file}"
        return Restored(url, self.stack.enter_context(opened(url)))


@pytest.fixture
def backup(store: Store, store_url: str, tmp_path: Path) -> Iterator[Backup]:
    """A backup to be taken of the store."""
    with ExitStack() as stack:
        yield Backup(store, store_url, tmp_path, stack)


@contextmanager
def elsewhere(
    restored: Restored, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Selo]:
    """The command on another machine, whose Dagster knows nothing."""
    monkeypatch.setenv("SELO_HOME", str(folder / "elsewhere"))
    with selo_with_sagas(restored.url, monkeypatch, capsys, most_runs=40) as command:
        yield command


def sagas_under_way(store: Store) -> list[str]:
    """Leave sagas in the hands of a run that has done the first step of each; returns their ids."""
    ids = ask_for(store, [f"s{number}" for number in range(SAGAS)])
    tools = Tools(store, FixedClock(NOW), Random(1))
    with store.write() as connection:
        tokens = claim(connection, GOAL_CREATION, FORWARD, run_id="saga-run", now=NOW, lease_s=1.0, limit=SAGAS)
    assert len(forward_step(tools, GOAL_CREATION, FIRST_STEP, tokens, "saga-run").through) == SAGAS
    return ids


def write_one(store: Store, name: str) -> None:
    """Write a person and what they said, as a companion does: in one transaction."""
    said = {"user": name, "conversation": name, "role": "user", "content": "good morning"}
    with store.write() as connection:
        write(
            connection,
            {"type": "user", "id": name, "name": name, "timezone": "UTC"},
            {"type": "message", "id": name, "at": "2026-11-22T08:00:00Z", **said},
        )


@contextmanager
def somebody_writes(store: Store) -> Iterator[list[str]]:
    """Let a companion write one person after the other meanwhile; the list holds who is written."""
    over = threading.Event()
    written: list[str] = []

    def write_on() -> None:
        while not over.is_set():
            name = f"w{len(written):04}"
            write_one(store, name)
            written.append(name)
            # Leaves gaps, as a companion does: SQLite's writers queue without order.
            over.wait(0.2)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        yield written
    finally:
        over.set()
        writer.join()


def taken_in_the_middle(backup: Backup) -> None:
    """Let a night run and a companion write; the backup is taken in between."""
    store = backup.store
    for number in range(PEOPLE):
        add_person(store, f"p{number:02}")
        say(store, f"p{number:02}", "2026-11-22T10:00:00Z", f"I am number {number}")
    enrol(store, DAILY, NOW, 3)

    def there() -> bool:
        begun = sum(RUNNING in outcomes for outcomes in attempts(store).values())
        held = count(store, ledger.c.state == CLAIMED)
        done = count(store, ledger.c.state == DONE)
        return len(written) > 0 and (done, held, begun) == (WHEN - 1, PEOPLE - WHEN + 1, SLOTS)

    def take() -> None:
        until(there, "nobody is done, being asked for, and only claimed")
        backup.take()
        before = len(written)
        until(lambda: len(written) > before, "nobody writes any more")

    taken = asyncio.Event()

    async def answer(request: CompletionRequest) -> str:
        turn = len(model.asked)
        if turn == WHEN:
            await asyncio.to_thread(take)
            taken.set()
        elif turn > WHEN:
            await taken.wait()
        return await by_the_book(request)

    model = FakeModel(answer)
    follow = Downstream(registry(), load_settings({}))
    with somebody_writes(store) as written:
        settled = run_cohort(store, model, lease_s=1.0, on_made=follow, concurrency=SLOTS, person=Limits(120.0, 150.0))
    assert len(settled) == PEOPLE, "the night did not go on beside the backup"


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    there = MetaData()
    with store.read() as connection:
        there.reflect(connection)
        return {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for name, table in there.tables.items()
        }


def made(store: Store) -> dict[str, tuple[Any, ...]]:
    """Return every reflection by its id."""
    with store.read() as connection:
        return {row.id: tuple(row) for row in connection.execute(select(reflections))}


def states(store: Store) -> dict[str, str]:
    """Return the state of everybody's daily."""
    with store.read() as connection:
        rows = connection.execute(select(ledger.c.user_id, ledger.c.state).where(ledger.c.kind == DAILY.name))
        return {row.user_id: row.state for row in rows}


def attempts(store: Store) -> dict[str, list[str]]:
    """Return how the attempts at everybody's daily ended, oldest first."""
    chosen = select(ledger.c.user_id, reflection_attempts.c.outcome).join(ledger).where(ledger.c.kind == DAILY.name)
    found: dict[str, list[str]] = {}
    with store.read() as connection:
        for row in connection.execute(chosen.order_by(reflection_attempts.c.id)):
            found.setdefault(row.user_id, []).append(row.outcome)
    return found


def greatest(store: Store) -> dict[str, int]:
    """Return the highest number that each numbered table has given."""
    numbered = (events.c.id, ledger.c.id, reflection_attempts.c.id, sagas.c.place)
    with store.read() as connection:
        return {
            column.table.name: int(connection.execute(select(func.max(column))).scalar_one()) for column in numbered
        }


def test_a_backup_taken_in_the_middle_of_a_night_goes_on_elsewhere_and_repeats_nothing(
    backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    under_way = sagas_under_way(backup.store)
    taken_in_the_middle(backup)
    restored = backup.restore()
    there = restored.store
    before, at_the_backup = made(there), states(there)
    done = {name for name, state in at_the_backup.items() if state == DONE}
    in_hand = {name for name, state in at_the_backup.items() if state == CLAIMED}
    assert done, "the backup was taken too early"
    assert in_hand, "the backup was taken between two claims"
    assert len(done) < PEOPLE, "the backup was taken too late"
    assert {row[1] for row in before.values()} == done, "a reflection without its row, or a row without its reflection"
    with there.read() as connection:
        people = set(connection.execute(select(users.c.id)).scalars())
        with backup.store.read() as original:
            assert people < set(original.execute(select(users.c.id)).scalars()), "nobody wrote meanwhile"
        # A companion's transaction is there as a whole or not at all.
        spoken = set(connection.execute(select(messages.c.user_id)).scalars())
        assert {name for name in people if name.startswith("w")} == {one for one in spoken if one.startswith("w")}
    with there.write() as connection:
        # Shown by the first machine's Dagster, as it is where cohorts are carried out by runs.
        connection.execute(update(ledger).where(ledger.c.state == DONE).values(reported_by="there"))
    numbers = greatest(there)
    whole = everything(there)

    with elsewhere(restored, tmp_path, monkeypatch, capsys) as selo:
        status, upgraded = selo.json("db", "upgrade")
        assert (status, upgraded["after"], everything(there)) == (0, HEAD, whole)
        # By the machine's own clock the night of these tests may be long ago; the original says the same of it.
        assert {one["code"] for one in selo.json("status")[1]["problems"]} <= {"overdue"}
        write_one(there, "later")
        people.add("later")
        until_leases_end(there)
        until_free(there)
        assert selo.json("night", "--now", NOW_TEXT)[0] == 0

        after = made(there)
        assert {name: after[name] for name in before} == before, "something that was done was done again"
        dailies = sorted(row[1] for row in after.values() if row[2] == DAILY.name)
        assert dailies == sorted(people - {f"s{number}" for number in range(SAGAS)})
        assert set(states(there).values()) == {DONE}
        tried = attempts(there)
        assert {name: tried[name] for name in done} == {name: [DONE] for name in done}
        # Claimed is not yet begun: those in whose middle the backup came have lost an attempt.
        assert {tuple(tried[name]) for name in in_hand} == {(LOST, DONE), (DONE,)}
        check_sagas(there, under_way, dailies)
        assert all(greatest(there)[name] > number for name, number in numbers.items())
        check_stream(there)

        told = selo.json("status")[1]
        assert told["problems"] == []
        assert (again := selo.json("night", "--now", NOW_TEXT)[1])["runs"] == 0, again
        check_picture(selo, dailies, done)


def check_sagas(store: Store, under_way: list[str], people: list[str]) -> None:
    """What was under way went on where it was; what the reflections asked for is done, once each."""
    with store.read() as connection:
        journal = connection.execute(select(sagas.c.id, sagas.c.state, sagas.c.user_id)).all()
        first = connection.execute(
            select(saga_steps.c.attempts).where(
                saga_steps.c.saga_id.in_(under_way), saga_steps.c.step == FIRST_STEP.name
            )
        )
        assert list(first.scalars()) == [1] * SAGAS, "a step that was done was done again"
        wanted = sorted(connection.execute(select(goals.c.user_id)).scalars())
        assert connection.execute(select(saga_locks)).all() == []
    assert {row.state for row in journal} == {COMPLETED}
    assert set(under_way) <= {row.id for row in journal}
    assert wanted == sorted({*people, *(f"s{number}" for number in range(SAGAS))} & set(wanted))
    assert set(people) <= set(wanted)


def check_stream(store: Store) -> None:
    """Every event has one number, without a gap."""
    with store.read() as connection:
        numbers = list(connection.execute(select(events.c.seq).order_by(events.c.seq)).scalars())
        assert numbers == list(range(1, position(connection, NUMBERING) + 1))


def check_picture(selo: Selo, people: list[str], done: set[str]) -> None:
    """A Dagster that knows nothing shows what is done from now on; the rest when it is told to."""
    folder = prepare_home(process_settings())
    asset = dg.AssetKey("daily_reflection")

    def shown() -> set[str | None]:
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            return {one.partition_key for one in instance.fetch_materializations(asset, limit=1_000).records}

    assert not done & shown()
    with opened(process_settings().store_url) as store, store.write() as connection:
        connection.execute(text(statement_of_the_page("reported_by")))
    assert selo.json("reflect", "daily", "--user", people[0], "--now", NOW_TEXT)[0] == 0
    assert shown() == set(people)


def page() -> str:
    """Return docs/backup.md."""
    return (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")


def statement_of_the_page(about: str) -> str:
    """Return the one SQL statement on the page that is about something."""
    (found,) = (one for one in re.findall(r"```sql\n(.*?)```", page(), re.DOTALL) if about in one)
    return str(found)


def test_whoever_was_erased_after_the_backup_comes_back_with_it_and_is_found_by_the_reports(
    backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ana", "ben"):
        add_person(backup.store, name)
        say(backup.store, name, "2026-11-22T20:00:00Z", f"hello from {name}")
    backup.take()
    monkeypatch.setenv("SELO_ERASURE_KEY", KEY)
    with selo_with_sagas(backup.url, monkeypatch, capsys) as selo:
        report = json.dumps(selo.json("erase", "ana")[1])
    kept = tmp_path / "reports"
    kept.write_text(f"{report}\n", encoding="utf-8")
    restored = backup.restore()
    with elsewhere(restored, tmp_path, monkeypatch, capsys) as selo:
        assert back_again(kept, capsys) == ["ana"]
        assert selo.json("erase", "ana")[1]["verified"]
        assert back_again(kept, capsys) == []
        with restored.store.read() as connection:
            assert list(connection.execute(select(messages.c.user_id)).scalars()) == ["ben"]


def back_again(reports: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run the program of docs/backup.md that names who is back; returns what it prints."""
    (program,) = re.findall(r"```python\n(.*?)```", page(), re.DOTALL)
    capsys.readouterr()
    with reports.open(encoding="utf-8") as lines, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", lines)
        exec(compile(program, "docs/backup.md", "exec"), {"__name__": "__main__"})  # noqa: S102 - the page's own program
    return capsys.readouterr().out.split()
