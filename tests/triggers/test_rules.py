"""Rules are checked when they are declared, and say which one is wrong and why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import EVENT_TYPES, EventType, Payload
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.settings import process_settings
from selo_dagster.triggers.catalogue import catalogue, catalogue_of
from selo_dagster.triggers.conditions import Compound, Custom, Simple, Threshold
from selo_dagster.triggers.happening import Happening
from selo_dagster.triggers.kept import KEPT
from selo_dagster.triggers.patterns import Correlation, Frequency, Idle, Pair, Step, StepSequence, WeightSum
from selo_dagster.triggers.rule import Rule
from tests.triggers.happenings import KNOWLEDGE, LEARNING, MEMORY, MESSAGE, SPIKE, rule

FLAVOURS = KINDS["triggered"].flavours
WEEK_S = 7 * 86_400


def always(_: Happening) -> bool:
    """Hold for every event."""
    return True


async def later(_: Happening) -> bool:
    """Answer later: nobody waits for it."""
    return False


def simple(field: str, operator: str, value: Any = None) -> dict[str, Any]:
    """Return a simple condition as data."""
    return {"type": "simple", "field": field, "operator": operator, "value": value}


def threshold(**changes: Any) -> dict[str, Any]:
    """Return a threshold as data."""
    return {"type": "threshold", "event_type": SPIKE, "threshold": 3, "time_window_seconds": 60} | changes


def frequency(**changes: Any) -> dict[str, Any]:
    """Return a pattern as data."""
    return {"type": "frequency", "thresholds": {SPIKE: 3}, "time_window_seconds": 60} | changes


def idle(**changes: Any) -> dict[str, Any]:
    """Return a silence as data."""
    values = {"type": "idle", "event_types": (SPIKE,), "idle_seconds": 60, "maximum_wait_seconds": 600}
    return values | changes


def sequence(*steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a sequence as data."""
    return {"type": "sequence", "sequence": steps, "timeout_seconds": 60} | changes


SPIKE_STEP, MEMORY_STEP = {"event_type": SPIKE}, {"event_type": MEMORY}


