"""Conditions on one event."""

from __future__ import annotations

from typing import Any

import pytest

from selo_dagster.triggers.conditions import Compound, Custom, MismatchError, Operator, Simple, Threshold, parts_of
from selo_dagster.triggers.happening import Happening
from tests.triggers.happenings import LEARNING, MEMORY, SPIKE, happening, kept

EVERY: list[tuple[Operator, Any]] = [
    ("eq", "grief"),
    ("neq", "grief"),
    ("gt", 0.5),
    ("gte", 0.5),
    ("lt", 0.5),
    ("lte", 0.5),
    ("contains", "grief"),
    ("starts_with", "grief"),
    ("any", None),
]


def holds(operator: Operator, value: Any, found: Any) -> bool:
    """Ask about an event whose field `it` is `found`."""
    return Simple(field="it", operator=operator, value=value).holds(happening(1, it=found), ())


@pytest.mark.parametrize(
    ("found", "operator", "value", "expected"),
    [
        ("grief", "eq", "grief", True),
        ("grief", "eq", "joy", False),
        ("grief", "neq", "joy", True),
        ("grief", "neq", "grief", False),
        (1, "eq", 1.0, True),
        (1.0, "neq", 1, False),
        (True, "eq", True, True),
        (1, "eq", True, False),
        (True, "neq", 1, True),
        ("1", "eq", 1, False),
        (["grief"], "eq", "grief", False),
        (0.71, "gt", 0.7, True),
        (0.7, "gt", 0.7, False),
        (0.69, "gt", 0.7, False),
        (0.71, "gte", 0.7, True),
        (0.7, "gte", 0.7, True),
        (0.69, "gte", 0.7, False),
        (0.69, "lt", 0.7, True),
        (0.7, "lt", 0.7, False),
        (0.71, "lt", 0.7, False),
        (0.69, "lte", 0.7, True),
        (0.7, "lte", 0.7, True),
        (0.71, "lte", 0.7, False),
        (10**400, "gt", 1e308, True),
        ("an old grief", "contains", "grief", True),
        ("grief", "contains", "griefs", False),
        (["grief", "joy"], "contains", "joy", True),
        (["grief", "joy"], "contains", "jo", False),
        ("grief and joy", "starts_with", "grief", True),
        ("an old grief", "starts_with", "grief", False),
        (0, "any", None, True),
        ("", "any", None, True),
        (False, "any", None, True),
        ([], "any", None, True),
    ],
)
def test_a_field_is_compared_with_a_value(found: Any, operator: Operator, value: Any, expected: bool) -> None:
    assert holds(operator, value, found) is expected


@pytest.mark.parametrize(("operator", "value"), EVERY)
def test_a_missing_field_never_holds(operator: Operator, value: Any) -> None:
    assert Simple(field="it", operator=operator, value=value).holds(happening(1, other="grief"), ()) is False


@pytest.mark.parametrize(
    ("found", "operator", "value"),
    [
        *[(found, operator, 0.5) for found in ("0.9", True, [0.9]) for operator in ("gt", "gte", "lt", "lte")],
        (0.9, "contains", "0"),
        (True, "contains", "T"),
        (0.9, "starts_with", "0"),
        (["grief"], "starts_with", "grief"),
    ],
)
def test_values_that_cannot_be_compared_name_the_field_and_not_the_value(
    found: Any, operator: Operator, value: Any
) -> None:
    with pytest.raises(MismatchError) as refused:
        holds(operator, value, found)
    assert (refused.value.field, str(refused.value)) == ("it", "it")


def answering(answer: bool, asked: list[bool]) -> Custom:
    """A condition that answers `answer` and notes that it was asked."""

    def evaluator(_: Happening) -> bool:
        asked.append(answer)
        return answer

    return Custom(evaluator=evaluator)


