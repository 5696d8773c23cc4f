"""A reflection is never overwritten: each version is kept, one of them holds, and everybody reads that one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from selo_dagster.clock import FixedClock
from selo_dagster.errors import SeloError
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.tables import memories
from selo_dagster.people.tables import users
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.heads import roll_back
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.recipes.former import earlier_texts, heads_of
from selo_dagster.reflections.recipes.sources import earlier_of
from selo_dagster.reflections.report import counted, metadata_of, outcomes_of_run
from selo_dagster.reflections.tables import reflection_days, reflection_sources, reflections
from selo_dagster.store.engine import Store
from tests.reflections.remaking import ALL, ON, TWO, a_day, again, decided, heads, reflect, row_of, saying, versions
from tests.support.fakes import NOW, FakeModel, by_the_book, cited, good_answer, lettered, run_cohort, say

FRIDAY = date(2026, 11, 20)
SUNDAY = NOW.replace(day=29)
"""When the week is over that Ana's Sunday begins."""

Answering = Callable[[CompletionRequest], Awaitable[str]]


@pytest.fixture
def store(store: Store) -> Store:
    """Ana, who had a Sunday with three memories."""
    a_day(store)
    return store


@pytest.fixture
def made(store: Store) -> Store:
    """Ana, whose Sunday has a first version with three insights."""
    (settled,) = reflect(store, saying(*ALL))
    assert settled.outcome == "done"
    return store


def back(store: Store, version: int, *, kind: str = "daily", on: date = ON) -> bool:
    """Let a version of Ana's hold; tells whether another one held."""
    with store.write() as connection:
        done = roll_back(
            connection, user_id="ana", kind=kind, on=on, version=version, actor="ben", because="it was better", now=NOW
        )
    return done.changed


def read_by(store: Store, reflection_id: str) -> list[tuple[str, str, str]]:
    """Return what a version read: source, id and use."""
    chosen = reflection_sources.c
    with store.read() as connection:
        rows = connection.execute(
            select(chosen.source, chosen.source_id, chosen.use).where(chosen.reflection_id == reflection_id)
        )
        return [(row.source, row.source_id, row.use) for row in rows]


class TestTheHead:
    def test_the_first_version_holds_and_nothing_had_to_be_decided(self, made: Store) -> None:
        (one,) = versions(made)
        assert (one.version, one.head, one.parents) == (1, True, [])
        assert (decided(made), row_of(made).reflection_id) == ([], one.id)

    def test_a_new_version_that_keeps_what_was_understood_takes_the_place_of_the_former(self, made: Store) -> None:
        (settled,) = again(made, saying(*reversed(ALL)))
        one, two = versions(made)
        assert (settled.outcome, settled.reason, settled.reflection_id) == ("done", None, two.id)
        assert [(each.version, each.head, each.parents) for each in (one, two)] == [(1, False, []), (2, True, [one.id])]
        (move,) = decided(made)
        assert (move.moved, move.reason, move.live, move.lost) == (True, "new_version", 3, 0)
        assert (move.reflection_id, move.former_id, move.user_id) == (two.id, one.id, "ana")
        assert move.actor == f"run {row_of(made).run_id}"
        assert row_of(made).reflection_id == two.id

    def test_one_that_loses_too_much_is_kept_beside_it_and_says_so(self, made: Store) -> None:
        asked: list[str] = []
        (settled,) = again(made, saying(*TWO), on_made=lambda *given: asked.append(given[2].id))
        one, two = versions(made)
        assert (settled.outcome, settled.reason, settled.reflection_id) == ("unchanged", "loss_guard", one.id)
        assert [(each.version, each.head, each.parents) for each in (one, two)] == [(1, True, []), (2, False, [one.id])]
        (move,) = decided(made)
        assert (move.moved, move.reason, move.live, move.lost) == (False, "loss_guard", 3, 1)
        row = row_of(made)
        assert (row.state, row.reason, row.reflection_id) == ("unchanged", "loss_guard", one.id)
        # Nothing follows from what does not hold.
        assert asked == []
        assert len(read_by(made, two.id)) == 3

    def test_the_next_one_is_held_against_the_one_that_holds(self, made: Store) -> None:
        again(made, saying(*TWO))
        again(made, saying(ALL[2]))
        (settled,) = again(made, saying(*ALL))
        one, two, three, four = versions(made)
        assert (settled.outcome, heads(made)) == ("done", [4])
        assert [each.parents for each in (two, three, four)] == [[one.id]] * 3
        assert [move.lost for move in decided(made)] == [1, 2, 0]
        assert row_of(made).reflection_id == four.id

    def test_what_rests_on_nothing_any_more_is_nobodys_loss(self, made: Store) -> None:
        with made.write() as connection:
            connection.execute(delete(memories).where(memories.c.id == "m3"))
        (settled,) = again(made, saying(*TWO))
        assert (settled.outcome, heads(made)) == ("done", [2])
        assert [(move.live, move.lost) for move in decided(made)] == [(2, 0)]

    def test_days_that_came_late_stay_late_when_what_read_them_does_not_hold(self, made: Store) -> None:
        say(made, "ana", "2026-11-20T10:00:00Z", "on Friday", prefix="friday")
        for answer, late in ((saying(*TWO), [FRIDAY]), (saying(*ALL), [])):
            with made.write() as connection:
                connection.execute(delete(reflection_days).where(reflection_days.c.on == FRIDAY))
                connection.execute(insert(reflection_days).values(user_id="ana", on=FRIDAY, enrolled=True, late=True))
            (settled,) = again(made, answer)
            assert ("message", "friday-0", "read") in read_by(made, versions(made)[-1].id)
            with made.read() as connection:
                found = connection.execute(select(reflection_days.c.on).where(reflection_days.c.late)).scalars().all()
            assert (settled.outcome == "done", found) == (not late, late)

    def test_no_two_versions_can_hold_whoever_writes_them(self, made: Store) -> None:
        again(made, saying(*ALL))
        with pytest.raises(IntegrityError), made.write() as connection:
            connection.execute(update(reflections).values(head=True))
        assert heads(made) == [2]