def pair(**changes: Any) -> dict[str, Any]:
    """Return a correlation as data."""
    one = {"source_type": SPIKE, "target_type": KNOWLEDGE, "source_field": "emotion", "target_field": "topic"}
    return {"type": "correlation", "correlations": (one | changes,), "time_window_seconds": 60}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "Strong Feeling"}, "name"),
    ({"name": ""}, "name"),
    ({"name": "9lives"}, "name"),
    ({"name": "x" * 41}, "name"),
    ({"says": ""}, "says"),
    ({"events": ()}, "events"),
    ({"events": ("emotional_spikes",)}, "nobody publishes an event 'emotional_spikes'"),
    ({"events": ("emotional.spike",)}, "nobody publishes an event 'emotional.spike'"),
    ({"importance": 0.8}, "importance"),
    ({"cooldown_s": -1}, "cooldown_s"),
    ({"cooldown_s": float("inf")}, "cooldown_s"),
    ({"cooldown_s": 31 * 86_400}, "cooldown_s"),
    ({"in_cooldown": "forget"}, "in_cooldown"),
    ({"delay_s": -0.5}, "delay_s"),
    ({"max_age_s": 0}, "max_age_s"),
    ({"max_age_s": float("inf")}, "max_age_s"),
    ({"burst": 1}, "burst"),
    ({"quiet_s": 0}, "quiet_s"),
    ({"quiet_s": 30, "longest_s": 20}, "quiet_s is longer than longest_s"),
    ({"flavour": "angry"}, "there is no flavour 'angry'"),
    ({"condition": {"type": "guess"}}, "guess"),
    ({"condition": {"field": "intensity"}}, "condition"),
    ({"condition": simple("intensity", "about", 0.7)}, "operator"),
    ({"condition": simple("intensity", "gte")}, "gte on 'intensity' needs a number"),
    ({"condition": simple("intensity", "gte", "0.7")}, "gte on 'intensity' needs a number"),
    ({"condition": simple("intensity", "lt", True)}, "lt on 'intensity' needs a number"),
    ({"condition": simple("intensity", "eq", [0.7])}, "value"),
    ({"condition": simple("intensity", "eq")}, "eq on 'intensity' needs a value"),
    ({"condition": simple("emotion", "contains", 7)}, "contains on 'emotion' needs a text"),
    ({"condition": simple("emotion", "any", "grief")}, "any on 'emotion' takes no value"),
    ({"condition": simple("strength", "gte", 0.7)}, "no event of it has a field 'strength'"),
    ({"condition": simple("emotion", "gte", 0.7)}, "gte cannot be asked of emotional_spike.emotion"),
    ({"condition": simple("context", "lt", 0.7)}, "lt cannot be asked of emotional_spike.context"),
    (
        {"condition": simple("intensity", "starts_with", "0")},
        "starts_with cannot be asked of emotional_spike.intensity",
    ),
    ({"condition": simple("intensity", "eq", "0.7")}, "emotional_spike.intensity is never equal"),
    ({"condition": simple("emotion", "eq", 7)}, "emotional_spike.emotion is never equal"),
    ({"condition": simple("intensity", "neq", True)}, "emotional_spike.intensity is never equal"),
    (
        {"events": (LEARNING,), "condition": simple("domains", "starts_with", "sea")},
        "starts_with cannot be asked of learning_created.domains",
    ),
    ({"condition": {"type": "custom", "evaluator": "always"}}, "evaluator"),
    ({"condition": {"type": "custom"}}, "evaluator"),
    ({"condition": {"type": "custom", "evaluator": later}}, "evaluator"),
    ({"condition": {"type": "compound", "operator": "and", "conditions": ()}}, "conditions"),
    ({"condition": {"type": "compound", "operator": "xor", "conditions": (simple("emotion", "any"),)}}, "operator"),
    (
        {"condition": {"type": "compound", "operator": "or", "conditions": (simple("colour", "any"),)}},
        "no event of it has a field 'colour'",
    ),
    ({"condition": threshold(threshold=0)}, "threshold"),
    ({"condition": threshold(threshold=-3)}, "threshold"),
    ({"condition": threshold(threshold=KEPT + 1)}, "threshold"),
    ({"condition": threshold(time_window_seconds=0)}, "time_window_seconds"),
    ({"condition": threshold(time_window_seconds=WEEK_S + 1)}, "time_window_seconds"),
    ({"condition": threshold(time_window_seconds=float("inf"))}, "time_window_seconds"),
    ({"condition": threshold(event_type="thunder")}, "nobody publishes an event 'thunder'"),
    ({"condition": None, "pattern": {"type": "rhythm"}}, "rhythm"),
    ({"condition": None, "pattern": frequency(thresholds={})}, "thresholds"),
    ({"condition": None, "pattern": frequency(thresholds={SPIKE: 0})}, "thresholds"),
    ({"condition": None, "pattern": frequency(thresholds={SPIKE: KEPT + 1})}, "thresholds"),
    ({"condition": None, "pattern": frequency(thresholds={SPIKE: 3, "thunder": 1})}, "nobody publishes"),
    ({"condition": None, "pattern": frequency(time_window_seconds=0)}, "time_window_seconds"),
    ({"condition": None, "pattern": frequency(time_window_seconds=WEEK_S + 1)}, "time_window_seconds"),
    ({"condition": None, "pattern": frequency(cooldown_seconds=60)}, "cooldown_seconds"),
    ({"condition": None, "pattern": frequency(thresholds={MEMORY: 3})}, "does not look at every type in events"),
    (
        {
            "condition": None,
            "pattern": {"type": "weight_sum", "event_types": (SPIKE,), "total": 0, "time_window_seconds": 60},
        },
        "total",
    ),
    ({"condition": None, "pattern": sequence(SPIKE_STEP)}, "sequence"),
    ({"condition": None, "pattern": sequence(SPIKE_STEP, MEMORY_STEP, timeout_seconds=0)}, "timeout_seconds"),
    (
        {"condition": None, "pattern": sequence(SPIKE_STEP, MEMORY_STEP | {"condition": threshold()})},
        "a step of a sequence looks at one event",
    ),
    (
        {"condition": None, "pattern": sequence(SPIKE_STEP, MEMORY_STEP | {"condition": simple("emotion", "any")})},
        "no event of it has a field 'emotion'",
    ),
    ({"condition": None, "pattern": sequence(SPIKE_STEP, {"event_type": "thunder"})}, "nobody publishes"),
    ({"condition": None, "pattern": pair(source_field="feeling")}, "emotional_spike has no field 'feeling'"),
    ({"condition": None, "pattern": pair(target_field="subject")}, "knowledge_updated has no field 'subject'"),
    ({"condition": None, "pattern": pair(target_type="thunder")}, "nobody publishes an event 'thunder'"),
    ({"condition": None, "pattern": idle(idle_seconds=601)}, "idle_seconds is longer than maximum_wait_seconds"),
    ({"condition": None, "pattern": idle(maximum_wait_seconds=WEEK_S + 1)}, "maximum_wait_seconds"),
    ({"condition": None, "pattern": idle(at_least=0)}, "at_least"),
]


