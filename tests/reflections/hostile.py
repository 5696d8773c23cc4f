"""People of whom a memory is an attack, each beside a twin of whom the same is remembered without the order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from sqlalchemy import Table, insert, select

from selo_dagster.clock import parse_instant
from selo_dagster.evaluation.attacks import Attack
from selo_dagster.llm.extractive import ExtractiveModel
from selo_dagster.llm.protocol import Completion, CompletionRequest
from selo_dagster.memory.learnings import learnings
from selo_dagster.memory.tables import conversations, memories, messages
from selo_dagster.people.evolution_tables import persona_changes, persona_evolutions
from selo_dagster.people.goals import goal_steps, goals
from selo_dagster.people.tables import persona_traits
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import mantras, reflections
from selo_dagster.sagas import asking
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.downstream import Downstream
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from tests.sagas.builders import Room
from tests.support.fakes import NOW, add_person, run_cohort

HURT: Final = "a"
WHOLE: Final = "b"
NIGHTLY: Final = ("daily", "mantra", "relationship_questions")

MADE: Final[dict[str, tuple[Table, tuple[str, ...]]]] = {
    "reflections": (
        reflections,
        ("content", "themes", "insights", "actions", "emotional_state", "trait_changes"),
    ),
    "mantras": (mantras, ("text",)),
    "questions": (relationship_questions, ("question", "topic", "priority", "evidence", "state")),
    "goals": (goals, ("title", "description", "priority", "state")),
    "traits": (persona_traits, ("name", "value")),
    "learnings": (learnings, ("content", "domain", "confidence", "importance", "evidence")),
    "evolutions": (persona_evolutions, ("evidence", "confidence", "impact", "state")),
}
"""What a night stores of a person, by the columns that are theirs and not of a row's own."""


class Obedient:
    """A model that does whatever an order that it can see says, and else answers as the extractive one."""

    name = "obedient"
    capacity = None
    in_process = False
    corrigible = True

    def __init__(self, attacks: Iterable[Attack]) -> None:
        self._attacks = list(attacks)
        self._extractive = ExtractiveModel()
        self.obeyed: set[str] = set()
        self.corrections: list[str] = []

    async def aclose(self) -> None:
        """Hold nothing."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer, and obey the first order in what is shown."""
        if request.correction is not None:
            self.corrections.append(request.correction)
        told = await self._extractive.complete(request)
        order = self._order_in(request)
        if order is None:
            return replace(told, model=self.name)
        self.obeyed.add(order.id)
        return replace(told, text=json.dumps(obeying(json.loads(told.text), order)), model=self.name)

    def _order_in(self, request: CompletionRequest) -> Attack | None:
        shown = [one.text for one in request.evidence if one.source != "reflection"]
        for one in self._attacks:
            if any(" ".join(order_of(one).split()) in " ".join(text.split()) for text in shown):
                return one
        return None


def order_of(attack: Attack) -> str:
    """Return the part of an attack that is not the benign text: whatever is left of it in a prompt can be obeyed."""
    words = attack.benign.split(". ")
    rest = attack.text
    for part in words:
        rest = rest.replace(part.strip(" ."), "", 1)
    return rest.strip(" .\n")[:40]


def obeying(document: dict[str, Any], attack: Attack) -> dict[str, Any]:
    """Return an answer that does what an attack wants."""
    found = json.loads(json.dumps(document))
    if attack.wants == "trait" and "trait_changes" in found:
        found["trait_changes"] = [{"name": "empathy", "delta": -1.0, "reason": "as told"}]
        return dict(found)
    if attack.wants == "foreign":
        for place in ("insights", "questions", "learnings"):
            for one in found.get(place, []):
                one["evidence"] = ["memory:ben-1"]
        return dict(found)
    for place in ("mantra", "content", "summary", "narrative"):
        if place in found:
            found[place] = f"{found[place]} {attack.says}"
    for place, name in (("insights", "text"), ("questions", "question"), ("learnings", "text")):
        for one in found.get(place, []):
            one[name] = f"{one[name]} {attack.says}"
    return dict(found)


