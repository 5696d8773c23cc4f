"""A conversation that goes on and on."""

from selo_dagster.memory.event_types import MESSAGE_CREATED
from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.patterns import Frequency
from selo_dagster.triggers.rule import Rule

LONG_CONVERSATION = Rule(
    name="long_conversation",
    says="sixty messages of the person within two hours",
    events=(MESSAGE_CREATED,),
    condition=Simple(field="role", operator="eq", value="user"),
    pattern=Frequency(thresholds={MESSAGE_CREATED: 60}, time_window_seconds=7_200),
    cooldown_s=43_200,
)
