"""When a stretch of talk is over and worth a story: the predecessor's rule, without its defects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

IDLE: Final = timedelta(minutes=15)
"""Silence after the last message."""

GAP: Final = timedelta(minutes=60)
"""Age of the last episode."""

LEAST_REFLECTIONS: Final = 2
"""Reflections since the session began that no episode has had before it."""


@dataclass(frozen=True)
class Talk:
    """What is known of one person. last_message: the newest, not the first; reflections: when each was made."""

    last_message: datetime
    last_episode: datetime | None
    reflections: Sequence[datetime]


@dataclass(frozen=True)
class Session:
    """A stretch of talk. since: where it began; last_message: what names it, until more is said."""

    since: datetime
    last_message: datetime


def session_of(last_message: datetime, last_episode: datetime | None, now: datetime) -> Session:
    """Return the session that the last message belongs to.

    It began with the last episode, if that is younger than two gaps, else two gaps before the last message.
    """
    if last_episode is not None and now - last_episode < 2 * GAP:
        return Session(last_episode, last_message)
    return Session(last_message - 2 * GAP, last_message)


def ready(talk: Talk, now: datetime) -> Session | None:
    """Return the session whose story is to be told now, or None where it is too early or there is too little of it.

    It is time once nothing was said for IDLE (inclusive), the last episode is older than GAP (exclusive), and
    LEAST_REFLECTIONS were made after the session began and after the last episode.
    """
    if now - talk.last_message < IDLE:
        return None
    if talk.last_episode is not None and now - talk.last_episode <= GAP:
        return None
    session = session_of(talk.last_message, talk.last_episode, now)
    # What was there when the last episode was told, that one has had.
    after = session.since if talk.last_episode is None else max(session.since, talk.last_episode)
    new = sum(1 for made in talk.reflections if after < made <= now)
    return session if new >= LEAST_REFLECTIONS else None
