"""One rule sees what happened to one person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import field_validator

from selo_dagster.clock import parse_instant
from selo_dagster.memory.event_types import EVENT_TYPES, EventType, Payload, registry_of
from selo_dagster.triggers.catalogue import Catalogue
from selo_dagster.triggers.conditions import Compound, Custom, Simple, Threshold
from selo_dagster.triggers.evaluate import Memory, evaluate, idle_firing
from selo_dagster.triggers.happening import Happening, happening_of
from selo_dagster.triggers.kept import KEPT
from selo_dagster.triggers.patterns import Correlation, Frequency, Idle, Pair, Step, StepSequence
from selo_dagster.triggers.reader import typed
from selo_dagster.triggers.rule import Rule
from tests.triggers.happenings import (
    KNOWLEDGE,
    LEARNING,
    MEMORY,
    MESSAGE,
    NOON,
    SPIKE,
    at,
    fired,
    happening,
    rule,
    stated,
    watching,
)

PAIR_OF_MEMORIES = Frequency(thresholds={MEMORY: 2}, time_window_seconds=60)


def spike(seq: int, after_s: float = 0.0, intensity: Any = 0.9, **changes: Any) -> Happening:
    """Return a spike."""
    return happening(seq, SPIKE, after_s, intensity=intensity, **changes)


def outcomes(one: Rule, *found: Happening, memory: Memory | None = None, **given: Any) -> list[str]:
    """Return one outcome for each event."""
    result = evaluate(one, memory or Memory(), found, **given)
    assert len(result.outcomes) == len(found)
    return result.outcomes


def test_an_event_that_meets_the_condition_fires_and_another_does_not() -> None:
    result = evaluate(rule(), Memory(), [spike(1, intensity=0.7), spike(2, intensity=0.69)])
    assert result.outcomes == ["fired", "no_match"]
    (firing,) = result.firings
    (cause,) = firing.causes
    assert (cause.seq, cause.ref, cause.type, cause.at) == (1, "e1", SPIKE, NOON)


@pytest.mark.parametrize(("age_s", "expected"), [(0, "fired"), (-5, "fired"), (600, "fired"), (600.1, "stale")])
def test_an_event_that_was_too_old_when_it_arrived_never_fires(age_s: float, expected: str) -> None:
    assert outcomes(rule(max_age_s=600), spike(1, age_s=age_s)) == [expected]


@pytest.mark.parametrize(("after_s", "expected"), [(-1, "too_old"), (0, "fired"), (1, "fired")])
def test_an_event_that_arrived_before_what_is_made_up_is_too_old(after_s: float, expected: str) -> None:
    assert outcomes(rule(), spike(1, after_s), oldest=NOON) == [expected]


def test_what_arrived_late_enough_is_made_up_whenever_it_happened() -> None:
    assert outcomes(rule(), spike(1, -30, age_s=31), oldest=NOON) == ["fired"]


def test_events_that_are_stale_or_too_old_are_not_remembered() -> None:
    memory = Memory()
    found = [happening(1, MEMORY, age_s=7_200), happening(2, MEMORY, -10), happening(3, MEMORY, 5)]
    assert outcomes(watching(PAIR_OF_MEMORIES), *found, memory=memory, oldest=NOON) == ["stale", "too_old", "kept"]
    assert [one.seq for one in memory.kept] == [3]


def test_an_event_that_was_seen_before_is_repeated_and_changes_nothing() -> None:
    memory = Memory()
    found = [spike(1), spike(2)]
    assert outcomes(rule(), *found, memory=memory) == ["fired", "fired"]
    assert outcomes(rule(), *found, spike(3), memory=memory) == ["repeated", "repeated", "fired"]


def test_what_was_seen_moves_on_with_every_event_and_never_back() -> None:
    memory = Memory()
    evaluate(rule(), memory, [spike(4, intensity=0.1), spike(7, age_s=9_999)])
    assert memory.upto == 7
    evaluate(rule(), memory, [])
    evaluate(rule(), memory, [spike(5)])
    assert memory.upto == 7


def test_a_pattern_keeps_what_may_complete_it_and_is_used_up_by_a_match() -> None:
    memory = Memory()
    one = watching(PAIR_OF_MEMORIES)
    assert outcomes(one, happening(1, MEMORY), memory=memory) == ["kept"]
    assert outcomes(one, happening(2, MEMORY, 1), memory=memory) == ["fired"]
    assert memory.kept == []
    assert outcomes(one, happening(3, MEMORY, 2), happening(4, MEMORY, 3), memory=memory) == ["kept", "fired"]


def test_only_what_took_part_in_a_match_is_used_up() -> None:
    memory = Memory()
    found = [happening(1, MEMORY, 0), happening(2, MEMORY, 100), happening(3, MEMORY, 110)]
    assert outcomes(watching(PAIR_OF_MEMORIES), *found, memory=memory) == ["kept", "kept", "fired"]
    assert [one.seq for one in memory.kept] == [1]


def test_an_event_that_fails_the_condition_is_not_kept_for_the_pattern() -> None:
    heavy = Simple(field="importance", operator="gte", value=0.3)
    one = watching(PAIR_OF_MEMORIES, condition=heavy)
    found = [happening(1, MEMORY, importance=0.2), happening(2, MEMORY, importance=0.9)]
    assert outcomes(one, *found) == ["no_match", "kept"]


def test_a_condition_holds_for_the_events_of_the_rule_and_not_for_the_rest_of_its_pattern() -> None:
    pattern = Frequency(thresholds={MEMORY: 1, KNOWLEDGE: 1}, time_window_seconds=60)
    one = watching(pattern, events=(MEMORY,), condition=Simple(field="importance", operator="gte", value=0.3))
    assert fired(one, happening(1, KNOWLEDGE), happening(2, MEMORY, importance=0.3)) == [[1, 2]]
    assert fired(one, happening(1, KNOWLEDGE), happening(2, MEMORY, importance=0.2)) == []


BURST = Compound(
    operator="and",
    conditions=(
        Simple(field="intensity", operator="gte", value=0.7),
        Threshold(event_type=LEARNING, threshold=2, time_window_seconds=60),
    ),
)


def test_a_threshold_counts_events_of_another_type_and_names_them_as_causes() -> None:
    one = rule(condition=BURST)
    found = [happening(1, LEARNING), spike(2, 1), happening(3, LEARNING, 2), spike(4, 3), spike(5, 62.5)]
    assert outcomes(one, *found) == ["kept", "no_match", "kept", "fired", "no_match"]
    assert fired(one, *found) == [[1, 3, 4]]


def test_a_threshold_remembers_across_looks() -> None:
    one, memory = rule(condition=BURST), Memory()
    outcomes(one, happening(1, LEARNING), happening(2, LEARNING), memory=memory)
    assert outcomes(one, spike(3, 1), memory=memory) == ["fired"]


LATELY = Threshold(event_type=MEMORY, threshold=1, time_window_seconds=60)
HEAVY_LATELY = Compound(operator="and", conditions=(Simple(field="importance", operator="gte", value=0.5), LATELY))


def test_what_only_a_threshold_counts_does_not_complete_a_pattern() -> None:
    found = [happening(seq, MEMORY, seq, importance=0.1) for seq in (1, 2, 3)]
    assert fired(watching(PAIR_OF_MEMORIES, condition=HEAVY_LATELY), *found) == []
    assert (
        fired(watching(PAIR_OF_MEMORIES, condition=HEAVY_LATELY), *found, happening(4, MEMORY, 4, importance=0.9)) == []
    )


@pytest.mark.parametrize(
    "pattern",
    [
        StepSequence(sequence=(Step(event_type=MEMORY), Step(event_type=SPIKE)), timeout_seconds=60),
        Correlation(
            correlations=(Pair(source_type=MEMORY, target_type=SPIKE, source_field="about", target_field="emotion"),),
            time_window_seconds=60,
        ),
    ],
)
def test_a_threshold_on_an_event_of_the_pattern_leaves_the_pattern_whole(pattern: Any) -> None:
    one = watching(pattern, events=(MEMORY,), condition=LATELY)
    assert fired(one, happening(1, MEMORY, about="grief"), happening(2, SPIKE, 1, emotion="grief")) == [[1, 2]]


def test_what_only_a_threshold_counts_does_not_break_a_silence() -> None:
    pattern = Idle(event_types=(MESSAGE,), idle_seconds=900, maximum_wait_seconds=3_600)
    wordy = Threshold(event_type=LEARNING, threshold=1, time_window_seconds=3_600)
    memory = Memory()
    found = [happening(1, LEARNING), happening(2, MESSAGE, 10), happening(3, LEARNING, 600)]
    evaluate(watching(pattern, condition=wordy), memory, found)
    assert memory.due_at == at(910)


def failing(one: Happening) -> bool:
    """Fail for events of intensity 0.13."""
    if one.fields["intensity"] == 0.13:
        raise ZeroDivisionError("planted-secret-9f2c")
    return True


def test_an_event_of_another_type_than_the_condition_compares_is_parked_alone() -> None:
    result = evaluate(rule(), Memory(), [spike(1), spike(2, intensity="planted-secret-9f2c"), spike(3)])
    assert result.outcomes == ["fired", "parked", "fired"]
    assert [(one.seq, code) for one, code in result.faults] == [(2, "type_mismatch: payload.intensity")]


def test_a_custom_condition_that_raises_parks_that_event_alone_and_tells_no_words() -> None:
    memory = Memory()
    broken = rule(condition=Custom(evaluator=failing))
    result = evaluate(broken, memory, [spike(1), spike(2, intensity=0.13), spike(3), happening(4, SPIKE)])
    assert result.outcomes == ["fired", "parked", "fired", "parked"]
    assert [(one.seq, code) for one, code in result.faults] == [
        (2, "condition_failed: ZeroDivisionError"),
        (4, "condition_failed: KeyError"),
    ]
    assert [firing.first.seq for firing in result.firings] == [1, 3]
    assert memory.upto == 4


def test_a_step_that_cannot_be_judged_parks_its_event_and_leaves_the_sequence_whole() -> None:
    strong = Simple(field="intensity", operator="gte", value=0.7)
    pattern = StepSequence(
        sequence=(Step(event_type=MEMORY), Step(event_type=SPIKE, condition=strong)), timeout_seconds=60
    )
    result = evaluate(watching(pattern), Memory(), [happening(1, MEMORY), spike(2, 1, "much"), spike(3, 2)])
    assert result.outcomes == ["kept", "parked", "fired"]
    assert sorted(cause.seq for cause in result.firings[0].causes) == [1, 3]


class Checked(Payload):
    """A payload of a companion's own whose check fails in its own way."""

    topic: str

    @field_validator("topic")
    @classmethod
    def _known(cls, topic: str) -> str:
        return {"sea": "sea"}[topic]


