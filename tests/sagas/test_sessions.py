"""When a session is over and worth a story: the rule at its bounds, over plain data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from selo_dagster.sagas.sessions import Session, Talk, ready, session_of
from tests.support.fakes import NOW

TICK = timedelta(microseconds=1)


def ago(minutes: float) -> datetime:
    """Return the instant so many minutes ago."""
    return NOW - timedelta(minutes=minutes)


def talk(
    last_message: datetime | None = None,
    last_episode: datetime | None = None,
    reflections: Sequence[datetime] = (ago(10), ago(5)),
) -> Talk:
    """Return a talk that is ready, but for what is given."""
    return Talk(last_message or ago(20), last_episode, reflections)


def test_a_session_that_is_over_and_reflected_on_twice_is_ready() -> None:
    assert ready(talk(), NOW) == Session(ago(140), ago(20))


@pytest.mark.parametrize(
    ("last_message", "is_ready"), [(ago(15), True), (ago(15) + TICK, False), (ago(0), False), (ago(600), True)]
)
def test_a_quarter_of_an_hour_of_silence_is_enough(last_message: datetime, is_ready: bool) -> None:
    assert (ready(talk(last_message), NOW) is not None) is is_ready


@pytest.mark.parametrize(
    ("last_episode", "is_ready"), [(None, True), (ago(60), False), (ago(60) - TICK, True), (ago(1), False)]
)
def test_the_last_episode_has_to_be_older_than_an_hour(last_episode: datetime | None, is_ready: bool) -> None:
    assert (ready(talk(last_episode=last_episode), NOW) is not None) is is_ready


@pytest.mark.parametrize(
    ("reflections", "is_ready"),
    [
        ((), False),
        ((ago(10),), False),
        ((ago(10), ago(10)), True),
        ((ago(140), ago(10)), False),
        ((ago(140) + TICK, ago(10)), True),
        ((ago(0), ago(10)), True),
        ((NOW + TICK, ago(10)), False),
    ],
)
def test_two_reflections_have_to_be_made_since_it_began(reflections: Sequence[datetime], is_ready: bool) -> None:
    assert (ready(talk(reflections=reflections), NOW) is not None) is is_ready


@pytest.mark.parametrize(
    ("last_episode", "since"),
    [
        (None, ago(140)),
        (ago(90), ago(90)),
        (ago(120) + TICK, ago(120) + TICK),
        (ago(120), ago(140)),
        (ago(9_000), ago(140)),
    ],
)
def test_it_began_with_a_young_episode_or_two_gaps_before_the_last_word(
    last_episode: datetime | None, since: datetime
) -> None:
    assert session_of(ago(20), last_episode, NOW) == Session(since, ago(20))


def test_what_the_last_episode_has_had_does_not_count_again() -> None:
    # It is older than two gaps, so the session reaches back beyond it.
    before_and_after = (ago(126), ago(124))
    assert session_of(ago(20), ago(125), NOW).since < ago(126)
    assert ready(talk(last_episode=ago(125), reflections=before_and_after), NOW) is None
    assert ready(talk(last_episode=ago(125), reflections=(*before_and_after, ago(10))), NOW) is not None