async def _breaks_a_rule(request: CompletionRequest) -> str:
    return good_answer(request, themes=[])


async def _says_nothing(request: CompletionRequest) -> str:
    return good_answer(request, content="")


async def _rests_on_nothing(request: CompletionRequest) -> str:
    return good_answer(request, insights=[{"text": "She is kind.", "evidence": ["m99"]}])


async def _is_empty(_: CompletionRequest) -> str:
    return ""


async def _fails(_: CompletionRequest) -> str:
    raise ModelError("bad_request")


@pytest.mark.parametrize(
    ("answering", "outcome"),
    [
        (_breaks_a_rule, "rejected"),
        (_says_nothing, "rejected"),
        (_rests_on_nothing, "rejected"),
        (_is_empty, "rejected"),
        (_fails, "failed"),
    ],
)
def test_r9_what_is_empty_or_broken_never_becomes_the_head(made: Store, answering: Answering, outcome: str) -> None:
    """R9: empty output never changes the head: nor does what is rejected, or fails, and it is no version at all."""
    before = versions(made)
    (settled,) = again(made, answering)
    assert (settled.outcome, versions(made), decided(made)) == (outcome, before, [])
    assert row_of(made).reflection_id == before[0].id
    (settled,) = again(made, saying(*ALL))
    assert (settled.outcome, heads(made)) == ("done", [2])


def test_r9_a_day_of_which_nothing_is_left_keeps_its_head(made: Store) -> None:
    """R9: empty output never changes the head: there is nothing to read any more, and nothing is made."""
    with made.write() as connection:
        connection.execute(delete(memories))
    (settled,) = again(made, by_the_book)
    assert (settled.outcome, heads(made), row_of(made).reflection_id) == ("skipped", [1], versions(made)[0].id)


class TestARollback:
    def test_any_version_may_hold_again_and_it_is_kept_who_and_why(self, made: Store) -> None:
        again(made, saying(*ALL))
        assert back(made, 1)
        assert (heads(made), row_of(made).reflection_id) == ([1], versions(made)[0].id)
        move = decided(made)[-1]
        assert (move.moved, move.reason, move.actor, move.because, move.at) == (
            True,
            "rollback",
            "ben",
            "it was better",
            NOW,
        )
        assert (move.reflection_id, move.former_id) == (versions(made)[0].id, versions(made)[1].id)

    def test_twice_changes_nothing(self, made: Store) -> None:
        again(made, saying(*ALL))
        assert (back(made, 1), back(made, 1), back(made, 1)) == (True, False, False)
        assert len(decided(made)) == 2

    def test_one_that_was_held_back_may_hold_and_is_done_then(self, made: Store) -> None:
        again(made, saying(*TWO))
        assert back(made, 2)
        row = row_of(made)
        assert (heads(made), row.state, row.reason) == ([2], "done", None)
        # From then on, two are all that a new one has to keep.
        (settled,) = again(made, saying(*TWO))
        assert (settled.outcome, heads(made)) == ("done", [3])

    @pytest.mark.parametrize(("kind", "on", "version", "code"), [
        ("daily", ON, 3, "unknown_version"),
        ("weekly", ON, 1, "no_versions"),
        ("daily", date(2026, 11, 21), 1, "no_versions"),
    ])  # fmt: skip
    def test_what_is_not_there_cannot_hold(self, made: Store, kind: str, on: date, version: int, code: str) -> None:
        with pytest.raises(SeloError) as refused:
            back(made, version, kind=kind, on=on)
        assert (refused.value.code, heads(made)) == (code, [1])


