"""Kill -9 at every journal write, and in the middle of every call, of a saga whose effect is on somebody's server."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest
from sqlalchemy import func, select

from selo_dagster.sagas.notices import companion_notices
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import saga_attempts, saga_locks, saga_steps
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.crash.processes import FULL
from tests.crash.saga_processes import (
    NOTICE,
    ask_for_notices,
    died,
    finish,
    saga_worker,
    states,
    turn,
    until_free,
)
from tests.support.notice_server import Exchange, NoticeServer, Step

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(600 if FULL else 120)]

log = logging.getLogger(__name__)

COMMITS = {FORWARD: 5, COMPENSATE: 6}
"""Forward: claim, read, intent to post, what came of it, note. Back: claim, note, intent, result, read, verdict."""

SENT = {FORWARD: 3, COMPENSATE: 3}
"""After this commit the request goes out; the next one says what came of it."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NoticeServer]:
    """The companion's own server, named in the settings of this process and of its workers."""
    with NoticeServer() as running:
        monkeypatch.setenv("SELO_NOTICE_URL", running.url)
        process_settings.cache_clear()
        yield running


def points(direction: str) -> list[tuple[str, int]]:
    """Return where a worker is killed; in the small form before the request alone: another test kills during it."""
    if FULL:
        return [(where, number) for where in ("before", "after") for number in range(1, COMMITS[direction] + 1)]
    return [("after", SENT[direction])]


def killed(url: str, direction: str, where: str, number: int, folder: Path) -> bool:
    """Let a worker carry on what there is and die before or after a commit; tells whether it came to that one."""
    options = ["--kill-at", str(number), "--where", where]
    with saga_worker(url, direction, *options, name=NOTICE, folder=folder) as worker:
        return died(worker)


def gone_on_with(store: Store, url: str, direction: str, folder: Path) -> int:
    """Wait for the leases of the dead, and let an undisturbed worker do what is left; returns for how many sagas."""
    until_free(store)
    return finish(url, direction, folder, name=NOTICE)


def check_told(store: Store, server: NoticeServer, ids: list[str]) -> None:
    """Each saga is completed, and each of its effects is there once."""
    assert states(store) == dict.fromkeys(ids, "completed")
    tokens = sorted(f"{saga_id}/1/post_notice/forward" for saga_id in ids)
    assert sorted(server.told) == tokens, "told twice, or never"
    assert sorted(server.notices) == tokens
    assert noted(store) == {token: server.notices[token]["reflection_id"] for token in tokens}
    check_books(store, "attempts", {"read_reflection": "done", "post_notice": "done", "note_it": "done"})


def check_taken_back(store: Store, server: NoticeServer, ids: list[str]) -> None:
    """Each saga is compensated, and nothing of it is left anywhere."""
    assert states(store) == dict.fromkeys(ids, "compensated")
    assert server.notices == {}
    assert noted(store) == {}
    ends = {"read_reflection": "nothing_to_undo", "post_notice": "undone", "note_it": "undone"}
    check_books(store, "undo_attempts", ends)


def noted(store: Store) -> dict[str, str]:
    """Return the reflection of each notice that is noted."""
    with store.read() as connection:
        rows = connection.execute(select(companion_notices.c.notice, companion_notices.c.reflection_id))
        return {row.notice: row.reflection_id for row in rows}


def check_books(store: Store, tries: str, ends: dict[str, str]) -> None:
    """Every step has this end after one try, none has failed, nobody is locked."""
    with store.read() as connection:
        rows = connection.execute(select(saga_steps.c.step, saga_steps.c.state, saga_steps.c[tries])).all()
        failed = connection.execute(select(func.count()).select_from(saga_attempts)).scalar_one()
        locked = connection.execute(select(func.count()).select_from(saga_locks)).scalar_one()
    assert {(step, state) for step, state, _ in rows} == set(ends.items())
    assert {number for _, state, number in rows if state != "nothing_to_undo"} == {1}
    assert (failed, locked) == (0, 0)


