"""What an ingest line may hold, and what is said of one that may not."""

from __future__ import annotations

from typing import Any

import pytest

from selo_dagster.clock import parse_instant
from selo_dagster.memory.lines import EventLine, MemoryLine, MessageLine, UserLine, parse_line
from tests.memory.builders import SECRET, event, memory, message, refusal, user, without


def test_the_four_lines_of_the_contract_are_read() -> None:
    assert isinstance(parse_line(user(at="2026-01-01T00:00:00Z")), UserLine)
    assert isinstance(parse_line(message()), MessageLine)
    assert isinstance(parse_line(memory(message="c1-1")), MemoryLine)
    assert isinstance(parse_line(event()), EventLine)


@pytest.mark.parametrize(
    ("line", "optional"),
    [
        (user(at="2026-01-01T00:00:00Z"), {"at"}),
        (message(), set()),
        (event(), set()),
        (memory(message="c1-1"), {"message", "tags", "confidence"}),
    ],
)
def test_only_the_named_fields_are_optional(line: dict[str, Any], optional: set[str]) -> None:
    for field in line:
        if field in optional:
            parse_line(without(line, field))
            parse_line({**line, field: None})
        else:
            code, sentence = refusal(without(line, field))
            assert code == "missing_field"
            assert sentence.startswith(f"{field} is required")
            refusal({**line, field: None})


@pytest.mark.parametrize("line", [user(), message(), memory(), event()])
def test_an_unknown_field_is_named_with_those_that_are_known(line: dict[str, Any]) -> None:
    code, sentence = refusal({**line, "colour": SECRET})
    assert code == "unknown_field"
    assert sentence.startswith("'colour' is not known here; allowed: id, type")


def test_the_name_of_an_unknown_field_is_not_repeated_when_it_is_no_name() -> None:
    assert refusal({**user(), f"dear diary {SECRET}": 1})[1].startswith("one of the fields is not known here")
    assert refusal({**user(), "\ud800": 1})[0] == "bad_text"


@pytest.mark.parametrize("kind", ["person", "", 7, [], {}, True])
def test_an_unknown_type_is_refused(kind: Any) -> None:
    assert refusal({**user(), "type": kind})[0] == "bad_type"
    assert refusal({"id": "x"})[0] == "missing_field"


@pytest.mark.parametrize("field", ["importance", "confidence"])
@pytest.mark.parametrize("value", [7, -0.01, 1.0000001, float("inf"), float("nan"), 1e400])
def test_a_number_outside_0_to_1_is_out_of_range(field: str, value: Any) -> None:
    assert refusal(memory(**{field: value})) == ("out_of_range", f"{field} must be a number from 0 to 1")


@pytest.mark.parametrize("field", ["importance", "confidence"])
@pytest.mark.parametrize("value", [True, False, "0.5", [0.5], 10**400])
def test_what_is_no_number_is_refused(field: str, value: Any) -> None:
    assert refusal(memory(**{field: value})) == ("wrong_type", f"{field} must be a number from 0 to 1")


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, 0.5])
def test_both_ends_of_the_range_are_allowed(value: float) -> None:
    line = parse_line(memory(importance=value, confidence=value))
    assert isinstance(line, MemoryLine)
    assert (line.importance, type(line.importance)) == (float(value), float)


@pytest.mark.parametrize("role", ["User", "bot", "", 1])
def test_an_unknown_role_is_refused(role: Any) -> None:
    assert refusal(message(role=role))[1] == "role must be one of user, assistant, system"


@pytest.mark.parametrize("build", [message, memory])
@pytest.mark.parametrize("content", ["", " \r\n\t", "a\0b", "\ud800", "a\udfff", 7, ["a"]])
def test_content_must_be_text_that_is_not_blank_and_can_be_stored(build: Any, content: Any) -> None:
    assert refusal(build(content=content))[1].startswith("content must be text that is not blank")


