"""The companion's persona towards one person, as far as reflections read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection, select

from selo_dagster.people.history import chunked
from selo_dagster.people.tables import persona_traits
from selo_dagster.people.trait_rules import drift


@dataclass(frozen=True)
class Trait:
    """One trait. value: 0–1."""

    name: str
    category: str
    value: float


@dataclass(frozen=True)
class Drift:
    """By how much a trait drifts home in one day; 0: it stays."""

    name: str
    delta: float


INITIAL_TRAITS: tuple[Trait, ...] = (
    Trait("analytical_thinking", "cognitive", 0.7),
    Trait("creativity", "cognitive", 0.6),
    Trait("problem_solving", "cognitive", 0.7),
    Trait("empathy", "emotional", 0.8),
    Trait("emotional_stability", "emotional", 0.7),
    Trait("helpfulness", "social", 0.9),
    Trait("politeness", "social", 0.8),
    Trait("curiosity", "learning", 0.8),
    Trait("adaptability", "learning", 0.7),
)
"""A persona nobody has changed yet (the predecessor's initial traits)."""


def traits_of(connection: Connection, user_ids: Sequence[str]) -> Mapping[str, tuple[Trait, ...]]:
    """Return each person's traits, ordered by name; the initial ones where none is stored."""
    found: dict[str, list[Trait]] = {}
    for part in chunked(user_ids):
        for row in connection.execute(
            select(persona_traits).where(persona_traits.c.user_id.in_(part)).order_by(persona_traits.c.name)
        ):
            found.setdefault(str(row.user_id), []).append(Trait(row.name, row.category, float(row.value)))
    return MappingProxyType(
        {user_id: tuple(found[user_id]) if user_id in found else INITIAL_TRAITS for user_id in user_ids}
    )


def drifts_of(connection: Connection, user_ids: Sequence[str]) -> Mapping[str, tuple[Drift, ...]]:
    """Return by how much each stored trait of a person drifts home; a persona that nobody has moved stays."""
    found: dict[str, list[Drift]] = {user_id: [] for user_id in user_ids}
    for part in chunked(user_ids):
        for row in connection.execute(
            select(persona_traits).where(persona_traits.c.user_id.in_(part)).order_by(persona_traits.c.name)
        ):
            moved = row.version > 1 or row.made_by is not None
            step = drift(row.name, float(row.value), float(row.stability)) if moved and not row.locked else 0.0
            found[str(row.user_id)].append(Drift(row.name, step))
    return {user_id: tuple(drifts) for user_id, drifts in found.items()}
