"""Much that is new in a short time (3 and 2 within an hour, five minutes, a day: the predecessor's)."""

from selo_dagster.memory.event_types import KNOWLEDGE_UPDATED, MEMORY_CREATED
from selo_dagster.triggers.patterns import Frequency
from selo_dagster.triggers.rule import Rule

KNOWLEDGE_UPDATE = Rule(
    name="knowledge_update",
    says="three updates of knowledge and two memories within an hour",
    events=(KNOWLEDGE_UPDATED, MEMORY_CREATED),
    pattern=Frequency(thresholds={KNOWLEDGE_UPDATED: 3, MEMORY_CREATED: 2}, time_window_seconds=3_600),
    flavour="knowledge",
    cooldown_s=86_400,
    delay_s=300,
)
