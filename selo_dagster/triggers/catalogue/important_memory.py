"""A memory that weighs much (0.8 and 120 s are the predecessor's)."""

from selo_dagster.memory.event_types import MEMORY_CREATED
from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.rule import Rule

IMPORTANT_MEMORY = Rule(
    name="important_memory",
    says="a memory of importance 0.8 or more",
    events=(MEMORY_CREATED,),
    condition=Simple(field="importance", operator="gte", value=0.8),
    flavour="memory",
    cooldown_s=120,
    # Two strong memories within two minutes are two causes, not one too many.
    in_cooldown="collect",
)
