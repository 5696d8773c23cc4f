"""Two who move a head at the same time, on PostgreSQL: one after the other, and each sees what the other did."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.heads import RolledBack, _take_down, roll_back
from selo_dagster.store.engine import Store
from tests.crash.processes import until
from tests.reflections.remaking import ALL, ON, TWO, a_day, again, decided, heads, reflect, row_of, saying, versions
from tests.support.fakes import NOW
from tests.support.locks import waiting_for_a_lock

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """Ana's Sunday in three versions, of which the third holds, and connections for many."""
    opened = Store(postgres_url, pool_size=8)
    a_day(opened)
    reflect(opened, saying(*ALL))
    again(opened, saying(*ALL))
    again(opened, saying(*ALL))
    yield opened
    opened.close()


def back(store: Store, version: int) -> RolledBack:
    """Let a version hold."""
    with store.write() as connection:
        return roll_back(
            connection, user_id="ana", kind="daily", on=ON, version=version, actor="ben", because="so", now=NOW
        )


def check_chain(store: Store) -> None:
    """One version holds, the ledger names it, and each move began where the one before it had ended."""
    (head,) = heads(store)
    made = {one.id: one for one in versions(store)}
    assert made[row_of(store).reflection_id].version == head
    holds = versions(store)[0].id
    for move in decided(store):
        assert move.former_id == holds
        holds = move.reflection_id if move.moved else holds
    assert made[holds].version == head


def test_the_second_waits_and_then_sees_what_the_first_did(store: Store) -> None:
    with ThreadPoolExecutor(1) as threads:
        with store.write() as connection:
            roll_back(connection, user_id="ana", kind="daily", on=ON, version=1, actor="a", because="so", now=NOW)
            second: Future[RolledBack] = threads.submit(back, store, 2)
            until(lambda: waiting_for_a_lock(store) > 0, "the second does not wait")
        done = second.result(30)
    assert (done.former[0], done.present[0]) == (1, 2)
    check_chain(store)


def test_a_new_version_is_held_against_what_was_rolled_back_to_meanwhile(store: Store) -> None:
    back(store, 1)
    asked, rolled_back = threading.Event(), threading.Event()

    async def slowly(request: CompletionRequest) -> str:
        asked.set()
        assert await asyncio.to_thread(rolled_back.wait, 30)
        return await saying(*ALL)(request)

    with ThreadPoolExecutor(1) as threads:
        made = threads.submit(again, store, slowly)
        assert asked.wait(30)
        with store.write() as connection:
            roll_back(connection, user_id="ana", kind="daily", on=ON, version=2, actor="a", because="so", now=NOW)
            rolled_back.set()
            until(lambda: waiting_for_a_lock(store) > 0, "the new version does not wait")
        (settled,) = made.result(30)
    assert (settled.outcome, heads(store)) == ("done", [4])
    assert versions(store)[3].parents == [versions(store)[1].id]
    check_chain(store)


def test_many_at_once_leave_one_head_and_a_record_without_a_gap(store: Store) -> None:
    random = Random(3)
    wanted = [[random.randint(1, 3) for _ in range(6)] for _ in range(4)]
    together = threading.Barrier(5)

    def operator(mine: list[int]) -> None:
        together.wait()
        for version in mine:
            back(store, version)

    def maker() -> None:
        together.wait()
        for insights in (ALL, TWO, ALL):
            made = again(store, saying(*insights))
            while not made:
                # A run leaves a row alone that somebody holds; the next one takes it.
                made = reflect(store, saying(*insights))

    with ThreadPoolExecutor(5) as threads:
        running = [*(threads.submit(operator, mine) for mine in wanted), threads.submit(maker)]
        for one in running:
            one.result(60)
    assert [one.version for one in versions(store)] == [1, 2, 3, 4, 5, 6]
    check_chain(store)


def test_a_head_is_taken_down_only_by_whoever_saw_it_hold(store: Store) -> None:
    one, _, three = versions(store)
    with pytest.raises(SeloError, match="does not hold any more"), store.write() as connection:
        _take_down(connection, one.id)
    assert heads(store) == [three.version]
