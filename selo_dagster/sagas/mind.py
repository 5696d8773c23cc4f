"""What sagas make of a person's mind, in numbers: the metadata of the assets persona, goals and episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select, tuple_, update

from selo_dagster.memory.episodes import episodes
from selo_dagster.people.evolution_tables import APPLIED, persona_evolutions
from selo_dagster.people.goals import ACTIVE, REACHED, goals
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import persona_traits, users
from selo_dagster.people.trait_rules import baseline_of, is_extreme, is_known
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.tables import sagas

Numbers = Mapping[str, float | int]
AT_ONCE: Final = 1_000

_UNMOVED: Final[Numbers] = {"other_traits": 0, "extremes": 0, "evolutions": 0, "reversed": 0}
"""Also where there is nothing: what goes back to none must be seen to do so."""


def persona_numbers(connection: Connection, user_ids: Sequence[str]) -> dict[str, dict[str, float | int]]:
    """Return for each person the traits' values, how far they are from home in the mean, and the evolutions.

    A trait under a name of a model's own is only counted: the name may tell what somebody said.
    """
    found: dict[str, dict[str, float | int]] = {user_id: dict(_UNMOVED) for user_id in user_ids}
    away: dict[str, list[float]] = {user_id: [] for user_id in user_ids}
    for part in chunked(user_ids):
        for row in connection.execute(
            select(persona_traits).where(persona_traits.c.user_id.in_(part)).order_by(persona_traits.c.name)
        ):
            value = float(row.value)
            if is_known(row.name):
                found[row.user_id][f"trait_{row.name}"] = round(value, 4)
            else:
                found[row.user_id]["other_traits"] += 1
            found[row.user_id]["extremes"] += is_extreme(value)
            away[row.user_id].append(abs(value - baseline_of(row.name)))
        counted = connection.execute(
            select(persona_evolutions.c.user_id, persona_evolutions.c.state, func.count().label("n"))
            .where(persona_evolutions.c.user_id.in_(part))
            .group_by(persona_evolutions.c.user_id, persona_evolutions.c.state)
        )
        for row in counted:
            found[row.user_id]["evolutions" if row.state == APPLIED else "reversed"] = row.n
    for user_id, distances in away.items():
        if distances:
            found[user_id]["distance_from_home"] = round(sum(distances) / len(distances), 4)
    return found


def goal_numbers(connection: Connection, user_ids: Sequence[str]) -> dict[str, dict[str, float | int]]:
    """Return for each person how many goals are active and reached, and how far the active ones are."""
    found: dict[str, dict[str, float | int]] = {user_id: {ACTIVE: 0, REACHED: 0} for user_id in user_ids}
    for part in chunked(user_ids):
        rows = connection.execute(
            select(
                goals.c.user_id, goals.c.state, func.count().label("n"), func.avg(goals.c.progress).label("progress")
            )
            .where(goals.c.user_id.in_(part), goals.c.state.in_((ACTIVE, REACHED)))
            .group_by(goals.c.user_id, goals.c.state)
        )
        for row in rows:
            found[row.user_id][row.state] = row.n
            if row.state == ACTIVE:
                found[row.user_id]["progress"] = round(float(row.progress), 4)
    return found


def episode_numbers(connection: Connection, user_ids: Sequence[str]) -> dict[str, dict[str, float | int]]:
    """Return for each person how many episodes there are, how long and how important they are in the mean."""
    found: dict[str, dict[str, float | int]] = {user_id: {"episodes": 0} for user_id in user_ids}
    for part in chunked(user_ids):
        rows = connection.execute(
            select(
                episodes.c.user_id,
                func.count().label("n"),
                func.avg(episodes.c.words).label("words"),
                func.avg(episodes.c.importance).label("importance"),
            )
            .where(episodes.c.user_id.in_(part))
            .group_by(episodes.c.user_id)
        )
        for row in rows:
            found[row.user_id] = {
                "episodes": row.n,
                "mean_words": round(float(row.words), 1),
                "mean_importance": round(float(row.importance), 4),
            }
    return found


@dataclass(frozen=True)
class Face:
    """How the work of a saga type is shown. asset: its name; upstream: assets that it is made from."""

    asset: str
    says: str
    upstream: tuple[str, ...]
    numbers: Callable[[Connection, Sequence[str]], dict[str, dict[str, float | int]]]


FACES: Final[Mapping[str, Face]] = {
    "persona_evolution": Face(
        "persona",
        "The companion's traits towards a person, moved by what reflections wished for, and drifting home.",
        (
            "daily_reflection",
            "weekly_reflection",
            "triggered_reflection",
            "one_off_reflection",
            "adaptive_reflection",
            "persona_reassessment",
        ),
        persona_numbers,
    ),
    "goal_creation": Face(
        "goals",
        "What the companion wants to reach with a person, from the actions of reflections.",
        ("daily_reflection", "weekly_reflection"),
        goal_numbers,
    ),
    "episode_generation": Face(
        "episodes",
        "Stories of stretches of time, from what was said, remembered and reflected.",
        ("messages", "memories", "daily_reflection", "adaptive_reflection", "triggered_reflection"),
        episode_numbers,
    ),
}


@dataclass(frozen=True)
class Unshown:
    """One person whose sagas of a type have ended since they were shown last. key: of the partition."""

    user_id: str
    key: str
    ended: int
    metadata: Mapping[str, Any]


def unshown(connection: Connection, type_name: str) -> tuple[list[Token], list[Unshown]]:
    """Return the sagas of a type whose end nobody has shown, up to a thousand, and what is to be shown."""
    rows = connection.execute(
        select(sagas.c.id, sagas.c.epoch, sagas.c.user_id, users.c.key)
        .join(users, users.c.id == sagas.c.user_id)
        .where(sagas.c.type == type_name, sagas.c.ended_at.is_not(None), sagas.c.shown_by.is_(None))
        .order_by(sagas.c.place)
        .limit(AT_ONCE)
    ).all()
    people: dict[str, tuple[str, int]] = {}
    for row in rows:
        people[row.user_id] = (row.key, people.get(row.user_id, (row.key, 0))[1] + 1)
    numbers = FACES[type_name].numbers(connection, sorted(people))
    found = [
        Unshown(user_id, key, ended, {"sagas": ended, **numbers.get(user_id, {})})
        for user_id, (key, ended) in sorted(people.items())
    ]
    return [(row.id, row.epoch) for row in rows], found


def mark_shown(connection: Connection, ended: Iterable[Token], run_id: str) -> None:
    """Remember the run that has shown the ends of sagas; one that was turned round meanwhile ends anew."""
    connection.execute(
        update(sagas).where(tuple_(sagas.c.id, sagas.c.epoch).in_(sorted(ended))).values(shown_by=run_id)
    )
