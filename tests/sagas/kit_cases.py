"""What the kit is given for each definition that there is: a valid input, and the world that it may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, delete, insert, select, update

from selo_dagster.memory.episodes import episode_sources, episode_terms, episodes
from selo_dagster.memory.learnings import learnings
from selo_dagster.memory.summaries import conversation_summaries
from selo_dagster.memory.tables import conversations, messages
from selo_dagster.people.erased_tables import erased_people
from selo_dagster.people.evolution_tables import REVERSED, persona_changes, persona_evolutions, stale_marks
from selo_dagster.people.goals import ACTIVE, CANCELLED, goal_steps, goals
from selo_dagster.people.tables import persona_traits, users
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.erasure.asking import ask
from selo_dagster.sagas.notices import companion_notices
from selo_dagster.sagas.testing import Case
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from selo_dagster.store.upsert import insert_missing
from tests.people.evolving import INITIAL
from tests.support.everything import fill
from tests.support.fakes import NOW, remember, say
from tests.support.notice_server import NoticeServer

REFLECTION = "r1"


def reflection_row(user_id: str, reflection_id: str = REFLECTION, **changes: Any) -> dict[str, Any]:
    """Return the row of a reflection of a person."""
    row = {
        "id": reflection_id,
        "user_id": user_id,
        "kind": "daily",
        "on": date(2026, 11, 22),
        "key": reflection_id,
        "version": 1,
        "content": "a secret thought",
        "themes": [],
        "insights": [],
        "actions": [],
        "emotional_state": {},
        "trait_changes": [],
        "model": "fake",
        "zone": "UTC",
        "zone_rules": "UTC",
        "window_start": NOW,
        "window_end": NOW,
        "input_hash": "0" * 64,
        "created_at": NOW,
    }
    return row | changes


def add_reflection(store: Store, user_id: str, reflection_id: str = REFLECTION, **changes: Any) -> None:
    """Add a reflection of a person."""
    with store.write() as connection:
        connection.execute(insert(reflections).values(reflection_row(user_id, reflection_id, **changes)))


def goal_creation(_server: NoticeServer) -> dict[str, Any]:
    """A goal in two steps; cancelled ones stay, and one that was worked on is not cancelled."""
    return {
        "given": {
            "title": "Learn to swim",
            "description": "Be at ease in deep water",
            "origin": "reflection:r1",
            "steps": ["Find a pool", "Take three lessons"],
        },
        "tables": (goals, goal_steps, relationship_questions),
        "residue": _cancelled,
        "disturb": _work_on_it,
    }


def _cancelled(table: str, row: Mapping[str, Any]) -> bool:
    return table in {"goals", "goal_steps"} and row["state"] == CANCELLED


def _work_on_it(connection: Connection) -> None:
    connection.execute(update(goals).where(goals.c.state == ACTIVE).values(progress=0.5, version=goals.c.version + 1))


def goal_that_is_there(_server: NoticeServer) -> dict[str, Any]:
    """A goal that is there under nearly the same title: it is asked for once more, and no longer; its steps stay."""
    return {
        "given": {
            "title": "Learn to swim.",
            "description": "Once more",
            "origin": "reflection:r2",
            "steps": ["Buy goggles"],
        },
        "tables": (goals, goal_steps, relationship_questions),
        "disturb": _ask_for_it_too,
        "prepare": _have_a_goal,
    }


def _have_a_goal(connection: Connection) -> None:
    goal: dict[str, Any] = {
        "id": "g1",
        "user_id": "ana",
        "title": "Learn to swim",
        "description": "Be at ease",
        "origin": "somebody",
    }
    goal |= {"priority": 0.9, "state": ACTIVE, "created_at": NOW}
    insert_missing(connection, goals, [goal])
    step = {"goal_id": "g1", "place": 1, "description": "Find a pool", "state": "pending"}
    insert_missing(connection, goal_steps, [step])


def _ask_for_it_too(connection: Connection) -> None:
    evidence = connection.execute(select(goals.c.evidence).where(goals.c.id == "g1")).scalar_one()
    connection.execute(update(goals).where(goals.c.id == "g1").values(evidence=[*evidence, "reflection:another"]))


TRAITS = Table(
    "persona_traits",
    MetaData(),
    *(Column(column.name, column.type) for column in persona_traits.c if column.name != "version"),
)
"""All of a trait but how often it was changed: an undo is a change too."""

TRAIT_CHANGES = [
    {"name": "empathy", "delta": 0.1, "reason": "she was sad"},
    {"name": "helpfulness", "delta": 0.2, "reason": "more than there is room for"},
    {"name": "wit", "delta": 0.05, "reason": "she laughed"},
]
INSIGHTS = [{"text": "Ana said “My sister lives in Porto and I love her.”", "evidence": ["message:c1-0"]}]


def persona_evolution(_server: NoticeServer) -> dict[str, Any]:
    """A persona that learns, and is as before; the record of it stays, as does what was marked stale."""
    return {
        "given": {
            "source": "reflection:r2",
            "reflection": "r2",
            "trait_changes": TRAIT_CHANGES,
            "model": "fake",
            "prompt_version": "v1",
        },
        "tables": (TRAITS, persona_evolutions, persona_changes, stale_marks, learnings),
        "residue": _Reversed(),
        "disturb": _move_it_too,
        "prepare": _reflect_twice,
    }


class _Reversed:
    """Initial traits at their initial value, and what tells of an evolution that was taken back."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def __call__(self, table: str, row: Mapping[str, Any]) -> bool:
        if table == "persona_traits":
            return bool(INITIAL.get(row["name"]) == row["value"])
        if table == "persona_evolutions" and row["state"] == REVERSED:
            # They are looked at before what belongs to them.
            self._ids.add(row["id"])
        about = {"persona_evolutions": "id", "persona_changes": "evolution_id", "stale_marks": "because"}
        return table in about and str(row[about[table]]).removeprefix("evolution:") in self._ids


