"""The reflection whose hour follows how lively a person is."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from selo_dagster.reflections.activity.cadence import move_read
from selo_dagster.reflections.cadences.by_activity import ByActivity
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds.daily import DAILY
from selo_dagster.reflections.prompt import REFLECTING
from selo_dagster.reflections.recipes.news import news
from selo_dagster.reflections.shapes.reflection import REFLECTION


def _read(connection: Connection, claim: Claim, read_upto: int | None) -> None:
    if read_upto is not None:
        move_read(connection, claim.user_id, read_upto)


ADAPTIVE: Final = Kind(
    name="adaptive",
    asset="adaptive_reflection",
    job="adaptive_reflections",
    schedule="adaptive_reflections_schedule",
    due="300 s to 48 h after the oldest unread word, by activity, and at the end of its date at last",
    purpose="Reflects during the day on what is new since the last time, the sooner the livelier somebody is.",
    cadence=ByActivity(after=DAILY),
    recipe=news,
    shape=REFLECTION,
    instructions=REFLECTING.format(what="on what is new since you last thought of the person named below"),
    words=(70, 200),
    upstream=("messages", "memories"),
    place=80,
    priority=5,
    on_settled=_read,
)
