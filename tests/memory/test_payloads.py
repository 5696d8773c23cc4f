"""What an event may carry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from selo_dagster.memory.lines import parse_line
from selo_dagster.memory.payloads import PAYLOAD_LIMIT, same_json
from tests.memory.builders import SECRET, event, refusal


@pytest.mark.parametrize("name", ["", "x" * 81, "Spike", "a b", "a-b", "é"])
def test_an_event_has_a_plain_name(name: str) -> None:
    assert refusal(event(event=name))[0] == "bad_event"


@pytest.mark.parametrize("name", ["message_created", "memory_created", "user_stated"])
def test_events_that_the_database_writes_cannot_be_stated(name: str) -> None:
    assert refusal(event(event=name, payload={}))[0] == "reserved_event"


def test_an_unknown_event_may_carry_any_object() -> None:
    parse_line(event(event="app.opened_2", payload={}))
    parse_line(event(event="app.opened", payload={"a": [1, None, True, {"b": "ü"}], "n": 10**30}))


@pytest.mark.parametrize("field", ["importance", "confidence", "intensity"])
@pytest.mark.parametrize("value", [7, -1, True, "0.5", None, 1e400])
def test_scores_in_a_payload_are_0_to_1_at_any_depth(field: str, value: Any) -> None:
    for payload in ({field: value}, {"a": [{field: value}]}):
        code, _ = refusal(event(event="other", payload=payload))
        assert code == "out_of_range"


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "emotion"),
        ({"intensity": 0.5}, "emotion"),
        ({"emotion": "", "intensity": 0.5}, "emotion"),
        ({"emotion": 7, "intensity": 0.5}, "emotion"),
        ({"emotion": SECRET}, "intensity"),
    ],
)
def test_an_emotional_spike_says_which_emotion_and_how_strong(payload: dict[str, Any], field: str) -> None:
    code, sentence = refusal(event(payload=payload))
    assert code == "missing_field"
    assert sentence.startswith(f"payload.{field} is required")


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_a_payload_is_an_object_of_bounded_depth_and_size() -> None:
    parse_line(event(event="other", payload=nested(8)))
    assert refusal(event(event="other", payload=nested(9)))[0] == "too_deep"
    assert refusal(event(event="other", payload={"a": [[[[[[[[1]]]]]]]]}))[0] == "too_deep"
    fitting = "x" * (PAYLOAD_LIMIT - len(json.dumps({"a": ""}, separators=(",", ":"))))
    parse_line(event(event="other", payload={"a": fitting}))
    assert refusal(event(event="other", payload={"a": fitting + "x"}))[0] == "too_long"
    assert refusal(event(payload=[SECRET]))[0] == "wrong_type"


@pytest.mark.parametrize("payload", [{"a": "\0"}, {"\0": 1}, {"a": ["\ud800"]}, {"\udfff": 1}, {"a": 1e400}])
def test_a_payload_that_a_database_cannot_hold_is_refused(payload: dict[str, Any]) -> None:
    assert refusal(event(event="other", payload=payload))[0] == "bad_payload"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, 0, False),
        (1e300, 10**300, True),
        (10**300, 10**300 + 1, False),
        (10**400, 1e308, False),
        ({"a": [1, {"b": 2}]}, {"a": [1.0, {"b": 2.0}]}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ("1", 1, False),
        ({}, [], False),
    ],
)
def test_json_is_compared_by_what_it_means(one: Any, other: Any, same: bool) -> None:
    assert same_json(one, other) is same
    assert same_json(other, one) is same