@pytest.mark.parametrize(
    ("operator", "answers", "expected"),
    [
        ("and", (True, True, True), True),
        ("and", (False, True, True), False),
        ("and", (True, True, False), False),
        ("or", (False, False, False), False),
        ("or", (True, False, False), True),
        ("or", (False, False, True), True),
        ("and", (True,), True),
        ("or", (False,), False),
    ],
)
def test_a_compound_evaluates_every_condition(operator: Any, answers: tuple[bool, ...], expected: bool) -> None:
    asked: list[bool] = []
    conditions = tuple(answering(answer, asked) for answer in answers)
    assert Compound(operator=operator, conditions=conditions).holds(happening(1), ()) is expected
    assert asked == list(answers)


@pytest.mark.parametrize(("operator", "first"), [("and", False), ("or", True)])
def test_a_mismatch_is_seen_although_another_condition_decides(operator: Any, first: bool) -> None:
    conditions = (answering(first, []), Simple(field="it", operator="gte", value=0.5))
    with pytest.raises(MismatchError):
        Compound(operator=operator, conditions=conditions).holds(happening(1, it="much"), ())


@pytest.mark.parametrize(
    ("emotion", "intensity", "expected"),
    [("grief", 0.9, True), ("joy", 0.9, True), ("rage", 0.9, False), ("grief", 0.5, False)],
)
def test_compounds_nest(emotion: str, intensity: float, expected: bool) -> None:
    either = Compound(
        operator="or",
        conditions=(
            Simple(field="emotion", operator="eq", value="grief"),
            Simple(field="emotion", operator="eq", value="joy"),
        ),
    )
    strong = Simple(field="intensity", operator="gte", value=0.7)
    both = Compound(operator="and", conditions=(either, strong))
    assert both.holds(happening(1, emotion=emotion, intensity=intensity), ()) is expected
    assert list(parts_of(both)) == [*either.conditions, strong]


THREE = Threshold(event_type=LEARNING, threshold=3, time_window_seconds=60)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ((-20, -10), True),
        ((-10,), False),
        ((-59.999, -59), True),
        ((-60, -59), False),
        ((-300, -200, -100), False),
        ((10, 20), False),
        ((0, 0), True),
        ((-50, -40, -30, -20), True),
    ],
)
def test_a_threshold_counts_what_happened_in_the_window_that_ends_with_the_event(
    earlier: tuple[float, ...], expected: bool
) -> None:
    one = happening(100, LEARNING)
    others = [happening(number, LEARNING, after_s) for number, after_s in enumerate(earlier, start=1)]
    assert THREE.holds(one, kept(*others, one)) is expected


def test_a_threshold_counts_one_type_only_and_says_which_events_it_counted() -> None:
    one = happening(9, SPIKE, 30)
    history = kept(
        happening(1, LEARNING, -31), happening(2, LEARNING, 10), happening(3, MEMORY, 11), happening(4, LEARNING, 12)
    )
    assert THREE.holds(one, history) is False
    assert [seen.seq for seen in THREE.counted(one, history)] == [2, 4]
    assert THREE.holds(one, [*history, *kept(happening(5, LEARNING, 20))]) is True


def test_a_threshold_knows_only_the_history_that_it_is_given() -> None:
    one = happening(9, LEARNING)
    theirs, anothers = kept(one), kept(happening(1, LEARNING, -2), happening(2, LEARNING, -1), one)
    assert (THREE.holds(one, theirs), THREE.holds(one, anothers)) == (False, True)


def test_a_custom_condition_is_given_the_event_and_its_answer_is_yes_or_no() -> None:
    given: list[Happening] = []

    def evaluator(one: Happening) -> Any:
        given.append(one)
        return one.fields.get("emotion")

    condition = Custom(evaluator=evaluator)
    grieving, calm = happening(1, emotion="grief"), happening(2)
    assert (condition.holds(grieving, ()), condition.holds(calm, ())) == (True, False)
    assert given == [grieving, calm]


def test_what_a_custom_condition_raises_comes_through() -> None:
    def evaluator(_: Happening) -> bool:
        raise LookupError

    with pytest.raises(LookupError):
        Custom(evaluator=evaluator).holds(happening(1), ())
