"""Silence after a conversation (15 minutes are the predecessor's); somebody who never falls silent waits 3 hours."""

from selo_dagster.memory.event_types import MESSAGE_CREATED
from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.patterns import Idle
from selo_dagster.triggers.rule import Rule

SILENCE = Rule(
    name="silence",
    says="a quarter of an hour of silence after ten messages of the person, or three hours of talk",
    events=(MESSAGE_CREATED,),
    condition=Simple(field="role", operator="eq", value="user"),
    pattern=Idle(event_types=(MESSAGE_CREATED,), idle_seconds=900, maximum_wait_seconds=10_800, at_least=10),
    cooldown_s=21_600,
)
