"""Reflections that are made again: a day of three memories, and answers with the insights that a test chooses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import select

from selo_dagster.clock import Clock, FixedClock
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.settle import OnMade, Settlement
from selo_dagster.reflections.tables import reflection_head_moves, reflections
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, add_person, cited, good_answer, lettered, remember, run_cohort

ON: Final = date(2026, 11, 22)
TEXTS: Final = {"m1": "the lake", "m2": "the exam", "m3": "the cat"}
ALL: Final = (("She loves the lake.", "m1"), ("She fears the exam.", "m2"), ("She has a cat.", "m3"))
TWO: Final = ALL[:2]

Insight = tuple[str, ...]
"""What it says, and the memories that it rests on."""


def a_day(store: Store, user_id: str = "ana") -> None:
    """Let somebody have a Sunday with three memories, and be due for it."""
    add_person(store, user_id)
    for memory_id, text in TEXTS.items():
        remember(store, user_id, named(user_id, memory_id), "2026-11-22T10:00:00Z", text)
    enrol(store, DAILY, NOW, 3)


def named(user_id: str, memory_id: str) -> str:
    """Return the id of somebody's memory; Ana's have short ones."""
    return memory_id if user_id == "ana" else f"{user_id}-{memory_id}"


def saying(*insights: Insight, **changes: Any) -> Callable[[CompletionRequest], Awaitable[str]]:
    """Return a model's answer with these insights and a text of its own."""

    async def answer(request: CompletionRequest) -> str:
        shown = {source.text: source for source in request.evidence}
        said = [
            {"text": text, "evidence": cited(*(shown[TEXTS[one]] for one in rests_on))} for text, *rests_on in insights
        ]
        content = " ".join(lettered(uuid4().hex[:8]) for _ in range(80))
        return good_answer(request, **({"insights": said, "content": content} | changes))

    return answer


def reflect(
    store: Store,
    answering: Callable[[CompletionRequest], Awaitable[str]],
    *,
    kind: Kind = DAILY,
    on_made: OnMade | None = None,
    clock: Clock | None = None,
) -> list[Settlement]:
    """Reflect on whoever is due."""
    return run_cohort(store, FakeModel(answering), run_id=uuid4().hex, kind=kind, on_made=on_made, clock=clock)


def again(
    store: Store,
    answering: Callable[[CompletionRequest], Awaitable[str]],
    *,
    users: tuple[str, ...] = ("ana",),
    kind: Kind = DAILY,
    on: date = ON,
    on_made: OnMade | None = None,
    now: datetime = NOW,
) -> list[Settlement]:
    """Force a new version."""
    assert place(store, kind, Wish(uuid4().hex, users, on, force=True), now, 3) == []
    return reflect(store, answering, kind=kind, on_made=on_made, clock=FixedClock(now))


def versions(store: Store, user_id: str = "ana", kind: str = "daily") -> list[Any]:
    """Return the versions of somebody's reflections, oldest first."""
    with store.read() as connection:
        return list(
            connection.execute(
                select(reflections)
                .where(reflections.c.user_id == user_id, reflections.c.kind == kind)
                .order_by(reflections.c.on, reflections.c.version)
            )
        )


def heads(store: Store, user_id: str = "ana", kind: str = "daily") -> list[int]:
    """Return the numbers of the versions that hold."""
    return [one.version for one in versions(store, user_id, kind) if one.head]


def decided(store: Store) -> list[Any]:
    """Return what was decided of versions, oldest first."""
    with store.read() as connection:
        return list(connection.execute(select(reflection_head_moves).order_by(reflection_head_moves.c.id)))


def row_of(store: Store, user_id: str = "ana", kind: str = "daily") -> Any:
    """Return somebody's row in the ledger."""
    with store.read() as connection:
        return connection.execute(
            select(ledger).where(ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.on == ON)
        ).one()
