"""Looks for people whose session is over and worth a story, and asks for it: once for each session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, exists, func, or_, select

from selo_dagster.errors import SeloError
from selo_dagster.memory.episodes import episodes
from selo_dagster.memory.tables import messages
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.pauses import paused_users
from selo_dagster.reflections.states import DONE, Reason
from selo_dagster.reflections.tables import reflection_ledger as ledger
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.sessions import GAP, IDLE, LEAST_REFLECTIONS, Session, Talk, ready
from selo_dagster.sagas.start import random_id, start
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.types import seconds_between

TYPE: Final = "episode_generation"
RECENT: Final = timedelta(days=3)
"""Somebody who has said nothing for longer is not looked at: their session was told of, or nobody was there to."""

AT_ONCE: Final = 500
"""People of one look; the next one goes on."""

FIRST: Final = 1
"""Version of a reflection that is new: one that was made again is not another."""

_ANY_ZONE: Final = timedelta(days=1)


def start_ready_episodes(
    store: Store, registry: Registry, now: datetime, *, new_id: Callable[[], str] = random_id, most: int = AT_ONCE
) -> int:
    """Ask for the story of every session that is over; returns how many are new. The same session asks once."""
    saga = registry.newest.get(TYPE)
    if saga is None:
        return 0
    with store.read() as connection:
        found = ready_people(connection, now, most)
    if not found:
        return 0
    asked = 0
    with store.write() as connection:
        for user_id, session in found.items():
            try:
                started = start(
                    connection,
                    saga,
                    user_id=user_id,
                    key=f"session:{session.last_message.isoformat()}",
                    given={"since": session.since.isoformat()},
                    now=now,
                    new_id=new_id,
                )
            except SeloError as refused:
                if refused.code != "unknown_user":
                    raise
                # Erased since we looked: the others are asked about all the same.
                continue
            asked += not started.existing
    return asked


def ready_people(connection: Connection, now: datetime, most: int = AT_ONCE) -> dict[str, Session]:
    """Return the people whose session is to be told now, who fell silent first; see `sessions.ready`."""
    rows = _silent(connection, now, most)
    made = _reflections_of(connection, [row.user_id for row in rows], now)
    found = {}
    for row in rows:
        session = ready(Talk(row.last_message, row.last_episode, made.get(row.user_id, ())), now)
        if session is not None:
            found[row.user_id] = session
    return found


def _silent(connection: Connection, now: datetime, most: int) -> Sequence[Any]:
    """Return who fell silent lately, has reflections enough, and whose session nobody has asked about."""
    last_message = (
        select(func.max(messages.c.at)).where(messages.c.user_id == users.c.id, messages.c.at <= now).scalar_subquery()
    )
    last_episode = (
        select(func.max(episodes.c.created_at))
        .where(episodes.c.user_id == users.c.id, episodes.c.created_at <= now)
        .scalar_subquery()
    )
    # The ledger knows by its dates who was reflected on lately: nobody else is even looked up.
    reflected = (
        select(ledger.c.user_id)
        .where(
            ledger.c.kind.in_(sorted(KINDS)),
            ledger.c.on >= _first_date(now),
            # Whose new version was held back has the former one.
            or_(ledger.c.state == DONE, ledger.c.reason == Reason.LOSS_GUARD),
        )
        .group_by(ledger.c.user_id)
        .having(func.count() >= LEAST_REFLECTIONS)
    )
    talk = (
        select(users.c.id.label("user_id"), last_message.label("last_message"), last_episode.label("last_episode"))
        .where(users.c.id.in_(reflected), users.c.state == ACTIVE, users.c.id.not_in(paused_users(TYPE, now)))
        # Looked up once for each person, not once for each condition.
        .cte("talk")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    # A second wider than the rule, which has the last word: SQLite counts in fractions of a day.
    since = -(2 * GAP + timedelta(seconds=1)).total_seconds()
    new = (
        select(func.count())
        .select_from(reflections)
        .where(
            reflections.c.user_id == talk.c.user_id,
            reflections.c.on >= _first_date(now),
            reflections.c.version == FIRST,
            seconds_between(talk.c.last_message, reflections.c.created_at) > since,
            or_(talk.c.last_episode.is_(None), reflections.c.created_at > talk.c.last_episode),
        )
        .scalar_subquery()
    )
    asked = exists().where(
        sagas.c.type == TYPE, sagas.c.user_id == talk.c.user_id, sagas.c.created_at >= talk.c.last_message
    )
    return connection.execute(
        select(talk)
        .where(
            talk.c.last_message.between(now - RECENT, now - IDLE),
            func.coalesce(talk.c.last_episode, now - RECENT) < now - GAP,
            new >= LEAST_REFLECTIONS,
            ~asked,
        )
        .order_by(talk.c.last_message, talk.c.user_id)
        .limit(most)
    ).all()


def _first_date(now: datetime) -> date:
    return (now - RECENT - 2 * GAP - _ANY_ZONE).date()


def _reflections_of(connection: Connection, user_ids: Sequence[str], now: datetime) -> Mapping[str, list[datetime]]:
    """Return when each person's late reflections were made; a new version of one is not another."""
    found: dict[str, list[datetime]] = defaultdict(list)
    for part in chunked(user_ids):
        rows = connection.execute(
            select(reflections.c.user_id, reflections.c.created_at).where(
                reflections.c.user_id.in_(part), reflections.c.on >= _first_date(now), reflections.c.version == FIRST
            )
        )
        for row in rows:
            found[row.user_id].append(row.created_at)
    return found