class Weighed(Payload):
    """A payload whose weight is no number."""

    topic: str


@pytest.mark.parametrize(
    "declared",
    [
        EventType("dreamt", "event", "a companion", Checked),
        EventType("dreamt", "event", "a companion", Weighed, weight="topic"),
    ],
)
def test_a_declaration_of_somebody_elses_that_breaks_parks_its_events_and_lets_the_next_ones_by(
    declared: EventType,
) -> None:
    dreams = rule(events=("dreamt",), condition=None, flavour="")
    ours = Catalogue({"dreams": dreams, "strong": rule()}, registry_of([*EVENT_TYPES.values(), declared]))
    found = [stated(1, "dreamt", NOON, topic="hills"), stated(2, SPIKE, NOON, emotion="grief", intensity=0.9)]
    happened, faults = typed(found, ours)
    assert [one.seq for one in happened] == [2]
    assert [one.seq for one in faults] == [1]


def test_again_lets_a_rule_see_what_it_has_seen() -> None:
    memory = Memory()
    outcomes(rule(), spike(1, intensity="much"), spike(2), memory=memory)
    assert outcomes(rule(), spike(1), memory=memory) == ["repeated"]
    assert outcomes(rule(), spike(1), memory=memory, again=True) == ["fired"]
    assert memory.upto == 2