def test_killed_before_and_after_each_commit_on_the_way_forward_it_is_told_once(
    store: Store, postgres_url: str, tmp_path: Path, server: NoticeServer
) -> None:
    ids: list[str] = []
    for where, number in points(FORWARD):
        ids += ask_for_notices(store, [f"{where}-{number}"])
        posts = server.asked("POST")
        assert killed(postgres_url, FORWARD, where, number, tmp_path)
        assert server.asked("POST") - posts == (number > SENT[FORWARD]), "killed elsewhere than meant"
        over = (where, number) == ("after", COMMITS[FORWARD])
        assert gone_on_with(store, postgres_url, FORWARD, tmp_path) == (not over)
        check_told(store, server, ids)
        log.info(f"killed {where} commit {number}: {server.asked('POST') - posts} posts")
    if FULL:
        ids += ask_for_notices(store, ["nobody"])
        assert not killed(postgres_url, FORWARD, "before", COMMITS[FORWARD] + 1, tmp_path), "one more commit"


def test_killed_before_and_after_each_commit_on_the_way_back_it_is_taken_back(
    store: Store, postgres_url: str, tmp_path: Path, server: NoticeServer
) -> None:
    ids: list[str] = []
    for where, number in points(COMPENSATE):
        new = ask_for_notices(store, [f"{where}-{number}"])
        ids += new
        assert finish(postgres_url, FORWARD, tmp_path, name=NOTICE) == 1
        assert len(server.notices) == len(noted(store)) == 1
        turn(store, new)
        before = server.asked("DELETE")
        assert killed(postgres_url, COMPENSATE, where, number, tmp_path)
        assert server.asked("DELETE") - before == (number > SENT[COMPENSATE]), "killed elsewhere than meant"
        over = (where, number) == ("after", COMMITS[COMPENSATE])
        assert gone_on_with(store, postgres_url, COMPENSATE, tmp_path) == (not over)
        check_taken_back(store, server, ids)
        log.info(f"killed {where} commit {number}: {server.asked('DELETE') - before} deletes")
    if FULL:
        new = ask_for_notices(store, ["nobody"])
        assert finish(postgres_url, FORWARD, tmp_path, name=NOTICE) == 1
        turn(store, new)
        assert not killed(postgres_url, COMPENSATE, "before", COMMITS[COMPENSATE] + 1, tmp_path), "one more commit"


def work_then_kill(victim: Queue[int]) -> Step:
    """Do it; whoever asked dies before the answer."""

    def step(exchange: Exchange) -> None:
        status = exchange.work()
        os.kill(victim.get(), signal.SIGKILL)
        exchange.answer(status)

    return step


def kill_then_work(victim: Queue[int]) -> Step:
    """Do it late: whoever asked is dead by then."""

    def step(exchange: Exchange) -> None:
        os.kill(victim.get(), signal.SIGKILL)
        exchange.answer(exchange.work())

    return step


@pytest.mark.parametrize(
    "how", [pytest.param(work_then_kill, id="done"), *([pytest.param(kill_then_work, id="late")] if FULL else [])]
)
def test_killed_in_the_middle_of_a_call_it_is_told_once_and_taken_back(
    store: Store, postgres_url: str, tmp_path: Path, server: NoticeServer, how: Callable[[Queue[int]], Step]
) -> None:
    ids = ask_for_notices(store, ["ana"])
    for direction, method, check in ((FORWARD, "POST", check_told), (COMPENSATE, "DELETE", check_taken_back)):
        victim: Queue[int] = Queue()
        server.then(method, how(victim))
        with saga_worker(postgres_url, direction, name=NOTICE, folder=tmp_path) as worker:
            victim.put(worker.process.pid)
            assert died(worker)
        assert gone_on_with(store, postgres_url, direction, tmp_path) == 1
        check(store, server, ids)
        turn(store, ids)
