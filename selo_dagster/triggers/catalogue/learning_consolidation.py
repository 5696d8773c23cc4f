"""Five things learned within an hour (the predecessor's)."""

from selo_dagster.memory.event_types import LEARNING_CREATED
from selo_dagster.triggers.patterns import Frequency
from selo_dagster.triggers.rule import Rule

LEARNING_CONSOLIDATION = Rule(
    name="learning_consolidation",
    says="five learnings within an hour",
    events=(LEARNING_CREATED,),
    pattern=Frequency(thresholds={LEARNING_CREATED: 5}, time_window_seconds=3_600),
    flavour="knowledge",
    cooldown_s=3_600,
)
