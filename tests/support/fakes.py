"""Fakes: a model that answers by the book or as told, and builders of people and their days."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from selo_dagster.clock import BEGINNING, Clock, FixedClock, parse_instant
from selo_dagster.llm.citations import QUOTE_LIMIT
from selo_dagster.llm.protocol import Completion, CompletionRequest, Evidence
from selo_dagster.llm.quotes import weighs
from selo_dagster.memory.tables import conversations, memories, messages
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.equipment import CohortLimits, Tools
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.settle import OnMade, Settlement
from selo_dagster.store.engine import Store

NOW = parse_instant("2026-11-23T12:00:00Z")
"""Monday noon in Greenwich: Sunday 22 November has ended everywhere."""

Answering = Callable[[CompletionRequest], Awaitable[str]]


def cited(*sources: Evidence) -> list[dict[str, str]]:
    """Return citations of sources, each with the beginning of its text as a quote."""
    return [{"source": one.alias, "quote": beginning(one.text)} for one in sources]


def beginning(text: str) -> str:
    """Return the first words of a text, as many as a quote may have."""
    if len(text) <= QUOTE_LIMIT:
        return text
    words = text[:QUOTE_LIMIT].rsplit(" ", 1)[0]
    # One endless word may be cut anywhere.
    return words if weighs(words) else text[:QUOTE_LIMIT]


def lettered(digits: str) -> str:
    """Return hex digits as letters: a word of figures alone may be taken for a number that tells who somebody is."""
    return digits.translate(str.maketrans("0123456789", "ghijklmnop"))


def good_answer(request: CompletionRequest, **changes: Any) -> str:
    """Return an answer that passes every check; differs between people, days and sources."""
    who = f"{request.subject} on {request.covers}"
    seen = "".join(source.text for source in request.evidence) + request.covers
    stem = lettered(hashlib.sha256(seen.encode("utf-8", "replace")).hexdigest()[:12])
    words = " ".join(f"{stem}{number}" for number in range(75))
    answer = {
        "content": f"I think of {who}. {words}",
        "themes": ["a theme"],
        "insights": [{"text": "They said something.", "evidence": cited(request.evidence[0])}],
        "actions": ["Ask again."],
        "emotional_state": {"primary": "calm", "intensity": 0.3, "secondary": []},
        "trait_changes": [],
    }
    return json.dumps(answer | changes)


def good_mantra(request: CompletionRequest) -> str:
    """Return a mantra that passes every check; differs between days."""
    return json.dumps({"mantra": f"I keep {request.covers.replace(' ', '')} close and go on gently."})


def good_questions(request: CompletionRequest) -> str:
    """Return one question that passes every check; differs between days."""
    day = request.covers.replace(" ", "")
    one = {"question": f"Which {day}alpha {day}beta {day}gamma stayed with you?", "topic": day}
    one |= {"priority": 2, "suggested_delay_days": 1, "evidence": cited(request.evidence[0])}  # type: ignore[dict-item]
    return json.dumps({"questions": [one], "notes": ""})


async def by_the_book(request: CompletionRequest) -> str:
    """Answer well at once."""
    by_task = {"reflection": good_answer, "mantra": good_mantra, "questions": good_questions}
    return by_task[request.task](request)


@dataclass
class FakeModel:
    """Answers with `answering` and remembers what it was asked."""

    answering: Answering = by_the_book
    name: str = "fake"
    capacity: int | None = None
    corrigible: bool = False
    in_process: bool = False
    closed: bool = False
    asked: list[CompletionRequest] = field(default_factory=list)

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer as told."""
        self.asked.append(request)
        text = await self.answering(request)
        return Completion(text, self.name, 10, 20, "stop", 0.0)


def add_person(store: Store, user_id: str, *, zone: str = "UTC", name: str | None = None) -> None:
    """Add somebody who lives in `zone` from the beginning."""
    with store.write() as connection:
        connection.execute(insert(users).values(id=user_id, key=user_id, name=name or user_id, zone=zone))
        connection.execute(
            insert(user_statements).values(user_id=user_id, since=BEGINNING, name=name or user_id, zone=zone)
        )


def say(
    store: Store, user_id: str, at: str | datetime, *texts: str, role: str = "user", prefix: str | None = None
) -> list[str]:
    """Add messages of a person, a minute apart; returns their ids."""
    first = parse_instant(at) if isinstance(at, str) else at
    stem = prefix or f"{user_id}-{first:%Y%m%dT%H%M}"
    rows = [
        {
            "id": f"{stem}-{number}",
            "user_id": user_id,
            "conversation_id": stem,
            "role": role,
            "content": text,
            "at": first + timedelta(minutes=number),
        }
        for number, text in enumerate(texts or ("hello there",))
    ]
    with store.write() as connection:
        connection.execute(insert(conversations).values(id=stem, user_id=user_id))
        connection.execute(insert(messages), rows)
    return [str(row["id"]) for row in rows]


def remember(store: Store, user_id: str, memory_id: str, at: str, text: str, importance: float = 0.5) -> None:
    """Add a memory of a person."""
    with store.write() as connection:
        connection.execute(
            insert(memories).values(
                id=memory_id,
                user_id=user_id,
                kind="fact",
                content=text,
                importance=importance,
                at=parse_instant(at),
                tags=["tag"],
            )
        )


def people_with_a_day(store: Store, number: int) -> list[str]:
    """Add people who said something on Sunday and are due for it; returns their ids."""
    names = [f"p{index:03}" for index in range(number)]
    for name in names:
        add_person(store, name)
        say(store, name, "2026-11-22T10:00:00Z", f"I am {name}")
    enrol(store, DAILY, NOW, 3)
    return names


def tools(
    store: Store, model: FakeModel | None = None, clock: Clock | None = None, on_made: OnMade | None = None
) -> Tools:
    """Return deterministic tools; nothing follows from what is made unless `on_made` asks for it."""
    return Tools(store, model or FakeModel(), clock or FixedClock(NOW), Random(7), lambda: uuid4().hex, on_made)


def limits(**changes: Any) -> CohortLimits:
    """Return generous limits."""
    values: dict[str, Any] = {
        "chunk": 10,
        "per_person": 4,
        "concurrency": 4,
        "lease_s": 30.0,
        "run_s": 600.0,
        "context_characters": 10_000,
        "person": Limits(5.0, 8.0),
    }
    return CohortLimits(**(values | changes))


def run_cohort(
    store: Store,
    model: FakeModel | None = None,
    *,
    run_id: str = "run-1",
    clock: Clock | None = None,
    request_id: str | None = None,
    kind: Kind = DAILY,
    on_made: OnMade | None = None,
    **changes: Any,
) -> list[Settlement]:
    """Run one cohort to its end; returns its settlements in order of person and date."""
    made = tools(store, model, clock, on_made)
    cohort = Cohort(kind, run_id, limits(**changes), made, lambda _: None, request_id)
    found = [one for batch in settlements(cohort) for one in batch]
    return sorted(found, key=lambda one: (one.user_id, one.on))
