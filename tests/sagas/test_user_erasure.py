"""Forgetting a person: everything about them and nothing of others, whatever is under way, once and for good."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, partialmethod
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, insert, select, text, update

from selo_dagster.errors import SeloError
from selo_dagster.llm.budgets.calls import Tab
from selo_dagster.llm.budgets.reserving import reserve
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.client import write
from selo_dagster.memory.tables import conversations, messages
from selo_dagster.people.erased_tables import erased_people
from selo_dagster.people.footprint import Deleted, Footprint
from selo_dagster.people.tables import users
from selo_dagster.reflections.claim import begin_attempts, claim, renew, take_back_expired
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.one_offs import place_due
from selo_dagster.reflections.settle import Cost, settle_skipped
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.catalogue import user_erasure
from selo_dagster.sagas.catalogue.user_erasure import USER_ERASURE
from selo_dagster.sagas.claim import renew as renew_sagas
from selo_dagster.sagas.erasure import compacting, removing
from selo_dagster.sagas.erasure.models import Compacted
from selo_dagster.sagas.erasure.report import is_genuine, read_report
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.monitor import conditions
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.start import start
from selo_dagster.sagas.states import ENDED
from selo_dagster.sagas.tables import saga_alerts, saga_locks, saga_steps, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.crash.processes import until
from tests.llm.budgets import asked as a_call
from tests.llm.budgets import book, granted, held
from tests.llm.budgets import tokens as spending_in_tokens
from tests.sagas.builders import LINE, PIVOTED, REGISTRY
from tests.sagas.erasing import STEPS, Erasing
from tests.support.everything import ABOUT_NOBODY, everything, fill
from tests.support.fakes import NOW, FakeModel, add_person, by_the_book, good_answer, remember, run_cohort, say
from tests.support.locks import waiting_for_a_lock

WHO = "ana-4711"
SECRET = "xyzzy-planted-secret"


@pytest.fixture
def erasing(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Erasing:
    """Ana, and what forgets people, on the database that the settings name."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    return Erasing(store)