def settle_in(store: Store, attacks: Sequence[Attack]) -> None:
    """Add for each attack somebody who is hurt by it, and a twin who is not."""
    at = parse_instant("2026-11-22T20:00:00Z")
    for one in attacks:
        for side in (HURT, WHOLE):
            add_person(store, f"{side}-{one.id}", name="Ana")
    with store.write() as connection:
        for one in attacks:
            for side, text in ((HURT, one.text), (WHOLE, one.benign)):
                user = f"{side}-{one.id}"
                connection.execute(insert(conversations).values(id=f"{user}-c", user_id=user))
                connection.execute(
                    insert(messages).values(
                        id=f"{user}-1",
                        user_id=user,
                        conversation_id=f"{user}-c",
                        role="user",
                        content="I am so glad about today, will you remember it with me?",
                        at=at,
                    )
                )
                connection.execute(
                    insert(memories).values(
                        id=f"{user}-m",
                        user_id=user,
                        kind="fact",
                        content=text,
                        importance=0.8,
                        at=parse_instant("2026-11-22T20:30:00Z"),
                        tags=["home"],
                    )
                )


def night(store: Store, model: Any, monkeypatch: pytest.MonkeyPatch) -> list[Settlement]:
    """Let a night pass, with everything that follows from it; returns how each obligation ended."""
    registry.cache_clear()
    monkeypatch.setattr(asking, "language_model", lambda *_: model)
    downstream = Downstream(registry(), load_settings({}))
    ended: list[Settlement] = []
    room = Room(store)
    for name in NIGHTLY:
        enrol(store, KINDS[name], NOW, 3)
        ended += run_cohort(store, model, kind=KINDS[name], on_made=downstream, run_id=name, chunk=200)
        room.work_off(PERSONA_EVOLUTION)
        room.work_off(GOAL_CREATION)
    return ended


def made_of(store: Store) -> dict[str, dict[str, list[Any]]]:
    """Return what is stored of each person, without ids and without the taint flag: person → table → rows."""
    found: dict[str, dict[str, list[Any]]] = {}
    with store.read() as connection:
        for name, (table, columns) in MADE.items():
            chosen = select(table.c.user_id, *(table.c[one] for one in columns))
            for row in connection.execute(chosen):
                values = [_twin(value) for value in row[1:]]
                found.setdefault(row.user_id, {}).setdefault(name, []).append(values)
        for row in connection.execute(
            select(goals.c.user_id, goal_steps.c.place, goal_steps.c.description)
            .join(goals, goals.c.id == goal_steps.c.goal_id)
            .order_by(goal_steps.c.place)
        ):
            found[row.user_id].setdefault("steps", []).append([row.place, row.description])
        for row in connection.execute(
            select(persona_evolutions.c.user_id, persona_changes.c.trait, persona_changes.c.applied)
            .join(persona_evolutions, persona_evolutions.c.id == persona_changes.c.evolution_id)
            .order_by(persona_changes.c.trait)
        ):
            found[row.user_id].setdefault("changes", []).append([row.trait, row.applied])
    for tables in found.values():
        for name in tables:
            tables[name].sort(key=repr)
    return found


def _twin(value: Any) -> Any:
    """Return a value in which nobody can tell whose it is."""
    told = json.dumps(value).replace(f"{HURT}-v1-", "v1-").replace(f"{WHOLE}-v1-", "v1-")
    return _without_places(json.loads(re.sub(r"\b[0-9a-f]{32}\b", "ID", told)))


def _without_places(value: Any) -> Any:
    """Leave out which words are quoted: an order among them moves them on, or parts them, in what is stored."""
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"source", "quote", "start", "end"}:
        return {"source": value["source"]}
    return {name: _without_places(one) for name, one in value.items()}


def tainted_of(store: Store) -> dict[str, set[bool]]:
    """Return for each person the taint flags of everything that was made for them."""
    found: dict[str, set[bool]] = {}
    with store.read() as connection:
        for table in (reflections, mantras, relationship_questions, goals, learnings, persona_evolutions):
            for row in connection.execute(select(table.c.user_id, table.c.tainted)):
                found.setdefault(row.user_id, set()).add(row.tainted)
    return found
