"""Many memories that weigh something each, and much together."""

from selo_dagster.memory.event_types import MEMORY_CREATED
from selo_dagster.triggers.conditions import Compound, Simple
from selo_dagster.triggers.patterns import WeightSum
from selo_dagster.triggers.rule import Rule

IMPORTANCE_SUM = Rule(
    name="importance_sum",
    says="memories of importance 0.3 to 0.8 that add up to 5 within six hours",
    events=(MEMORY_CREATED,),
    # From 0.8 on a memory has a rule of its own.
    condition=Compound(
        operator="and",
        conditions=(
            Simple(field="importance", operator="gte", value=0.3),
            Simple(field="importance", operator="lt", value=0.8),
        ),
    ),
    pattern=WeightSum(event_types=(MEMORY_CREATED,), total=5, time_window_seconds=21_600),
    flavour="memory",
    cooldown_s=43_200,
)