@pytest.fixture
def postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasing]:
    """On PostgreSQL only: transactions that are open at the same time."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    process_settings.cache_clear()
    opened = Store(postgres_url, pool_size=10)
    yield Erasing(opened)
    opened.close()


def lives(store: Store, *people: str) -> None:
    """Let people have a row in every table."""
    with store.write() as connection:
        for user_id in people:
            fill(connection, user_id, SECRET)


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


# What goes, what stays, what is told


def test_everything_about_a_person_goes_from_every_table_and_nothing_of_anybody_else(erasing: Erasing) -> None:
    lives(erasing.store, WHO, "ben")
    before = everything(erasing.store)
    there = erasing.rows(WHO)
    (saga_id,) = erasing.erase(WHO)
    assert erasing.rows(WHO) == {}
    after = everything(erasing.store)
    for table, rows in after.items():
        assert not [row for row in rows if WHO in row], table
        others = [row for row in before[table] if "ben" in row]
        assert [row for row in rows if "ben" in row] == others, table
        assert table in ABOUT_NOBODY or others, table
    proof = erasing.prove(WHO)
    assert proof.holds, proof.sentence
    # The lock goes with the saga that held it.
    assert proof.deleted == {table: number for table, number in there.items() if table != "saga_locks"}
    assert saga_id in str(proof.report)


def test_the_journal_of_an_erasure_holds_neither_the_id_nor_a_word(erasing: Erasing) -> None:
    lives(erasing.store, WHO)
    saga_id = str(erasing.ask(WHO).saga_id)
    erasing.room.act("pause", saga_id)
    with erasing.store.write() as connection:
        erasing.room.desk(connection, because=f"{WHO} asked for it").resume(saga_id)
    tokens, run_id = erasing.claim(saga_id)
    erasing.carry(tokens, run_id)
    told = "".join(row for rows in everything(erasing.store).values() for row in rows)
    assert saga_id in told
    assert WHO not in told
    assert SECRET not in told
    row = erasing.room.row(saga_id)
    assert (row.user_id, row.key) == (f"erased-{saga_id}", erasing.key.digest(WHO))
    assert row.input == {"key_id": erasing.key.id}
    assert erasing.person(f"erased-{saga_id}") == "tombstoned"
    with erasing.store.read() as connection:
        assert connection.execute(select(saga_locks)).all() == []
        assert set(connection.execute(select(saga_steps.c.step)).scalars()) == set(STEPS)


def test_the_report_is_signed_and_says_what_was_done(erasing: Erasing) -> None:
    erasing.room.start(LINE)
    say(erasing.store, "ana", "2026-11-22T20:00:00Z", "one", "two")
    (saga_id,) = erasing.erase()
    signed = str(erasing.prove().report)
    report, _ = read_report(signed)
    assert is_genuine(erasing.key, signed)
    assert report["deleted"]["messages"] == 2
    assert report["ended"] == {"sagas": 1, "reflections": 0, "one_offs": 0}
    assert (report["saga"], report["rows_left"], report["id_is_partition_key"]) == (saga_id, 0, True)
    assert report["erased_at"] == NOW.isoformat()
    assert report["compacted"]["database"] == erasing.store.dialect


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report["deleted"].update(messages=3),
        lambda report: report.update(rows_left=1),
        lambda report: report.pop("compacted"),
        lambda report: report.update(more=""),
    ],
)
def test_a_report_that_was_changed_is_not_genuine(erasing: Erasing, change: Callable[[Any], Any]) -> None:
    erasing.erase()
    document = json.loads(str(erasing.prove().report))
    assert is_genuine(erasing.key, json.dumps(document))
    change(document["report"])
    assert not is_genuine(erasing.key, json.dumps(document))


def test_what_is_not_a_report_is_refused(erasing: Erasing) -> None:
    for wrong in ("", "[]", "{}", '{"report": 1, "signature": "x"}', '{"report": {}}', b"\xff"):
        with pytest.raises(SeloError) as refused:
            is_genuine(erasing.key, wrong)
        assert refused.value.code == "bad_report"


def test_the_person_is_asked_for_once_and_told_to_be_erased_afterwards(erasing: Erasing) -> None:
    first = erasing.ask()
    assert erasing.ask() == first
    tokens, run_id = erasing.claim(first.saga_id)
    erasing.carry(tokens, run_id, "fence")
    assert erasing.ask() == first
    erasing.carry(tokens, run_id, "remove", "forget")
    assert erasing.ask() == first
    erasing.carry(tokens, run_id, "compact", "certify")
    again = erasing.ask()
    assert (again.saga_id, type(again).__name__) == (first.saga_id, "Erased")
    with pytest.raises(SeloError, match="there is no user 'eve'"):
        erasing.ask("eve")


def test_somebody_who_came_back_is_erased_like_anybody(erasing: Erasing) -> None:
    (first,) = erasing.erase()
    record = {"type": "user", "id": "ana", "name": "Ana", "timezone": "UTC"}
    with erasing.store.write() as connection:
        write(connection, record, readmit=True)
    assert erasing.person() == "active"
    (second,) = erasing.erase()
    assert first != second
    assert erasing.prove().holds
    with erasing.store.read() as connection:
        assert list(connection.execute(select(erased_people.c.saga_id)).scalars()) == [second]


def test_many_are_erased_in_one_run_and_the_files_are_compacted_once(
    erasing: Erasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = erasing.room.people(7)
    for name in names:
        say(erasing.store, name, "2026-11-22T20:00:00Z", name)
    compacted: list[Compacted] = []

    class Remembering(dict[str, Any]):
        def __setitem__(self, url: str, done: Any) -> None:
            compacted.append(done[1])
            super().__setitem__(url, done)

    monkeypatch.setattr(compacting, "_last", Remembering())
    erasing.erase(*names[:6])
    assert [one.database for one in compacted] == [erasing.store.dialect]
    assert all(erasing.prove(name).holds for name in names[:6])
    assert erasing.person(names[6]) == "active"


# Taking precedence


def test_it_does_not_wait_for_a_saga_that_is_queued_parked_paused_or_not_undone(erasing: Erasing) -> None:
    room = erasing.room
    stuck = room.start(PIVOTED, fail_at={"last": "error"})
    room.forward(PIVOTED)
    assert room.state(stuck) == "parked"
    queued = room.start(LINE)
    assert room.claimable(LINE) == 0
    lives(erasing.store, "ben")
    paused = room.start(LINE, "ben")
    room.act("pause", paused)
    for name in ("ana", "ben"):
        erasing.erase(name)
        assert erasing.rows(name) == {}
    assert {row.id for row in room.rows()}.isdisjoint({stuck, queued, paused})


@pytest.mark.parametrize("state", ["in_doubt", "compensation_incomplete", "waiting", "compensating"])
def test_it_does_not_wait_for_a_saga_in_any_state(erasing: Erasing, state: str) -> None:
    other = erasing.room.start(LINE)
    tokens = erasing.room.claim(LINE)
    erasing.room.step(LINE, "look", tokens)
    with erasing.store.write() as connection:
        connection.execute(update(sagas).where(sagas.c.id == other).values(state=state, lease_until=None))
    erasing.erase()
    assert other not in {row.id for row in erasing.room.rows()}


def test_a_saga_under_way_with_a_live_lease_finds_itself_fenced_and_writes_nothing(erasing: Erasing) -> None:
    room = erasing.room
    other = room.start(LINE)
    tokens = room.claim(LINE)
    room.step(LINE, "look", tokens)
    room.step(LINE, "one", tokens)
    asked = erasing.ask()
    mine, run_id = erasing.claim(asked.saga_id)
    assert mine, "it waited for the other saga"
    assert room.step(LINE, "two", tokens).done == [other], "until the fence the other one goes on"
    erasing.carry(mine, run_id, "fence")
    late = forward_step(room.tools, LINE, LINE.step("three"), tokens, "run-1")
    assert (late.lost, late.done) == (1, [])
    with erasing.store.write() as connection:
        assert renew_sagas(connection, "run-1", 60.0) == 0
    assert room.state(other) == "cancelled"
    erasing.carry(mine, run_id)
    late = forward_step(room.tools, LINE, LINE.step("three"), tokens, "run-1")
    assert (late.lost, erasing.rows()) == (1, {})


def test_it_takes_no_turn_in_the_queue_until_its_fence_and_others_go_on(erasing: Erasing) -> None:
    room = erasing.room
    other = room.start(LINE)
    tokens = room.claim(LINE)
    asked = erasing.ask()
    room.act("pause", asked.saga_id)
    assert room.locks() == {"ana": other}
    for name in ("look", "one", "two", "three"):
        room.step(LINE, name, tokens)
    assert room.state(other) == "completed"


def test_it_is_not_called_queued_while_it_is_behind_others(erasing: Erasing) -> None:
    erasing.room.start(LINE)
    asked = erasing.ask()
    known = Registry({**REGISTRY.by_version, ("user_erasure", 1): USER_ERASURE})
    with erasing.store.read() as connection:
        found = {one.saga_id: one.condition for one in conditions(connection, known, NOW)}
    assert found[asked.saga_id] == "ready"


def test_after_the_fence_nothing_can_be_started_for_the_person(erasing: Erasing) -> None:
    asked = erasing.ask()
    tokens, run_id = erasing.claim(asked.saga_id)
    erasing.carry(tokens, run_id, "fence")
    with pytest.raises(SeloError) as refused:
        erasing.room.start(LINE)
    assert refused.value.code == "unknown_user"


@pytest.mark.postgres
def test_a_saga_that_is_being_asked_for_is_waited_for_and_ended(postgres: Erasing) -> None:
    asked = postgres.ask()
    tokens, run_id = postgres.claim(asked.saga_id)
    with postgres.store.write() as connection:
        started = start(
            connection, LINE, user_id="ana", key="k", given={"wanted": {}}, now=NOW, new_id=lambda: "the-other"
        )
        fencing = in_thread(lambda: postgres.carry(tokens, run_id, "fence"))
        until(lambda: waiting_for_a_lock(postgres.store) > 0, "the fence waits for who asks for a saga")
    fencing.join(30)
    assert postgres.room.state(started.id) == "cancelled"
    assert postgres.person() == "tombstoned"


# Reflections


def test_obligations_that_are_due_claimed_or_deferred_end_and_nobody_takes_them_again(erasing: Erasing) -> None:
    store = erasing.store
    add_person(store, "ben")
    for name in ("ana", "ben"):
        for day in (20, 21, 22):
            say(store, name, f"2026-11-{day}T20:00:00Z", "hello")
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        held = claim(connection, DAILY, run_id="r1", now=NOW, lease_s=60.0, limit=2)
    assert {one.user_id for one in held} == {"ana", "ben"}
    asked = erasing.ask()
    tokens, run_id = erasing.claim(asked.saga_id)
    erasing.carry(tokens, run_id, "fence")
    with store.write() as connection:
        states = dict(
            connection.execute(
                select(reflection_ledger.c.user_id, reflection_ledger.c.state).where(
                    reflection_ledger.c.state.in_(("due", "claimed"))
                )
            ).all()
        )
        assert set(states) == {"ben"}
        begun = begin_attempts(connection, held, "r1")
        assert [one.user_id for one in begun] == ["ben"]
        assert renew(connection, "r1", 60.0) == 1
        (anas,) = [one for one in held if one.user_id == "ana"]
        assert settle_skipped(connection, anas, "nothing_new", cost=Cost(), now=NOW) is None
        assert take_back_expired(connection, DAILY, NOW) == 0
        assert {one.user_id for one in claim(connection, DAILY, run_id="r2", now=NOW, lease_s=60.0, limit=9)} == {"ben"}
        told = connection.execute(select(saga_steps.c.output).where(saga_steps.c.step == "fence")).scalar_one()
    assert told["reflections"] == 3


def test_a_reflection_in_the_middle_of_its_call_stores_nothing_and_the_cohort_goes_on(erasing: Erasing) -> None:
    store = erasing.store
    add_person(store, "ben")
    for name in ("ana", "ben"):
        say(store, name, "2026-11-22T20:00:00Z", f"{SECRET} of {name}")

    async def answering(request: CompletionRequest) -> str:
        if request.subject == "ana":
            await asyncio.to_thread(erasing.erase)
            return good_answer(request, content=f"{SECRET} " * 80)
        return await by_the_book(request)

    enrol(store, DAILY, NOW, 3)
    settled = run_cohort(store, FakeModel(answering))
    assert [(one.user_id, one.outcome) for one in settled] == [("ben", "done")]
    assert erasing.rows() == {}
    assert erasing.prove().holds
    told = [row for rows in everything(store).values() for row in rows if SECRET in row]
    assert all("ben" in row for row in told)


def test_what_was_asked_for_at_a_time_is_taken_back(erasing: Erasing) -> None:
    lives(erasing.store, WHO)
    asked = erasing.ask(WHO)
    tokens, run_id = erasing.claim(str(asked.saga_id))
    erasing.carry(tokens, run_id, "fence")
    assert not place_due(erasing.store, NOW, 3)
    with erasing.store.read() as connection:
        states = connection.execute(text("SELECT state FROM reflection_one_offs")).scalars().all()
    assert states == ["cancelled"]


# Before there is no way back


def test_a_cancelled_erasure_has_changed_nothing_and_can_be_asked_for_anew(erasing: Erasing) -> None:
    lives(erasing.store, WHO)
    before = erasing.rows(WHO)
    asked = erasing.ask(WHO)
    with erasing.store.write() as connection:
        desk = erasing.room.desk(connection)
        object.__setattr__(desk, "definition", lambda _name, _version: USER_ERASURE)
        desk.cancel(str(asked.saga_id))
    assert (erasing.room.state(str(asked.saga_id)), erasing.person(WHO)) == ("cancelled", "active")
    assert erasing.rows(WHO) == before | {"sagas": before["sagas"] + 1, "saga_interventions": 2}
    assert erasing.ask(WHO) == asked
    assert erasing.room.row(str(asked.saga_id)).generation == 2
    erasing.erase(WHO)
    assert erasing.prove(WHO).holds


def test_rows_of_another_program_that_hold_the_person_back_are_named_before_anything_is_changed(
    erasing: Erasing,
) -> None:
    with erasing.store.write() as connection:
        connection.execute(text("CREATE TABLE invoices (whose VARCHAR(200) REFERENCES users (id))"))
        connection.execute(text("INSERT INTO invoices VALUES ('ana')"))
    with pytest.raises(SeloError, match=r"rows of invoices \(1\)") as refused:
        erasing.ask()
    assert refused.value.code == "held_elsewhere"
    assert erasing.room.rows() == []
    # Also where it was asked for in another way.
    with erasing.store.write() as connection:
        started = start(connection, USER_ERASURE, user_id="ana", key="k", given={}, now=NOW, new_id=lambda: "s1")
    tokens, run_id = erasing.claim(started.id)
    erasing.carry(tokens, run_id)
    row = erasing.room.row(started.id)
    assert (row.direction, row.error["class"], erasing.person()) == ("compensate", "held_elsewhere", "active")


def test_rows_that_come_to_hold_the_person_back_later_park_it_and_it_goes_on_once_they_are_gone(
    erasing: Erasing,
) -> None:
    with erasing.store.write() as connection:
        connection.execute(text("CREATE TABLE invoices (whose VARCHAR(200) REFERENCES users (id))"))
    asked = erasing.ask()
    tokens, run_id = erasing.claim(str(asked.saga_id))
    erasing.carry(tokens, run_id, "fence")
    with erasing.store.write() as connection:
        connection.execute(text("INSERT INTO invoices VALUES ('ana')"))
    erasing.carry(tokens, run_id, "remove", "forget")
    row = erasing.room.row(str(asked.saga_id))
    assert (row.state, row.error["class"]) == ("parked", "held_elsewhere")
    with erasing.store.write() as connection:
        connection.execute(text("DELETE FROM invoices"))
    erasing.erase()


def test_a_conversation_in_which_another_writes_too_becomes_theirs_with_their_words_untouched(
    erasing: Erasing,
) -> None:
    add_person(erasing.store, "ben")
    with erasing.store.write() as connection:
        connection.execute(insert(conversations).values(id="both", user_id="ana"))
        for name in ("ana", "ben"):
            row = {"id": name, "user_id": name, "conversation_id": "both", "role": "user", "content": name, "at": NOW}
            connection.execute(insert(messages).values(row))
    words = everything(erasing.store)["messages"]
    erasing.erase()
    assert everything(erasing.store)["messages"] == [row for row in words if "ben" in row]
    assert everything(erasing.store)["conversations"] == ["('both', 'ben')"]
    assert read_report(str(erasing.prove().report))[0]["conversations_handed_over"] == 1


def test_nobody_is_erased_under_a_second_key(erasing: Erasing, monkeypatch: pytest.MonkeyPatch) -> None:
    add_person(erasing.store, "ben")
    erasing.erase()
    monkeypatch.setenv("SELO_ERASURE_KEY", "another key that is long enough, 02!")
    process_settings.cache_clear()
    with pytest.raises(SeloError) as refused:
        erasing.ask("ben")
    assert refused.value.code == "erasure_key"
    assert erasing.person("ben") == "active"


@pytest.mark.parametrize(("carried", "state"), [((), "compensating"), (("fence", "remove"), "parked")])
@pytest.mark.parametrize("key", ["", "another key that is long enough, 02!"])
def test_a_machine_without_the_key_of_whoever_asked_does_not_carry_it_out(
    erasing: Erasing, key: str, carried: tuple[str, ...], state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = erasing.ask()
    tokens, run_id = erasing.claim(asked.saga_id)
    for step in carried:
        erasing.carry(tokens, run_id, step)
    monkeypatch.setenv("SELO_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("SELO_ERASURE_KEY", key)
    process_settings.cache_clear()
    erasing.carry(tokens, run_id)
    row = erasing.room.row(asked.saga_id)
    assert (row.state, row.error["class"]) == (state, "erasure_key")
    assert erasing.person() == ("tombstoned" if carried else "active")
    assert not (tmp_path / "elsewhere" / "erasure.key").exists()


# While rows are deleted


def test_rows_are_deleted_in_bounded_transactions(
    erasing: Erasing, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = erasing.store
    say(store, "ana", "2026-11-22T00:00:00Z", *(f"word {number}" for number in range(95)))
    asked = erasing.ask()
    tokens, run_id = erasing.claim(asked.saga_id)
    erasing.carry(tokens, run_id, "fence")
    monkeypatch.setattr(Footprint, "delete", partialmethod(Footprint.delete, limit=10))
    left: list[int] = []
    beside = Store(store_url)

    def note(_connection: Connection) -> None:
        with beside.read() as connection:
            left.append(sum(Footprint.of(connection).count(connection, "ana").values()))

    event.listen(store.engine, "commit", note)
    removing.remove(store, "ana", str(asked.saga_id))
    event.remove(store.engine, "commit", note)
    beside.close()
    assert len(left) > 19
    assert max(one - other for one, other in pairwise(left)) == 10
    assert erasing.rows().keys() == {"users", "sagas", "saga_steps"}


def test_who_is_not_tombstoned_keeps_everything_also_from_an_erasure_that_slept(erasing: Erasing) -> None:
    (saga_id,) = erasing.erase()
    record = {"type": "user", "id": "ana", "name": "Ana", "timezone": "UTC"}
    with erasing.store.write() as connection:
        write(connection, record, readmit=True)
    say(erasing.store, "ana", "2026-11-22T20:00:00Z", "I am new here")
    there = erasing.rows()
    assert removing.remove(erasing.store, "ana", saga_id) == {}
    assert erasing.rows() == there


@pytest.mark.parametrize("after", ["fence", "remove"])
def test_rows_that_another_program_writes_late_go_too_and_are_counted(erasing: Erasing, after: str) -> None:
    asked = erasing.ask()
    tokens, run_id = erasing.claim(str(asked.saga_id))
    erasing.carry(tokens, run_id, *STEPS[: STEPS.index(after) + 1])
    remember(erasing.store, "ana", "late", "2026-11-22T20:00:00Z", SECRET)
    erasing.carry(tokens, run_id)
    assert erasing.rows() == {}
    proof = erasing.prove()
    assert proof.holds
    assert proof.deleted["memories"] == 1
    assert SECRET not in repr(everything(erasing.store))


def test_where_rows_are_put_back_by_somebody_it_ends_and_says_so(
    erasing: Erasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "MOST_ROUNDS", 3)
    monkeypatch.setattr(Footprint, "delete", lambda *_, **__: Deleted({"memories": 1}, 0, whole=True))
    asked = erasing.ask()
    tokens, run_id = erasing.claim(asked.saga_id)
    erasing.carry(tokens, run_id)
    assert (erasing.room.state(asked.saga_id), erasing.person()) == ("waiting", "tombstoned")
    with erasing.store.read() as connection:
        errors = dict(connection.execute(select(saga_steps.c.step, saga_steps.c.error)).all())
        assert connection.execute(select(erased_people)).all() == []
    assert errors["remove"]["class"] == "RowsLeftError"


@pytest.mark.postgres
def test_it_waits_for_transactions_that_began_before_the_tombstone_and_gives_up_after_its_time(
    postgres: Erasing,
) -> None:
    store = postgres.store
    assert removing.drain(store, 0.0)
    with store.read() as connection:
        connection.execute(select(users)).all()
        slept: list[float] = []
        assert not removing.drain(store, 0.5, sleep=slept.append)
        assert slept
        drained: list[bool] = []
        waiting = in_thread(lambda: drained.append(removing.drain(store, 60.0)))
        until(lambda: not slept or waiting.is_alive(), "it waits")
        assert drained == []
    waiting.join(30)
    assert drained == [True]


# Calls of models that are still under way


CAPS = spending_in_tokens(fleet=10_000, kind=10_000, user=10_000)


@pytest.mark.postgres
@pytest.mark.parametrize("step", ["remove", "forget"])
def test_a_call_that_is_being_counted_and_the_erasure_wait_for_each_other_in_one_order(
    postgres: Erasing, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the counting had begun after that.
    monkeypatch.setattr(user_erasure, "drain", lambda _: True)
    before = erased_up_to(postgres, step)
    call = granted(postgres.store, CAPS, a_call("saga/late/1", 100))
    with in_the_middle(postgres, "DELETE FROM spending_calls", before, step) as connection:
        Tab(calls=[call]).count(connection)
    assert step_state(postgres, step) == "done"
    assert (book(postgres.store, CAPS)[""].calls, held(postgres.store, CAPS)[1]) == (1, 0)


@pytest.mark.postgres
@pytest.mark.parametrize("step", ["remove", "forget"])
def test_a_call_that_is_being_reserved_and_the_erasure_wait_for_each_other_in_one_order(
    postgres: Erasing, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_erasure, "drain", lambda _: True)
    before = erased_up_to(postgres, step)
    granted(postgres.store, CAPS, a_call("saga/late/1", 100))
    with in_the_middle(postgres, "INSERT INTO spending_people", before, step) as connection:
        reserve(connection, CAPS, [a_call("saga/late/1", 100, number=2)], NOW, 60.0)
    assert step_state(postgres, step) == "done"


def erased_up_to(postgres: Erasing, step: str) -> tuple[list[Token], str]:
    asked = postgres.ask()
    tokens, run_id = postgres.claim(str(asked.saga_id))
    postgres.carry(tokens, run_id, *STEPS[: STEPS.index(step)])
    return tokens, run_id


@contextmanager
def in_the_middle(
    postgres: Erasing, statement: str, under_way: tuple[list[Token], str], step: str
) -> Iterator[Connection]:
    """Yield a transaction after whose statement the erasure goes on, until one waits for the other."""
    started: list[threading.Thread] = []
    with postgres.store.write() as connection:

        @event.listens_for(connection, "after_cursor_execute")
        def go_on(_connection: Any, _cursor: Any, executed: str, *_: Any) -> None:
            if executed.startswith(statement) and not started:
                started.append(in_thread(lambda: postgres.carry(*under_way, step)))
                until(lambda: waiting_for_a_lock(postgres.store) > 0, "the erasure waits")

        yield connection
    started[0].join(30)


def step_state(postgres: Erasing, step: str) -> str:
    with postgres.store.read() as connection:
        return str(connection.execute(select(saga_steps.c.state).where(saga_steps.c.step == step)).scalar_one())


# The files


def test_a_reader_keeps_the_files_as_they_are_and_it_says_so_until_the_reader_ends(
    erasing: Erasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(erasing.store, "ana", "2026-11-22T20:00:00Z", SECRET)
    asked = erasing.ask()
    tokens, run_id = erasing.claim(asked.saga_id)
    erasing.carry(tokens, run_id, "fence", "remove")
    monkeypatch.setattr(compacting, "BUSY_S", 0)
    with erasing.store.read() as connection:
        assert connection.execute(select(users.c.id)).scalars().all() == ["ana"]
        erasing.carry(tokens, run_id)
        row = erasing.room.row(asked.saga_id)
        assert (row.state, erasing.person()) == ("waiting", None)
        proof = erasing.prove()
        assert (proof.rows, proof.genuine, proof.compacted, proof.holds) == ({}, True, False, False)
        assert "still wait" in proof.sentence
    erasing.room.clock.instant = row.next_attempt_at
    erasing.erase()
    assert erasing.prove().holds


def test_files_that_stay_busy_park_it_and_asking_again_goes_on(erasing: Erasing) -> None:
    asked = erasing.ask()
    tokens, run_id = erasing.claim(str(asked.saga_id))
    erasing.carry(tokens, run_id, "fence", "remove", "forget")
    with erasing.store.write() as connection:
        connection.execute(
            update(sagas)
            .where(sagas.c.id == asked.saga_id)
            .values(state="parked", lease_until=None, reason="step_failed")
        )
    assert erasing.ask() == asked
    assert erasing.room.state(str(asked.saga_id)) == "pending"
    with erasing.store.read() as connection:
        assert connection.execute(select(saga_alerts.c.id).where(saga_alerts.c.resolved_at.is_(None))).all() == []
    erasing.erase()


# Together with others


@pytest.mark.postgres
def test_ingest_reflections_and_an_erasure_at_the_same_time_end_with_nothing_of_the_person(
    postgres: Erasing, postgres_url: str
) -> None:
    store = postgres.store
    names = postgres.room.people(8)
    for name in [*names, "ana"]:
        say(store, name, "2026-11-22T20:00:00Z", f"hello from {name}")
    stop = threading.Event()
    broken: list[BaseException] = []
    refused: list[str] = []

    def guarded(work: Callable[[Store, int], None]) -> Callable[[], None]:
        def loop() -> None:
            own, turn = Store(postgres_url), 0
            try:
                while not stop.is_set():
                    work(own, turn)
                    turn += 1
            except BaseException as failed:  # noqa: BLE001 - shown by the test
                broken.append(failed)
            finally:
                own.close()

        return loop

    def ingesting(own: Store, turn: int, *, who: int) -> None:
        for name in ("ana", names[turn % 8]):
            said = {"id": f"{name}/{who}/{turn}", "conversation": f"c{who}-{name}", "role": "user", "content": SECRET}
            try:
                with own.write() as connection:
                    write(connection, {"type": "message", "user": name, "at": "2026-11-22T21:00:00Z", **said})
            except SeloError as one:
                refused.append(f"{name}: {one.code}")

    def reflecting(own: Store, turn: int) -> None:
        run_cohort(own, run_id=f"run-{turn}")
        enrol(own, DAILY, NOW, 3)

    first, second = partial(ingesting, who=1), partial(ingesting, who=2)
    threads = [in_thread(guarded(work)) for work in (first, second, reflecting, reflecting)]
    until(lambda: bool(broken) or postgres.rows().get("messages", 0) > 5, "Ana writes")
    postgres.erase()
    until(lambda: bool(broken) or "ana: erased" in refused, "Ana is refused")
    stop.set()
    for thread in threads:
        thread.join(60)
    assert broken == []
    assert {one.partition(": ")[0] for one in refused} == {"ana"}
    assert postgres.rows() == {}
    assert postgres.prove().holds
    with store.read() as connection:
        anas = select(messages.c.id).where(messages.c.id.like("ana/%"))
        assert connection.execute(anas).all() == []
        others = connection.execute(text("SELECT user_id, count(*) FROM messages GROUP BY 1")).all()
    assert {row[0] for row in others} == set(names)


def test_no_saga_of_anybody_is_left_open_by_it(erasing: Erasing) -> None:
    lives(erasing.store, "ben")
    with erasing.store.write() as connection:
        connection.execute(delete(sagas))
    erasing.erase("ben")
    assert all(row.state in ENDED for row in erasing.room.rows())
