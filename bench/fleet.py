"""A made-up fleet: many people with one day each, as ingest lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from random import Random

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
SAID = (
    "I slept badly and the train was late again.",
    "My sister called, she is coming for the weekend and I am so happy about it.",
    "The presentation went well, even the boss smiled.",
    "I am worried about the exam tomorrow.",
    "We cooked together and laughed the whole evening.",
    "Grandma is in hospital, I feel sad and a bit lost.",
)
ANSWERS = ("How did that feel?", "Tell me more about it.", "What will you do tomorrow?")
TAGS = ("family", "work", "health", "friends", "study")


def fleet_lines(people: int, *, zone: str = "UTC", seed: int = 11, now: datetime = NOW) -> Iterator[str]:
    """Yield ingest lines for `people` persons who each had the day before `now`: six messages and two memories."""
    random = Random(seed)  # noqa: S311 - a fleet, not a secret
    start = now - timedelta(days=1)
    for number in range(people):
        user = f"u{number:06}"
        yield _line(type="user", id=user, name=f"Person {number}", timezone=zone)
        for turn in range(6):
            at = start + timedelta(minutes=random.randrange(600)) - timedelta(hours=2)
            yield _line(
                type="message",
                id=f"{user}-{turn}",
                user=user,
                conversation=f"{user}-c",
                role="assistant" if turn % 2 else "user",
                content=random.choice(ANSWERS if turn % 2 else SAID),
                at=at.isoformat(),
            )
        for memory in range(2):
            yield _line(
                type="memory",
                id=f"{user}-m{memory}",
                user=user,
                kind="fact",
                content=random.choice(SAID),
                importance=round(random.random(), 2),
                at=start.isoformat(),
                tags=[random.choice(TAGS)],
            )


def _line(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"