@pytest.mark.parametrize(("changes", "fault"), BAD)
def test_a_bad_rule_is_refused_by_name(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(SeloError) as refused:
        rule(**changes).check(EVENT_TYPES, FLAVOURS)
    assert refused.value.code == "bad_rule"
    assert refused.value.message.startswith(f"the rule {changes.get('name', 'strong')[:80]!r}: ")
    assert fault in refused.value.message.partition(": ")[2]


@pytest.mark.parametrize("field", ["says", "events", "cooldown_s"])
def test_a_rule_without_what_it_needs_is_refused_by_name(field: str) -> None:
    values = {"name": "strong", "says": "a strong feeling", "events": (SPIKE,), "cooldown_s": 60}
    with pytest.raises(SeloError, match=f"the rule 'strong': {field}: ") as refused:
        Rule(**{name: value for name, value in values.items() if name != field})
    assert refused.value.code == "bad_rule"


def test_every_fault_of_a_declaration_is_named_at_once() -> None:
    with pytest.raises(SeloError) as refused:
        rule(cooldown_s=-1, delay_s=-1, burst=0)
    assert all(field in refused.value.message for field in ("cooldown_s", "delay_s", "burst"))


GOOD: list[dict[str, Any]] = [
    {},
    {"flavour": ""},
    {"condition": None},
    {"condition": simple("emotion", "starts_with", "gr")},
    {"condition": simple("context", "contains", "sea")},
    {"condition": simple("context", "any")},
    {"condition": simple("emotion", "neq", "calm")},
    {"condition": simple("intensity", "eq", 1)},
    {"events": (SPIKE, LEARNING), "condition": simple("intensity", "gt", 0.5)},
    {"events": (LEARNING,), "condition": simple("domains", "contains", "sea")},
    {"events": (LEARNING,), "condition": simple("learnings_count", "gte", 3)},
    {"condition": threshold(event_type=LEARNING, threshold=KEPT, time_window_seconds=WEEK_S)},
    {"condition": Custom(evaluator=always)},
    {
        "condition": Compound(
            operator="and",
            conditions=(
                Simple(field="intensity", operator="gte", value=0.7),
                Threshold(event_type=SPIKE, threshold=2, time_window_seconds=60),
            ),
        )
    },
    {"condition": None, "pattern": frequency(thresholds={SPIKE: 3, MEMORY: 2})},
    {"condition": None, "pattern": frequency(thresholds={SPIKE: KEPT, MEMORY: KEPT})},
    {"pattern": Frequency(thresholds={SPIKE: 3, MEMORY: 2}, time_window_seconds=60)},
    {"condition": None, "pattern": WeightSum(event_types=(SPIKE, MEMORY), total=5, time_window_seconds=60)},
    {
        "condition": None,
        "pattern": StepSequence(
            sequence=(
                Step(event_type=MEMORY, condition=Simple(field="importance", operator="gte", value=0.5)),
                Step(event_type=SPIKE, condition=Custom(evaluator=always)),
            ),
            timeout_seconds=60,
        ),
    },
    {
        "condition": None,
        "pattern": Correlation(
            correlations=(Pair(source_type=SPIKE, target_type=SPIKE, source_field="emotion", target_field="emotion"),),
            time_window_seconds=60,
        ),
    },
    {"condition": None, "pattern": Idle(event_types=(SPIKE,), idle_seconds=600, maximum_wait_seconds=600)},
    {"name": "x" * 40, "cooldown_s": 0, "in_cooldown": "collect", "quiet_s": 120, "longest_s": 120},
]


@pytest.mark.parametrize("changes", GOOD)
def test_a_good_rule_passes(changes: dict[str, Any]) -> None:
    rule(**changes).check(EVENT_TYPES, FLAVOURS)


def test_a_rule_sees_the_events_that_it_its_thresholds_and_its_pattern_name() -> None:
    counting = Threshold(event_type=LEARNING, threshold=2, time_window_seconds=300)
    pattern = Frequency(thresholds={SPIKE: 1, MEMORY: 2}, time_window_seconds=60)
    one = rule(condition=counting, pattern=pattern)
    assert (set(one.watched), one.window_s) == ({SPIKE, LEARNING, MEMORY}, 300.0)
    assert (set(rule().watched), rule().window_s) == ({SPIKE}, 0.0)


def module(**names: Any) -> ModuleType:
    """Return a module that holds these names."""
    found = ModuleType("companion")
    vars(found).update(names)
    return found


class Dreamt(Payload):
    """A dream."""

    vividness: float
    place: str


DREAMT = EventType("dreamt", "event", "the companion", Dreamt, "vividness")
DREAMS = rule(name="dreams", events=("dreamt",), condition=Simple(field="vividness", operator="gt", value=0.5))


def test_a_module_may_declare_events_of_its_own_for_its_rules() -> None:
    found = catalogue_of([module(DREAMS=DREAMS, DREAMT=DREAMT, other=7, STRONG=rule())])
    assert list(found.rules) == ["dreams", "strong"]
    assert found.types["dreamt"] is DREAMT
    assert found.types[MESSAGE] is EVENT_TYPES[MESSAGE]
    assert found.watched == {"dreamt", SPIKE}


@pytest.mark.parametrize(
    ("modules", "off", "code", "fault"),
    [
        ([module(A=DREAMS)], (), "bad_rule", "the rule 'dreams': nobody publishes an event 'dreamt'"),
        ([module(A=rule(), B=rule(cooldown_s=7))], (), "bad_rule", "the rule 'strong': there are two of that name"),
        ([module(A=rule()), module(A=rule())], (), "bad_rule", "the rule 'strong': there are two of that name"),
        (
            [module(A=DREAMT), module(A=EventType("dreamt", "event", "another", Dreamt))],
            (),
            "bad_event_type",
            "the event 'dreamt' is declared twice",
        ),
        (
            [module(A=EventType(SPIKE, "event", "another", Dreamt))],
            (),
            "bad_event_type",
            "the event 'emotional_spike' is declared twice",
        ),
        ([module(A=rule())], ("strnog",), "bad_rule", "SELO_TRIGGERS_OFF: there is no rule 'strnog': use strong"),
    ],
)
def test_a_catalogue_that_does_not_hold_together_is_refused(
    modules: list[ModuleType], off: tuple[str, ...], code: str, fault: str
) -> None:
    with pytest.raises(SeloError) as refused:
        catalogue_of(modules, off)
    assert refused.value.code == code
    assert refused.value.message.startswith(fault)


def test_a_rule_that_two_modules_share_is_one_rule() -> None:
    shared = rule()
    assert list(catalogue_of([module(A=shared, B=shared), module(C=shared, D=DREAMT), module(E=DREAMT)]).rules) == [
        "strong"
    ]


def test_a_rule_that_is_switched_off_is_checked_and_sees_nothing() -> None:
    found = catalogue_of([module(A=rule(), B=rule(name="other", events=(MEMORY,), condition=None))], ["other"])
    assert list(found.rules) == ["strong"]
    assert found.watched == {SPIKE}
    with pytest.raises(SeloError, match="nobody publishes"):
        catalogue_of([module(A=DREAMS)], ["dreams"])


@pytest.fixture
def companion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a companion's modules; whatever is imported from it is forgotten again."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    catalogue.cache_clear()
    yield tmp_path
    catalogue.cache_clear()
    for name in set(sys.modules) - known:
        if name.startswith("companion_"):
            del sys.modules[name]


def set_up(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Set variables and let this process read them."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    process_settings.cache_clear()
    catalogue.cache_clear()


DREAMING = '''
"""Dreams."""

from selo_dagster.memory.event_types import EventType, Payload
from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.rule import Rule


class Dreamt(Payload):
    vividness: float


DREAMT = EventType("dreamt", "event", "the companion", Dreamt, "vividness")
DREAMS = Rule(
    name="dreams",
    says="a vivid dream",
    events=("dreamt",),
    condition=Simple(field="vividness", operator="gt", value=0.5),
    flavour="emotional",
    cooldown_s=60,
)
'''


def test_a_module_that_the_settings_name_adds_its_rules_and_events(
    companion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = catalogue()
    (companion / "companion_dreams.py").write_text(DREAMING)
    set_up(monkeypatch, SELO_TRIGGER_MODULES="companion_dreams", SELO_TRIGGERS_OFF="silence, importance_sum")
    found = catalogue()
    assert set(found.rules) == set(without.rules) - {"silence", "importance_sum"} | {"dreams"}
    assert set(found.types) == set(without.types) | {"dreamt"}


def test_a_rule_of_a_module_can_be_switched_off(companion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (companion / "companion_dreams.py").write_text(DREAMING)
    set_up(monkeypatch, SELO_TRIGGER_MODULES="companion_dreams", SELO_TRIGGERS_OFF="dreams")
    assert "dreams" not in catalogue().rules


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "SELO_TRIGGER_MODULES: 'companion_dreams' cannot be imported (ModuleNotFoundError)"),
        ("def", "SELO_TRIGGER_MODULES: 'companion_dreams' cannot be imported (SyntaxError)"),
        ("1 / 0", "SELO_TRIGGER_MODULES: 'companion_dreams' cannot be imported (ZeroDivisionError)"),
        (DREAMING.replace("cooldown_s=60", "cooldown_s=-60"), "the rule 'dreams': cooldown_s: "),
        (DREAMING.replace('events=("dreamt",)', 'events=("dream",)'), "the rule 'dreams': nobody publishes"),
        (DREAMING.replace('"dreams"', '"silence"'), "the rule 'silence': there are two of that name"),
    ],
)
def test_a_module_that_is_wrong_is_refused_by_name(
    companion: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, fault: str
) -> None:
    if text is not None:
        (companion / "companion_dreams.py").write_text(text)
    set_up(monkeypatch, SELO_TRIGGER_MODULES="companion_dreams")
    with pytest.raises(SeloError) as refused:
        catalogue()
    assert refused.value.code == "bad_rule"
    assert refused.value.message.startswith(fault)


def test_an_unknown_name_that_is_switched_off_is_refused_with_the_names_there_are(
    companion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, SELO_TRIGGERS_OFF="silense")
    with pytest.raises(SeloError, match=r"SELO_TRIGGERS_OFF: there is no rule 'silense': use .*silence") as refused:
        catalogue()
    assert refused.value.code == "bad_rule"
    assert not list(companion.iterdir())
