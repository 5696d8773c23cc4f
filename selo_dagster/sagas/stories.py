"""Stories in the store: an episode, what it rests on, and the words by which it is found; all of it or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field
from sqlalchemy import Connection, delete, insert, select

from selo_dagster.memory.episodes import episode_sources, episode_terms, episodes
from selo_dagster.reflections.questions.likeness import content_words, words
from selo_dagster.sagas.asking import LONGEST_MODEL
from selo_dagster.sagas.given import Given, RefusedError, id_from
from selo_dagster.sagas.handed import Handed
from selo_dagster.sagas.sources import Quoted, gone_of

SAME_STORY: Final = 0.7
"""Jaccard index of the words of two narratives above which they tell the same."""

COMPARED: Final = timedelta(hours=24)
"""Age of episodes that a new one is compared with."""

LONGEST_TERM: Final = 80


class Story(Handed):
    """A story as it is to be stored. evidence: what it rests on, as `message:ID`; begins_at, ends_at: of that.

    citations: passages of that.
    """

    title: str
    narrative: str
    emotion: str
    themes: list[str]
    importance: float
    evidence: list[str]
    citations: list[Quoted] = Field(default=[])
    begins_at: datetime
    ends_at: datetime
    model: str
    tainted: bool = False


def store_story(given: Given, story: Story) -> tuple[str, bool]:
    """Insert a story with its sources and terms; returns its id, and whether it is new.

    One that tells the same as an episode of the last 24 hours is not stored: that one's id is returned instead. The id
    comes from the token, the same for every try. What is gone of its sources is not cited; raises RefusedError where
    all of them are.
    """
    there = _told_already(given.connection, given.user_id, story.narrative, given.now)
    if there is not None:
        return there, False
    gone = gone_of(given.connection, given.user_id, story.evidence)
    if gone.issuperset(story.evidence):
        raise RefusedError("what it tells of is gone")
    episode_id = id_from(given.token)
    given.connection.execute(
        insert(episodes).values(
            id=episode_id,
            user_id=given.user_id,
            saga_id=given.saga_id,
            title=story.title,
            narrative=story.narrative,
            emotion=story.emotion,
            themes=story.themes,
            importance=story.importance,
            citations=[one.model_dump() for one in story.citations if one.source not in gone],
            words=words_in(story.narrative),
            begins_at=story.begins_at,
            ends_at=story.ends_at,
            model=story.model[:LONGEST_MODEL],
            tainted=story.tainted,
            created_at=given.now,
        )
    )
    sources = [name.partition(":") for name in dict.fromkeys(story.evidence) if name not in gone]
    given.connection.execute(
        insert(episode_sources),
        [{"episode_id": episode_id, "source": kind, "source_id": source} for kind, _, source in sources],
    )
    terms = terms_of(story.title, story.narrative, story.themes)
    if terms:
        given.connection.execute(
            insert(episode_terms),
            [{"episode_id": episode_id, "term": term, "weight": weight} for term, weight in terms.items()],
        )
    return episode_id, True


def drop_story(given: Given, episode_id: str) -> None:
    """Delete an episode that this saga stored; its sources and terms go with it."""
    given.connection.execute(delete(episodes).where(episodes.c.id == episode_id, episodes.c.saga_id == given.saga_id))


def words_in(text: str) -> int:
    """Return the number of words, as whoever wrote it is told to count them."""
    return len(text.split())


def terms_of(title: str, narrative: str, themes: Sequence[str]) -> dict[str, float]:
    """Return the words by which a story is found, in lower case, with their weights.

    Themes, their words and those of the title weigh 1; a word of the narrative its share of the most frequent one.
    """
    told = Counter(_words(narrative.splitlines()))
    most = max(told.values(), default=1)
    found = {word: count / most for word, count in told.items()}
    found |= dict.fromkeys((*_words([title, *themes]), *(" ".join(words(theme)) for theme in themes)), 1.0)
    return {term[:LONGEST_TERM]: weight for term, weight in found.items() if term}


def alike(one: str, other: str) -> bool:
    """Tell whether two narratives tell the same, by the sets of their words."""
    first, second = set(words(one)), set(words(other))
    return len(first & second) > SAME_STORY * len(first | second)


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for part in text.split(". ") for word in content_words(part)]


def _told_already(connection: Connection, user_id: str, narrative: str, now: datetime) -> str | None:
    rows = connection.execute(
        select(episodes.c.id, episodes.c.narrative)
        .where(episodes.c.user_id == user_id, episodes.c.created_at > now - COMPARED, episodes.c.created_at <= now)
        .order_by(episodes.c.created_at.desc(), episodes.c.id)
    )
    return next((row.id for row in rows if alike(row.narrative, narrative)), None)