@pytest.mark.parametrize("build", [message, memory])
def test_content_is_kept_in_one_form(build: Any) -> None:
    line = parse_line(build(content="Cafe\u0301\r\nau lait\r"))
    assert isinstance(line, (MessageLine, MemoryLine))
    assert line.content == "Café\nau lait\r"


@pytest.mark.parametrize(
    ("line", "field"),
    [(user(), "id"), (message(), "id"), (message(), "user"), (message(), "conversation"), (memory(), "message")],
)
@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "a\0", " a", "\ud800", "a\u202e"])
def test_an_id_with_control_characters_or_too_long_is_refused(line: dict[str, Any], field: str, value: str) -> None:
    code, sentence = refusal({**line, field: value})
    assert code in {"bad_id", "wrong_type", "bad_text"}
    assert sentence.startswith(f"{field} must be ")


def test_times_are_in_utc() -> None:
    line = parse_line(message(at="2026-11-22T23:04:00.250000+02:00"))
    assert isinstance(line, MessageLine)
    assert line.at == parse_instant("2026-11-22T21:04:00.250000Z")
    assert line.at.utcoffset() is not None


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("2026-11-22T21:04:00", "naive_time"),
        ("2026-11-22", "bad_time"),
        ("2026-13-22T21:04:00Z", "bad_time"),
        ("0001-01-01T00:00:00+05:00", "bad_time"),
        ("", "bad_time"),
        (f"yesterday {SECRET}", "bad_time"),
        (1_780_000_000, "wrong_type"),
    ],
)
def test_a_time_needs_a_date_and_an_offset(at: Any, code: str) -> None:
    for build in (user, message, memory, event):
        assert refusal(build(at=at))[0] == code


def test_a_time_that_is_a_time_is_repeated_and_anything_else_is_not() -> None:
    assert "'2026-11-22T21:04:00'" in refusal(message(at="2026-11-22T21:04:00"))[1]
    assert refusal(message(at=SECRET))[1].startswith("at must be a time such as")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "Europe/Lisbon\n", SECRET + "!", 7])
def test_an_unknown_zone_is_refused(zone: Any) -> None:
    code, _ = refusal(user(timezone=zone))
    assert code == ("wrong_type" if zone == 7 else "bad_zone")


def test_a_zone_is_kept_in_its_canonical_spelling() -> None:
    line = parse_line(user(timezone="europe/lisbon"))
    assert isinstance(line, UserLine)
    assert line.timezone == "Europe/Lisbon"


@pytest.mark.parametrize("tenant", ["", "x" * 81, "two words", "ünïcode", "a\n", 7])
def test_a_tenant_is_a_plain_word(tenant: Any) -> None:
    code, sentence = refusal(user(tenant=tenant))
    assert code == ("wrong_type" if tenant == 7 else "bad_tenant")
    assert sentence == "tenant must be 1 to 80 letters, digits or any of _ . -"
    line = parse_line(user(tenant="acme.eu-1"))
    assert isinstance(line, UserLine)
    assert line.tenant == "acme.eu-1"


@pytest.mark.parametrize("kind", ["", "x" * 81, "two words", "ünïcode", "a\n"])
def test_a_kind_is_one_word(kind: str) -> None:
    assert refusal(memory(kind=kind))[0] == "bad_kind"


def test_tags_are_kept_once_each_in_their_order() -> None:
    line = parse_line(memory(tags=["b", "a", "b", "Cafe\u0301", "Café"]))
    assert isinstance(line, MemoryLine)
    assert line.tags == ["b", "a", "Café"]


@pytest.mark.parametrize("tags", [["x"] * 33, ["x" * 65], [""], ["a\n"], ["\ud800"], [7], "work", {"a": 1}])
def test_tags_are_bounded(tags: Any) -> None:
    assert refusal(memory(tags=tags))[1].startswith("tags must be a list of at most 32 texts")


def test_several_faults_are_named_at_once_but_not_endlessly() -> None:
    code, sentence = refusal(memory(kind="", importance=7, confidence=7, at="x", colour=1))
    assert code == "bad_kind"
    assert sentence.count(";") == 3
    assert sentence.endswith("and 2 more")
