"""What a finished reflection asks for: an evolution of the persona, and a goal. In the transaction that finishes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, or_, select

from selo_dagster.errors import SeloError
from selo_dagster.llm.rendering import RULES
from selo_dagster.people.evolution import Record, Wish, evolve, record
from selo_dagster.people.evolution_tables import REVERSED, persona_evolutions
from selo_dagster.people.goals import ACTIVE, goals
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.settle import Made
from selo_dagster.reflections.shapes.reassessment import MadeReassessment
from selo_dagster.reflections.shapes.reflection import MadeReflection
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.given import id_from
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.review import take_back_directly
from selo_dagster.sagas.start import random_id, start
from selo_dagster.sagas.states import CANCELLED, COMPLETED, ENDED, FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.settings import Settings

PERSONA: Final = "persona_evolution"
GOAL: Final = "goal_creation"

PLANNING: Final = frozenset({"daily", "weekly"})
"""Kinds whose actions become a goal; the others come too often for that."""

MOST_OPEN: Final = 20
LEAST_ACTION: Final = 10
"""Characters of an action that says something (the predecessor's bound)."""

CONFIDENCE: Final = 0.8


class Downstream:
    """Asks for what follows from a reflection. Once for each: a new version asks only where somebody wished it to."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry = registry
        self._settings = settings

    def __call__(self, connection: Connection, claim: Claim, made: Made, now: datetime) -> None:
        """Ask, in the transaction that finishes the reflection."""
        again = claim.version > 1
        if again and not claim.evolve:
            return
        kind = KINDS[claim.kind].caused_by(claim.cause)
        if isinstance(made, MadeReassessment):
            former = [_reassessment(claim, version) for version in range(1, claim.version)]
            self._undo(connection, claim.user_id, former, now)
            source = _reassessment(claim, claim.version)
            self._evolve(connection, claim.user_id, kind, now, source, None, made.wishes, made.model)
            return
        if not isinstance(made, MadeReflection):
            return
        former = _former(connection, claim, made.id) if again else []
        self._undo(connection, claim.user_id, former, now)
        source = f"reflection:{made.id}"
        if made.tainted and self._settings.tainted_changes == "hold":
            return
        if made.trait_changes:
            wishes, tainted = made.trait_changes, made.tainted
            self._evolve(connection, claim.user_id, kind, now, source, made.id, wishes, made.model, tainted=tainted)
        if self._plans(claim.kind):
            self._plan(connection, claim, now, source, made.actions, former)

    def instead(self, connection: Connection, reflection_id: str, now: datetime, actor: str, because: str) -> None:
        """Undo what the other versions of a reflection asked for, and ask again for what this one did, if it is undone.

        For a version that somebody lets hold again. What it asked for and is still in force stays as it is.
        """
        row = connection.execute(select(reflections).where(reflections.c.id == reflection_id)).one()
        former = _former(connection, row, row.id)
        self._undo(connection, row.user_id, former, now, actor, because)
        source = f"reflection:{row.id}"
        asked = asked_by(connection, row.user_id, [row.id])
        times = len(asked)
        there = {one.what for one in asked if one.in_force}
        if row.trait_changes and PERSONA not in there:
            kind, wishes = KINDS[row.kind].caused_by(None), row.trait_changes
            self._evolve(
                connection, row.user_id, kind, now, source, row.id, wishes, row.model, times, tainted=row.tainted
            )
        if self._plans(row.kind) and GOAL not in there:
            self._plan(connection, row, now, source, row.actions, former, times)

    def _plans(self, kind: str) -> bool:
        return self._settings.goals_from_reflections and kind in PLANNING

    def _evolve(
        self,
        connection: Connection,
        user_id: str,
        kind: Kind,
        now: datetime,
        source: str,
        reflection: str | None,
        wishes: Sequence[dict[str, Any]],
        model: str,
        times: int = 0,
        *,
        tainted: bool = False,
    ) -> None:
        prompt = prompt_version(kind)
        if self._settings.persona_path == "direct":
            evolution_id = id_from(_again(f"{source}/evolution", times))
            applied = evolve(connection, user_id, evolution_id, [Wish(**wish) for wish in wishes])
            record(
                connection,
                Record(
                    evolution_id,
                    user_id,
                    source,
                    [source],
                    CONFIDENCE,
                    model,
                    prompt,
                    applied,
                    now,
                    tainted=tainted,
                ),
            )
            return
        given = {
            "source": source,
            "reflection": reflection,
            "trait_changes": list(wishes),
            "confidence": CONFIDENCE,
            "model": model,
            "prompt_version": prompt,
        }
        self._start(connection, PERSONA, user_id, _again(source.partition(":")[2], times), given, now)

    def _plan(
        self,
        connection: Connection,
        one: Any,
        now: datetime,
        source: str,
        wished: Sequence[str],
        former: Sequence[str],
        times: int = 0,
    ) -> None:
        """Ask for a goal. one: whose, which kind and which date: a claim, or a stored reflection."""
        actions = [each.strip() for each in wished if len(each.strip()) >= LEAST_ACTION]
        if not actions:
            return
        already = connection.execute(
            select(func.count()).where(
                goals.c.user_id == one.user_id,
                goals.c.state == ACTIVE,
                # Those of the former versions are about to be undone.
                goals.c.origin.not_in(former),
            )
        ).scalar_one()
        if already >= MOST_OPEN:
            return
        given = {
            "title": actions[0][:200],
            "description": f"From the {one.kind} reflection on {one.on.isoformat()}.",
            "origin": source,
            "steps": actions,
            "ask": False,
        }
        self._start(connection, GOAL, one.user_id, _again(source.partition(":")[2], times), given, now)

    def _start(
        self, connection: Connection, name: str, user_id: str, key: str, given: dict[str, Any], now: datetime
    ) -> None:
        saga = self._registry.type(name)
        start(connection, saga, user_id=user_id, key=key, given=given, now=now, new_id=random_id)

    def _undo(
        self,
        connection: Connection,
        user_id: str,
        sources: Sequence[str],
        now: datetime,
        actor: str = "reflections",
        because: str = "a new version of the reflection was made",
    ) -> None:
        """Let what these asked for be undone: it is earlier in the person's queue than what follows."""
        if not sources:
            return
        desk = Desk(connection, now, lambda name, version: definition_of(self._registry, name, version), actor, because)
        for row in connection.execute(
            select(sagas.c.id, sagas.c.state)
            .where(sagas.c.user_id == user_id, sagas.c.type.in_((PERSONA, GOAL)), _asked_for_by(sources))
            .order_by(sagas.c.place)
        ).all():
            if row.state == COMPLETED:
                _compensate(desk, row.id)
            elif row.state not in ENDED:
                desk.cancel(row.id)
        for evolution_id in connection.execute(
            select(persona_evolutions.c.id)
            .where(
                persona_evolutions.c.user_id == user_id,
                persona_evolutions.c.saga_id.is_(None),
                persona_evolutions.c.source.in_(sources),
            )
            .order_by(persona_evolutions.c.id)
        ).scalars():
            take_back_directly(connection, user_id, evolution_id, now)


@dataclass(frozen=True)
class Asked:
    """Something that a version of a reflection asked for. saga: its id, None for an evolution of the direct path."""

    reflection: str
    what: str
    id: str
    saga: bool
    state: str
    in_force: bool

    @property
    def command(self) -> str:
        """The command that undoes it, or that does it again."""
        if not self.saga:
            return f"selo persona revert {self.id}" if self.in_force else ""
        return f"selo saga {'compensate' if self.in_force else 'retry'} {self.id}"


def asked_by(connection: Connection, user_id: str, reflection_ids: Sequence[str]) -> list[Asked]:
    """Return what these versions asked for, oldest first, undone or not."""
    sources = [f"reflection:{one}" for one in reflection_ids]
    found = [
        Asked(
            row.key.partition("/")[0],
            row.type,
            row.id,
            saga=True,
            state=row.state,
            in_force=row.direction == FORWARD and row.state != CANCELLED,
        )
        for row in connection.execute(
            select(sagas.c.id, sagas.c.type, sagas.c.key, sagas.c.state, sagas.c.direction)
            .where(sagas.c.user_id == user_id, sagas.c.type.in_((PERSONA, GOAL)), _asked_for_by(sources))
            .order_by(sagas.c.place)
        )
    ]
    found += [
        Asked(
            row.source.partition(":")[2],
            PERSONA,
            row.id,
            saga=False,
            state=row.state,
            in_force=row.state != REVERSED,
        )
        for row in connection.execute(
            select(persona_evolutions.c.id, persona_evolutions.c.source, persona_evolutions.c.state)
            .where(
                persona_evolutions.c.user_id == user_id,
                persona_evolutions.c.saga_id.is_(None),
                persona_evolutions.c.source.in_(sources),
            )
            .order_by(persona_evolutions.c.created_at, persona_evolutions.c.id)
        )
    ]
    return found


def _asked_for_by(sources: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition on a saga that one of these asked for, at first or again."""
    again = [sagas.c.key.like(f"{key}/%") for source in sources if (key := _reflection_id(source)) is not None]
    return or_(sagas.c.key.in_([source.partition(":")[2] for source in sources]), *again)


def _reflection_id(source: str) -> str | None:
    name, _, found = source.partition(":")
    return found if name == "reflection" else None


def _again(key: str, times: int) -> str:
    """Return a key under which nothing was asked for yet. times: how often something was."""
    return f"{key}/{times}" if times else key


def _compensate(desk: Desk, saga_id: str) -> None:
    try:
        desk.compensate(saga_id)
    except SeloError as refused:
        # What was done so long ago stays; the new version of the reflection is not lost because of it.
        if refused.code != "too_late":
            raise


def _former(connection: Connection, claim: Any, present: str) -> list[str]:
    """Return the other versions of a reflection, as sources. claim: or a version, which says the same of itself."""
    chosen = select(reflections.c.id).where(
        reflections.c.user_id == claim.user_id,
        reflections.c.kind == claim.kind,
        reflections.c.key == claim.key,
        reflections.c.id != present,
    )
    return [f"reflection:{one}" for one in connection.execute(chosen).scalars()]


def _reassessment(claim: Claim, version: int) -> str:
    """Return the source of a reassessment: by its date, since nothing else of it is stored."""
    return f"reassessment:{claim.key}" + ("" if version == 1 else f"/{version}")


def prompt_version(kind: Kind) -> str:
    """Return a name for what a model is told for a kind: another one as soon as the wording changes."""
    told = f"{kind.instructions}\n{RULES}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]