def test_an_event_that_is_seen_again_counts_once() -> None:
    memory = Memory()
    one = watching(PAIR_OF_MEMORIES)
    assert outcomes(one, happening(1, MEMORY), memory=memory) == ["kept"]
    assert outcomes(one, happening(1, MEMORY), memory=memory, again=True) == ["kept"]
    assert outcomes(one, happening(2, MEMORY, 1), memory=memory) == ["fired"]


def test_a_firing_is_named_by_the_last_event_of_the_stream_and_dated_by_the_newest() -> None:
    found = [happening(1, MEMORY, 0), happening(2, MEMORY, 50), happening(3, MEMORY, 20)]
    three = Frequency(thresholds={MEMORY: 3}, time_window_seconds=60)
    (firing,) = evaluate(watching(three), Memory(), found).firings
    assert (firing.first.seq, firing.at) == (3, at(50))


TALK = Idle(event_types=(MESSAGE,), idle_seconds=900, maximum_wait_seconds=3_600, at_least=2)


def test_silence_fires_once_with_everything_that_was_said() -> None:
    one, memory = watching(TALK), Memory()
    assert outcomes(one, happening(1, MESSAGE), memory=memory) == ["kept"]
    assert memory.due_at is None
    evaluate(one, memory, [happening(2, MESSAGE, 60)])
    assert memory.due_at == at(960)
    assert idle_firing(one, memory, at(959)) is None
    firing = idle_firing(one, memory, at(960))
    assert firing is not None
    assert sorted(cause.seq for cause in firing.causes) == [1, 2]
    assert idle_firing(one, memory, at(9_999)) is None
    assert (memory.kept, memory.due_at) == ([], None)


