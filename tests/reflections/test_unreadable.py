"""What another program wrote and nobody can read is its person's failure; everybody else is reflected on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, exc, select, text, update

from selo_dagster.clock import FixedClock
from selo_dagster.llm.budgets.caps import Budget
from selo_dagster.reflections import ready
from selo_dagster.reflections.claim import DEAD_AFTER_LOST, Claim, ledger
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.dead import dead_letters
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.gather import gather
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.prompt import Prompt, prompt_for
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.shapes.computed import Computed
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.reflections.test_budget import budget, run
from tests.support.fakes import NOW, FakeModel, add_person, people_with_a_day, remember, run_cohort, say

SECRET = "planted secret"
ENDLESS = f"[{'9' * 5_000}]"
"""JSON that both databases take, and no Python reads."""

Outcomes = list[tuple[str, str, str | None]]


def zoe_and_others(store: Store) -> None:
    """Four people who are due, and Zoe in the middle of them."""
    people_with_a_day(store, 2)
    add_person(store, "zoe")
    say(store, "zoe", "2026-11-22T10:00:00Z", "hello", prefix="zoe")
    remember(store, "zoe", "m1", "2026-11-22T10:05:00Z", SECRET)
    enrol(store, DAILY, NOW, 3)
    for name in ("q1", "q2"):
        add_person(store, name)
        say(store, name, "2026-11-22T10:00:00Z", f"I am {name}")
    enrol(store, DAILY, NOW, 3)


def nights(store: Store, number: int) -> list[Outcomes]:
    """Run cohorts two hours apart; returns who ended how in each."""
    clock = FixedClock(NOW)
    found = []
    for turn in range(number):
        settled = run_cohort(store, run_id=f"run-{turn}", clock=clock)
        found.append([(one.user_id, one.outcome, one.reason) for one in settled])
        clock.advance(timedelta(hours=2))
    return found


def check_only_zoe_fails(store: Store, error_class: str) -> None:
    first, second, *later = nights(store, 4)
    others = [(name, "done", None) for name in ("p000", "p001", "q1", "q2")]
    assert (first, second, later) == (
        [*others, ("zoe", "failed", error_class)],
        [("zoe", "dead", error_class)],
        [[], []],
    )
    with store.read() as connection:
        (letter,) = dead_letters(connection)
    assert (letter.user, letter.reason, letter.attempts, letter.lost) == ("zoe", error_class, 2, 0)


def test_tags_that_are_no_json_stop_nobody_else(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(sqlite_url)
    zoe_and_others(store)
    with store.write() as connection:
        connection.execute(text("UPDATE memories SET tags = :tags"), {"tags": f"{SECRET}, home"})
    with caplog.at_level(logging.WARNING):
        check_only_zoe_fails(store, "JSONDecodeError")
    assert "cannot be read: JSONDecodeError" in caplog.text
    assert SECRET not in caplog.text
    store.close()


def test_tags_that_python_cannot_read_stop_nobody_else(store: Store) -> None:
    zoe_and_others(store)
    tags = ":tags" if store.dialect == "sqlite" else "CAST(:tags AS jsonb)"
    with store.write() as connection:
        connection.execute(text(f"UPDATE memories SET tags = {tags}"), {"tags": ENDLESS})
    check_only_zoe_fails(store, "ValueError")


def test_words_that_are_no_utf8_put_off_nobody_else(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(sqlite_url)
    zoe_and_others(store)
    latin = SECRET.encode().hex()
    with store.write() as connection:
        connection.execute(text(f"UPDATE messages SET content = CAST(x'{latin}e9' AS TEXT) WHERE user_id = 'zoe'"))
    with caplog.at_level(logging.WARNING):
        check_only_zoe_fails(store, "OperationalError")
    assert SECRET not in caplog.text
    store.close()


class KilledError(BaseException):
    """Ends a run where it stands, as a kill does: nothing of the engine handles it."""


@pytest.mark.parametrize("allowed", [None, budget(fleet=10**9)], ids=["no-budget", "budget"])
def test_a_prompt_that_cannot_be_built_is_one_persons_failure(
    store: Store, monkeypatch: pytest.MonkeyPatch, allowed: Budget | None
) -> None:
    def odd(context: Context, *given: Any) -> Prompt:
        if context.user_id == "p001":
            raise OverflowError
        return prompt_for(context, *given)

    monkeypatch.setattr(ready, "prompt_for", odd)
    people_with_a_day(store, 4)
    first, second, third = (
        {one.user_id: (one.outcome, one.attempts) for one in run(store, FakeModel(), allowed, f"run-{turn}", now=now)}
        for turn, now in enumerate((NOW, NOW + timedelta(hours=2), NOW + timedelta(hours=4)))
    )
    assert first == {"p000": ("done", 1), "p001": ("failed", 1), "p002": ("done", 1), "p003": ("done", 1)}
    assert (second, third) == ({"p001": ("dead", 2)}, {})
    with store.read() as connection:
        assert [one.reason for one in dead_letters(connection)] == ["OverflowError"]


def test_what_cannot_be_computed_without_a_model_is_one_persons_failure(store: Store) -> None:
    class Odd(Computed):
        checks = (object(),)

        def computed(self, context: Context, _: Callable[[], str]) -> Nothing:
            if context.user_id == "p001":
                raise OverflowError
            return Nothing("unchanged", "nothing_new")

    people_with_a_day(store, 3)
    kind = replace(DAILY, shape=Odd())
    found = {one.user_id: (one.outcome, one.reason) for one in run_cohort(store, kind=kind)}
    assert found == {
        "p000": ("unchanged", "nothing_new"),
        "p001": ("failed", "OverflowError"),
        "p002": ("unchanged", "nothing_new"),
    }


def failing(monkeypatch: pytest.MonkeyPatch, broken: Callable[[Sequence[Claim]], BaseException | None]) -> list[int]:
    """Let reading a chunk raise what `broken` returns for it; returns how many were read at once each time."""
    sizes: list[int] = []

    def read(connection: Connection, kind: Any, claims: Sequence[Claim], most: int) -> Any:
        sizes.append(len(claims))
        error = broken(claims)
        if error is not None:
            raise error
        return gather(connection, kind, claims, most)

    monkeypatch.setattr(ready, "gather", read)
    return sizes


def test_the_one_to_blame_is_found_by_halves(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people_with_a_day(store, 32)
    blamed = exc.DataError("SELECT", {}, Exception())
    sizes = failing(monkeypatch, lambda claims: blamed if "p020" in {one.user_id for one in claims} else None)
    found = {one.user_id: one.outcome for one in run_cohort(store, chunk=32)}
    assert found.pop("p020") == "failed"
    assert set(found.values()) == {"done"}
    assert sizes.count(32) == 1
    assert len(sizes) == 1 + 2 * 5


def test_whoever_kills_the_process_that_reads_them_is_dead_at_last_and_everybody_else_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = people_with_a_day(store, 12)
    killed = KilledError()
    failing(monkeypatch, lambda claims: killed if "p002" in {one.user_id for one in claims} else None)
    for turn in range(DEAD_AFTER_LOST + 1):
        with suppress(KilledError):
            run_cohort(store, run_id=f"run-{turn}", chunk=5)
        with store.write() as connection:
            connection.execute(update(ledger).where(ledger.c.state == "claimed").values(lease_until=database_now(-1)))
    with store.read() as connection:
        (letter,) = dead_letters(connection)
        done = connection.execute(select(ledger.c.user_id).where(ledger.c.state == "done")).scalars().all()
    assert (letter.user, letter.reason, letter.attempts, letter.lost) == ("p002", "lost_claims", 0, DEAD_AFTER_LOST)
    assert sorted([*done, letter.user]) == names


@pytest.mark.parametrize(
    "broken",
    [
        exc.OperationalError("SELECT", {}, Exception("database is locked")),
        exc.InterfaceError("SELECT", {}, Exception("connection already closed")),
        exc.ProgrammingError("SELECT", {}, Exception("a replica that is behind")),
        exc.TimeoutError("no connection is free"),
    ],
    ids=lambda broken: type(broken).__name__,
)
def test_a_database_that_cannot_be_asked_puts_everybody_off_and_is_asked_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, broken: Exception
) -> None:
    people_with_a_day(store, 6)
    with monkeypatch.context() as patched:
        sizes = failing(patched, lambda _: broken)
        found = run_cohort(store)
    assert {(one.outcome, one.reason) for one in found} == {("deferred", "could_not_look")}
    assert sizes == [6]
    with store.read() as connection:
        assert set(connection.execute(select(ledger.c.state)).scalars()) == {"deferred"}