class TestWhoeverReads:
    """Everybody reads the version that holds, not the newest."""

    @pytest.fixture
    def rolled_back(self, made: Store) -> tuple[Store, str]:
        """Ana's Sunday, of which the first of three versions holds; and what that says."""
        again(made, saying(*ALL))
        again(made, saying(*TWO))
        back(made, 1)
        return made, versions(made)[0].content

    def test_a_later_reflection(self, rolled_back: tuple[Store, str]) -> None:
        store, says = rolled_back
        tomorrow = Claim(1, "ana", "daily", date(2026, 11, 23), "2026-11-23", NOW, 1, 1, 0)
        with store.read() as connection:
            assert [row.text for row in heads_of(connection, "daily", ["ana"], ON, ON)] == [says]
            assert earlier_of(connection, [tomorrow]) == {1: [says]}
            assert earlier_texts(connection, "ana", NOW, 5) == (says,)

    @pytest.mark.parametrize("kind", ["mantra", "relationship_questions", "weekly"])
    def test_what_follows_the_daily(self, rolled_back: tuple[Store, str], kind: str) -> None:
        store, says = rolled_back
        now = SUNDAY if kind == "weekly" else NOW
        look(store, KINDS[kind], now, 3)
        model = FakeModel()
        found = run_cohort(store, model, kind=KINDS[kind], run_id=kind, clock=FixedClock(now))
        assert [one.outcome for one in found] == ["done"]
        told = [source.text for source in model.asked[0].evidence if source.source == "reflection"]
        assert told == [says]

    def test_a_weekly_keeps_what_it_understood_of_a_day_that_was_made_again(self, made: Store) -> None:
        weekly = KINDS["weekly"]
        look(made, weekly, SUNDAY, 3)

        async def of_the_day(request: CompletionRequest) -> str:
            (daily,) = [source for source in request.evidence if source.source == "reflection"]
            # In words of its own each time: it is the source that is the same.
            said = " ".join(lettered(uuid4().hex) for _ in range(8))
            return good_answer(request, insights=[{"text": said, "evidence": cited(daily)}])

        assert [one.outcome for one in reflect(made, of_the_day, kind=weekly, clock=FixedClock(SUNDAY))] == ["done"]
        again(made, saying(*ALL))
        (settled,) = again(made, of_the_day, kind=weekly, on=date(2026, 11, 28), now=SUNDAY)
        first, second = versions(made, kind="weekly")
        assert first.insights[0]["evidence"] != second.insights[0]["evidence"]
        assert (settled.outcome, second.head) == ("done", True)


def test_a_ledger_row_is_made_again_as_often_as_somebody_insists(made: Store) -> None:
    for number in range(2, 6):
        again(made, saying(*(TWO if number % 2 else ALL)))
        assert [one.version for one in versions(made)] == list(range(1, number + 1))
    assert heads(made) == [4]


def test_the_numbers_of_a_night_count_a_held_version_as_unchanged(made: Store) -> None:
    (settled,) = again(made, saying(*TWO))
    shown = metadata_of(settled)
    assert (shown["outcome"], shown["reason"]) == ("unchanged", "loss_guard")
    with made.read() as connection:
        found = outcomes_of_run(connection, row_of(made).run_id)
    assert counted(one.outcome for one in found)["unchanged"] == 1
    assert found[0].reflection_id == versions(made)[0].id


def test_versions_go_with_the_person(made: Store) -> None:
    again(made, saying(*TWO))
    with made.write() as connection:
        connection.execute(delete(users).where(users.c.id == "ana"))
    assert (versions(made), decided(made)) == ([], [])


def test_a_row_that_another_writer_inserts_holds_unless_it_says_otherwise(store: Store) -> None:
    values: dict[str, Any] = {
        "id": "r1", "user_id": "ana", "kind": "daily", "on": ON, "key": str(ON), "version": 1, "content": "x",
        "themes": [], "insights": [], "actions": [], "emotional_state": {}, "trait_changes": [], "model": "x",
        "zone": "UTC", "zone_rules": "x", "window_start": NOW, "window_end": NOW, "input_hash": "x", "created_at": NOW,
    }  # fmt: skip
    with store.write() as connection:
        connection.execute(insert(reflections).values(values))
    assert (heads(store), versions(store)[0].parents) == ([1], [])