def test_who_goes_on_talking_moves_the_silence() -> None:
    one, memory = watching(TALK), Memory()
    evaluate(one, memory, [happening(1, MESSAGE), happening(2, MESSAGE, 60)])
    evaluate(one, memory, [happening(3, MESSAGE, 800)])
    assert idle_firing(one, memory, at(960)) is None
    assert memory.due_at == at(1_700)


def test_a_storm_is_remembered_within_bounds() -> None:
    memory = Memory()
    never = Frequency(thresholds={MEMORY: KEPT, KNOWLEDGE: 1}, time_window_seconds=60)
    evaluate(watching(never), memory, [happening(seq, MEMORY, seq / 100) for seq in range(1, 1_001)])
    assert [one.seq for one in memory.kept] == list(range(1_001 - KEPT, 1_001))


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=365)])
def test_an_event_from_a_clock_that_runs_ahead_does_not_silence_a_pattern(ahead: timedelta) -> None:
    declared, memory = EVENT_TYPES[LEARNING], Memory()
    one = watching(Frequency(thresholds={LEARNING: 5}, time_window_seconds=3_600))
    evaluate(one, memory, [happening_of(stated(1, LEARNING, NOON + ahead), declared)])
    found = [happening_of(stated(seq, LEARNING, at(seq), arrived_at=at(seq)), declared) for seq in range(2, 7)]
    assert "fired" in outcomes(one, *found, memory=memory)


@pytest.mark.parametrize(
    "pattern",
    [
        Idle(event_types=(LEARNING,), idle_seconds=900, maximum_wait_seconds=3_600),
        Frequency(thresholds={LEARNING: 1}, time_window_seconds=60),
    ],
)
def test_an_event_at_the_end_of_time_stops_nobody(pattern: Any) -> None:
    memory = Memory()
    end = stated(1, LEARNING, parse_instant("9999-12-31T23:59:59Z"))
    result = evaluate(watching(pattern), memory, [happening_of(end, EVENT_TYPES[LEARNING])])
    assert len(result.outcomes) == 1
    assert memory.upto == 1
