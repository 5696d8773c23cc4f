"""Patterns over several events of one person."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.triggers.conditions import Simple
from selo_dagster.triggers.happening import Happening
from selo_dagster.triggers.patterns import Correlation, Frequency, Idle, Pair, Step, StepSequence, WeightSum
from tests.triggers.happenings import KNOWLEDGE, LEARNING, MEMORY, MESSAGE, SPIKE, at, fired, happening, kept

MUCH_NEW = Frequency(thresholds={KNOWLEDGE: 3, MEMORY: 2}, time_window_seconds=60)
WEIGHTY = WeightSum(event_types=(MEMORY,), total=1.5, time_window_seconds=60)
ARC = StepSequence(
    sequence=(
        Step(event_type=SPIKE, condition=Simple(field="intensity", operator="gte", value=0.7)),
        Step(event_type=MEMORY),
        Step(event_type=LEARNING),
    ),
    timeout_seconds=60,
)
TALKED_AND_LEARNED = Correlation(
    correlations=(
        Pair(source_type=KNOWLEDGE, target_type=LEARNING, source_field="topic", target_field="subject"),
        Pair(source_type=SPIKE, target_type=MEMORY, source_field="emotion", target_field="about"),
    ),
    time_window_seconds=60,
)


def of_types(*found: tuple[str, float]) -> list[Happening]:
    """Return events in order of arrival, given as type and second."""
    return [happening(seq, kind, after_s, intensity=0.9) for seq, (kind, after_s) in enumerate(found, start=1)]


@pytest.mark.parametrize(
    ("knowledge", "memories", "expected"), [(3, 2, True), (2, 2, False), (3, 1, False), (9, 1, False), (0, 9, False)]
)
def test_every_type_of_a_frequency_has_to_reach_its_count(knowledge: int, memories: int, expected: bool) -> None:
    found = of_types(*[(KNOWLEDGE, n) for n in range(knowledge)], *[(MEMORY, 20 + n) for n in range(memories)])
    for arrival in (found, found[::-1]):
        assert bool(fired(MUCH_NEW, *arrival)) is expected


@pytest.mark.parametrize(("last", "expected"), [(59.9, [[1, 2, 3, 4, 5]]), (60, [])])
def test_a_frequency_is_reached_within_one_window(last: float, expected: list[list[int]]) -> None:
    found = of_types((KNOWLEDGE, 0), (KNOWLEDGE, 10), (MEMORY, 20), (MEMORY, 30), (KNOWLEDGE, last))
    assert fired(MUCH_NEW, *found) == expected


def test_a_frequency_looks_at_its_own_types_only() -> None:
    found = of_types((KNOWLEDGE, 0), (KNOWLEDGE, 1), (SPIKE, 2), (LEARNING, 3), (MEMORY, 4), (MEMORY, 5))
    assert fired(MUCH_NEW, *found) == []


def test_what_made_a_frequency_whole_does_not_make_the_next_one() -> None:
    twice = Frequency(thresholds={MEMORY: 2}, time_window_seconds=60)
    found = of_types(*[(MEMORY, n) for n in range(5)])
    assert fired(twice, *found) == [[1, 2], [3, 4]]


def weights(*found: tuple[float, float]) -> list[Happening]:
    """Return memories in order of arrival, given as weight and second."""
    return [happening(seq, MEMORY, after_s, weight=weight) for seq, (weight, after_s) in enumerate(found, start=1)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0.7, 0), (0.8, 10)], [[1, 2]]),
        ([(0.7, 0), (0.7, 10)], []),
        ([(0.7, 0), (0.7, 10), (0.1, 20)], [[1, 2, 3]]),
        ([(0.1, n) for n in range(15)], [list(range(1, 16))]),
        ([(0.1, n) for n in range(14)], []),
        ([(0.8, 0), (0.8, 59.9)], [[1, 2]]),
        ([(0.8, 0), (0.8, 60)], []),
        ([(0.8, 0), (0.8, 1), (0.8, 2), (0.8, 3)], [[1, 2], [3, 4]]),
    ],
)
def test_weights_of_one_window_add_up_to_a_total(found: list[tuple[float, float]], expected: list[list[int]]) -> None:
    assert fired(WEIGHTY, *weights(*found)) == expected


def test_tenths_that_do_not_add_up_in_binary_add_up_all_the_same() -> None:
    whole = WeightSum(event_types=(MEMORY,), total=1, time_window_seconds=60)
    assert fired(whole, *weights(*[(0.1, n) for n in range(10)])) == [list(range(1, 11))]


def test_a_weight_sum_weighs_its_own_types_only() -> None:
    assert fired(WEIGHTY, *[happening(n, SPIKE, n, weight=1.0) for n in range(1, 5)]) == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(SPIKE, 0), (MEMORY, 10), (LEARNING, 20)], [[1, 2, 3]]),
        ([(SPIKE, 0), (KNOWLEDGE, 5), (MEMORY, 10), (SPIKE, 11), (MESSAGE, 12), (LEARNING, 20)], [[1, 3, 6]]),
        ([(SPIKE, 0), (MEMORY, 10)], []),
        ([(MEMORY, 0), (SPIKE, 10), (LEARNING, 20)], []),
        ([(LEARNING, 0), (MEMORY, 10), (SPIKE, 20)], []),
        ([(SPIKE, 0), (MEMORY, 10), (LEARNING, 60)], [[1, 2, 3]]),
        ([(SPIKE, 0), (MEMORY, 10), (LEARNING, 60.1)], []),
        ([(SPIKE, 0), (SPIKE, 30), (MEMORY, 40), (LEARNING, 80)], [[2, 3, 4]]),
        ([(SPIKE, 0), (SPIKE, 1), (MEMORY, 10), (LEARNING, 20)], [[2, 3, 4]]),
    ],
)
def test_a_sequence_is_its_steps_in_order_whatever_comes_between(
    found: list[tuple[str, float]], expected: list[list[int]]
) -> None:
    assert fired(ARC, *of_types(*found)) == expected


@pytest.mark.parametrize("arrival", list(permutations([(SPIKE, 0), (MEMORY, 10), (LEARNING, 20)])))
def test_a_sequence_is_told_by_when_its_steps_happened_and_not_by_when_they_arrived(
    arrival: tuple[tuple[str, float], ...],
) -> None:
    assert fired(ARC, *of_types(*arrival)) == [[1, 2, 3]]


def test_a_step_has_to_meet_its_condition() -> None:
    weak, strong = happening(1, SPIKE, 0, intensity=0.6), happening(2, SPIKE, 1, intensity=0.7)
    rest = [happening(3, MEMORY, 10), happening(4, LEARNING, 20)]
    assert fired(ARC, weak, *rest) == []
    assert fired(ARC, weak, strong, *rest) == [[2, 3, 4]]


def test_a_sequence_completes_once() -> None:
    found = of_types((SPIKE, 0), (MEMORY, 10), (LEARNING, 20), (LEARNING, 21), (MEMORY, 22), (LEARNING, 23))
    assert fired(ARC, *found) == [[1, 2, 3]]
    assert fired(ARC, *found, happening(7, SPIKE, 30, intensity=0.9), happening(8, MEMORY, 31)) == [[1, 2, 3]]


def test_two_sequences_that_overlap_complete_each_with_its_own_steps() -> None:
    found = of_types((SPIKE, 0), (SPIKE, 1), (MEMORY, 10), (MEMORY, 11), (LEARNING, 20), (LEARNING, 21))
    first, second = fired(ARC, *found)
    assert not set(first) & set(second)
    assert len(first) == len(second) == 3


def test_one_event_is_not_two_steps() -> None:
    twice = StepSequence(sequence=(Step(event_type=MEMORY), Step(event_type=MEMORY)), timeout_seconds=60)
    one, other = of_types((MEMORY, 0), (MEMORY, 10))
    assert fired(twice, one) == []
    assert fired(twice, one, other) == [[1, 2]]


SOURCE: dict[str, Any] = {"type": KNOWLEDGE, "topic": "the sea"}
TARGET: dict[str, Any] = {"type": LEARNING, "subject": "the sea"}


@pytest.mark.parametrize("first", [SOURCE, TARGET])
@pytest.mark.parametrize("later", [-30, 0, 30])
def test_a_correlation_is_found_in_both_orders_of_time_and_of_arrival(first: dict[str, Any], later: float) -> None:
    second = TARGET if first is SOURCE else SOURCE
    assert fired(TALKED_AND_LEARNED, happening(1, **first), happening(2, **second, after_s=later)) == [[1, 2]]


@pytest.mark.parametrize(
    "other",
    [
        {**TARGET, "subject": "the hills"},
        {"type": LEARNING},
        {"type": LEARNING, "topic": "the sea"},
        {"type": KNOWLEDGE, "topic": "the sea"},
        {"type": MEMORY, "about": "the sea"},
        {"type": MEMORY, "subject": "the sea"},
        {**TARGET, "after_s": 60.1},
        {**TARGET, "after_s": -60.1},
    ],
)
def test_what_is_not_of_one_pair_in_one_window_does_not_correlate(other: dict[str, Any]) -> None:
    assert fired(TALKED_AND_LEARNED, happening(1, **SOURCE), happening(2, **other)) == []
    assert fired(TALKED_AND_LEARNED, happening(1, **other), happening(2, **SOURCE)) == []


def test_nothing_equals_nothing_in_a_correlation() -> None:
    assert fired(TALKED_AND_LEARNED, happening(1, KNOWLEDGE), happening(2, LEARNING)) == []
    two = Correlation(
        correlations=tuple(
            Pair(source_type=KNOWLEDGE, target_type=LEARNING, source_field=name, target_field=name)
            for name in ("topic", "place")
        ),
        time_window_seconds=60,
    )
    assert fired(two, happening(1, KNOWLEDGE, topic="rain"), happening(2, LEARNING, topic="sea")) == []
    assert fired(two, happening(1, KNOWLEDGE, topic="rain"), happening(2, LEARNING, place="sea")) == []


def test_a_correlation_takes_the_nearest_and_each_event_once() -> None:
    far, near = happening(1, **TARGET, after_s=-40), happening(2, **TARGET, after_s=-5)
    sources = [happening(3, **SOURCE), happening(4, **SOURCE, after_s=1), happening(5, **SOURCE, after_s=2)]
    assert fired(TALKED_AND_LEARNED, far, near, *sources) == [[2, 3], [1, 4]]


@pytest.mark.parametrize(
    ("one", "other", "expected"), [(1, 1.0, True), (1, True, False), ("1", 1, False), ({"a": 1}, {"a": 1}, True)]
)
def test_values_correlate_as_json_means_them(one: Any, other: Any, expected: bool) -> None:
    found = happening(1, KNOWLEDGE, topic=one), happening(2, LEARNING, subject=other)
    assert bool(fired(TALKED_AND_LEARNED, *found)) is expected


TALK = Idle(event_types=(MESSAGE,), idle_seconds=900, maximum_wait_seconds=3_600, at_least=3)


@pytest.mark.parametrize(
    ("times", "due"),
    [
        ([], None),
        ([0, 60], None),
        ([0, 60, 120], 1_020),
        ([120, 0, 60], 1_020),
        ([0, 60, 120, 600], 1_500),
        ([0, 800, 1_600, 2_400], 3_300),
        ([0, 800, 1_600, 2_400, 3_000], 3_600),
        ([0, 800, 1_600, 2_400, 3_000, 3_599], 3_600),
    ],
)
def test_silence_is_due_after_the_last_of_enough_events_and_never_waits_beyond_a_maximum(
    times: list[float], due: float | None
) -> None:
    history = kept(*[happening(seq, MESSAGE, after_s) for seq, after_s in enumerate(times, start=1)])
    assert TALK.due_at(history) == (None if due is None else at(due))


def test_no_event_completes_a_silence() -> None:
    assert fired(TALK, *[happening(seq, MESSAGE, seq * 60) for seq in range(1, 20)]) == []


def test_a_hello_hours_ago_does_not_cut_a_new_conversation_short() -> None:
    hello = happening(1, MESSAGE, 0)
    talk = [happening(seq, MESSAGE, 7_000 + seq * 10) for seq in range(2, 5)]
    assert TALK.due_at(kept(hello, *talk)) == at(7_040 + 900)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (MUCH_NEW, of_types((KNOWLEDGE, 0), (KNOWLEDGE, 50), (MEMORY, 20), (MEMORY, 30), (KNOWLEDGE, 25))),
        (MUCH_NEW, of_types((MEMORY, 70), (KNOWLEDGE, 50), (KNOWLEDGE, 40), (MEMORY, 30), (KNOWLEDGE, 25))),
        (WEIGHTY, weights((0.5, 50), (0.5, 55), (0.5, 0))),
        (ARC, of_types((MEMORY, 10), (LEARNING, 20), (SPIKE, 0))),
        (TALKED_AND_LEARNED, [happening(1, **SOURCE, after_s=50), happening(2, **TARGET)]),
    ],
)
def test_an_event_that_arrives_late_completes_the_window_in_which_it_happened(
    pattern: Any, found: list[Happening]
) -> None:
    assert fired(pattern, *found[:-1]) == []
    assert fired(pattern, *found) == [[one.seq for one in found]]


WINDOW_S = 60
occasions = st.lists(
    st.tuples(st.sampled_from([KNOWLEDGE, MEMORY]), st.integers(0, 400), st.integers(0, WINDOW_S), st.integers(0, 10)),
    max_size=12,
)
"""Type, second in which it happened, how late it arrived (at most a window), weight in tenths."""


def arriving(found: list[tuple[str, int, int, int]], *, late: bool) -> list[Happening]:
    """Return occasions in order of arrival."""
    order = sorted(found, key=lambda one: one[1] + (one[2] if late else 0))
    return [
        happening(seq, kind, after_s, weight=tenths / 10) for seq, (kind, after_s, _, tenths) in enumerate(order, 1)
    ]


def windows(found: list[tuple[str, int, int, int]], types: set[str]) -> list[list[tuple[str, int, int, int]]]:
    """Return what lies in each window that ends with an event."""
    return [
        [one for one in found if one[0] in types and last[1] - WINDOW_S < one[1] <= last[1]]
        for last in found
        if last[0] in types
    ]


@given(occasions)
def test_whether_a_frequency_fires_does_not_depend_on_the_order_of_arrival(
    found: list[tuple[str, int, int, int]],
) -> None:
    pattern = Frequency(thresholds={KNOWLEDGE: 2, MEMORY: 1}, time_window_seconds=WINDOW_S)
    reached = any(
        sum(one[0] == KNOWLEDGE for one in window) >= 2 and sum(one[0] == MEMORY for one in window) >= 1
        for window in windows(found, {KNOWLEDGE, MEMORY})
    )
    assert bool(fired(pattern, *arriving(found, late=False))) is reached
    assert bool(fired(pattern, *arriving(found, late=True))) is reached


@given(occasions)
def test_whether_weights_fire_does_not_depend_on_the_order_of_arrival(found: list[tuple[str, int, int, int]]) -> None:
    pattern = WeightSum(event_types=(MEMORY,), total=1.3, time_window_seconds=WINDOW_S)
    reached = any(sum(one[3] for one in window) >= 13 for window in windows(found, {MEMORY}))
    assert bool(fired(pattern, *arriving(found, late=False))) is reached
    assert bool(fired(pattern, *arriving(found, late=True))) is reached


@given(st.lists(st.integers(0, 2 * WINDOW_S), max_size=8).flatmap(st.permutations))
def test_events_of_two_windows_may_arrive_in_any_order(times: list[int]) -> None:
    pattern = Frequency(thresholds={MEMORY: 3}, time_window_seconds=WINDOW_S)
    reached = any(sum(last - WINDOW_S < one <= last for one in times) >= 3 for last in times)
    found = [happening(seq, MEMORY, after_s) for seq, after_s in enumerate(times, start=1)]
    assert bool(fired(pattern, *found)) is reached