def _reflect_twice(connection: Connection) -> None:
    """Let there be a reflection to learn from, and a later one that rests on what came of it."""
    later = NOW + timedelta(days=60)
    insert_missing(connection, conversations, [{"id": "c1", "user_id": "ana"}])
    said = {"id": "c1-0", "user_id": "ana", "conversation_id": "c1", "role": "user", "at": NOW}
    insert_missing(connection, messages, [said | {"content": "My sister lives in Porto and I love her."}])
    rows = [reflection_row("ana", "r2", insights=INSIGHTS), reflection_row("ana", "r3", created_at=later)]
    insert_missing(connection, reflections, rows)


def _move_it_too(connection: Connection) -> None:
    connection.execute(
        update(persona_traits).where(persona_traits.c.name == "empathy").values(value=persona_traits.c.value - 0.25)
    )


def companion_notice(server: NoticeServer) -> dict[str, Any]:
    """A notice, which is taken back without a trace."""
    return {
        "given": {"reflection_id": REFLECTION},
        "tables": (companion_notices, reflections),
        "outside": lambda: sorted(server.told_and_there),
    }


CONVERSATION = "c1"


def add_words(store: Store, user_id: str) -> None:
    """Add a conversation of a person with a summary, and a memory of it."""
    said = ("My sister lives in Porto and I love her dearly.", "I am afraid of the exam on Friday.")
    say(store, user_id, "2026-11-22T20:00:00Z", *said, prefix=CONVERSATION)
    remember(store, user_id, "m1", "2026-11-22T20:05:00Z", "Ana's sister lives in Porto.", 0.8)
    with store.write() as connection:
        connection.execute(
            insert(conversation_summaries).values(
                conversation_id=CONVERSATION,
                user_id=user_id,
                summary="We said hello.",
                topics=["hello"],
                messages=1,
                version=4,
                saga_id="an earlier one",
                model="fake",
                at=NOW,
            )
        )


def conversation_processing(_server: NoticeServer) -> dict[str, Any]:
    """A conversation with one message more, which stays; learnings go, and the former summary comes back."""
    new = {"id": "c1-new", "role": "user", "content": "I am learning to swim.", "at": "2026-11-22T20:10:00Z"}
    return {
        "given": {"conversation": CONVERSATION, "messages": [new]},
        "tables": (conversations, messages, learnings, conversation_summaries),
        "residue": _a_new_message,
        "disturb": _sum_up_again,
    }


def _a_new_message(table: str, row: Mapping[str, Any]) -> bool:
    return table == "messages" and row["id"] == "c1-new"


def _sum_up_again(connection: Connection) -> None:
    later = {"summary": "We said goodbye.", "topics": [], "messages": 9, "version": 9, "saga_id": "a later one"}
    connection.execute(update(conversation_summaries).values(**later, model="fake", at=NOW))


def episode_generation(_server: NoticeServer) -> dict[str, Any]:
    """A story, which goes with its sources and terms; another one stays."""
    return {
        "given": {"since": "2026-11-22T00:00:00Z"},
        "tables": (episodes, episode_sources, episode_terms),
        "disturb": _tell_another,
    }


def _tell_another(connection: Connection) -> None:
    connection.execute(
        insert(episodes).values(
            id="another",
            user_id="ana",
            saga_id="another one",
            title="A quiet evening",
            narrative="We sat by the window and watched the snow until the street lamps went out.",
            emotion="calm",
            themes=["snow"],
            importance=0.4,
            words=14,
            begins_at=NOW,
            ends_at=NOW,
            model="fake",
            created_at=NOW,
        )
    )
    connection.execute(insert(episode_terms).values(episode_id="another", term="snow", weight=1.0))


def user_erasure(_server: NoticeServer) -> dict[str, Any]:
    """Somebody with a row in every table, beside somebody else with as many; put back before each trial."""
    journal = {"saga_alerts", "saga_attempts", "saga_definitions", "saga_interventions", "saga_steps"}
    return {
        "given": {},
        "tables": [table for table in metadata.sorted_tables if table.name not in journal],
        "residue": _of_the_erasure_itself,
        "prepare": _put_back,
        "ask": _ask_for_erasure,
    }


def _of_the_erasure_itself(table: str, row: Mapping[str, Any]) -> bool:
    return (table == "users" and row["id"].startswith("erased-")) or (
        table == "sagas" and row["type"] == "user_erasure"
    )


def _put_back(connection: Connection) -> None:
    connection.execute(delete(erased_people))
    for user_id in ("ana", "ben"):
        connection.execute(delete(users).where(users.c.id == user_id))
        fill(connection, user_id, "a secret thought")


def _ask_for_erasure(connection: Connection, case: Case, _key: str, now: datetime) -> str:
    asked = ask(
        connection, case.user_id, definition=lambda _name, _version: case.saga, version=1, actor="a trial", now=now
    )
    return asked.saga_id


CASES: Mapping[str, Callable[[NoticeServer], dict[str, Any]]] = {
    "goal_creation": goal_creation,
    "persona_evolution": persona_evolution,
    "companion_notice": companion_notice,
    "conversation_processing": conversation_processing,
    "episode_generation": episode_generation,
    "user_erasure": user_erasure,
}

MORE: Mapping[str, tuple[str, Callable[[NoticeServer], dict[str, Any]]]] = {
    "a goal that is there": ("goal_creation", goal_that_is_there),
}
"""Further worlds of definitions that do something else in them."""
