"""A surge of feeling (0.7, ten seconds and four hours are the predecessor's)."""

from selo_dagster.memory.event_types import EMOTIONAL_SPIKE
from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.rule import Rule

EMOTIONAL_SPIKE_RULE = Rule(
    name="emotional_spike",
    says="a feeling of intensity 0.7 or more",
    events=(EMOTIONAL_SPIKE,),
    condition=Simple(field="intensity", operator="gte", value=0.7),
    flavour="emotional",
    cooldown_s=14_400,
    delay_s=10,
)
