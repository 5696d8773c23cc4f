"""Lines are read one at a time, whatever the file holds."""

from __future__ import annotations

import io
import tracemalloc

import pytest

from selo_dagster.memory.reading import LINE_LIMIT, Line, read_lines


def read(data: bytes) -> list[Line]:
    return list(read_lines(io.BytesIO(data)))


def faults(data: bytes) -> dict[int, str]:
    return {line.number: line.fault for line in read(data) if line.fault is not None}


def padded(size: int) -> bytes:
    """An object of exactly `size` bytes."""
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


def test_lines_are_numbered_as_an_editor_does_and_blank_ones_are_ignored() -> None:
    assert [(line.number, line.record) for line in read(b'{"a":1}\n\n  \t\r\n{"a":2}\n')] == [
        (1, {"a": 1}),
        (4, {"a": 2}),
    ]


def test_the_last_line_needs_no_end() -> None:
    assert [line.record for line in read(b'{"a":1}\n{"a":2}')] == [{"a": 1}, {"a": 2}]


def test_an_empty_file_has_no_lines() -> None:
    assert read(b"") == read(b"\n\n") == read(b"\xef\xbb\xbf") == []


def test_a_byte_order_mark_at_the_start_is_accepted_and_nowhere_else() -> None:
    assert read(b'\xef\xbb\xbf{"a":1}')[0].record == {"a": 1}
    assert faults(b'{"a":1}\n\xef\xbb\xbf{"a":1}').keys() == {2}


def test_windows_line_ends_are_accepted() -> None:
    assert [line.record for line in read(b'{"a":1}\r\n{"a":2}\r\n')] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_of_exactly_1_mib_is_read(end: bytes) -> None:
    (line,) = read(padded(LINE_LIMIT) + end)
    assert line.record is not None


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("excess", [1, 2, 3, 1 << 16])
def test_a_longer_line_is_a_fault_and_the_next_one_is_read(end: bytes, excess: int) -> None:
    found = read(padded(LINE_LIMIT + excess) + end + (b'{"a":1}' if end else b""))
    assert found[0].fault == "too_long: line is longer than 1 MiB"
    assert [line.record for line in found[1:]] == ([{"a": 1}] if end else [])


def test_a_byte_order_mark_does_not_hide_that_a_line_goes_on() -> None:
    found = read(b"\xef\xbb\xbf" + padded(LINE_LIMIT + 2) + b'\n{"a":1}')
    assert [line.number for line in found] == [1, 2]


class Endless(io.RawIOBase):
    """One line of `size` bytes, made while it is read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        count = min(len(view), self.left)
        view[:count] = b"x" * count
        self.left -= count
        return count


def test_a_line_of_10_mb_is_never_held_in_memory() -> None:
    stream = io.BufferedReader(Endless(10_000_000))
    tracemalloc.start()
    (line,) = read_lines(stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert line.fault is not None
    assert line.size == 10_000_000
    assert peak < 4 * LINE_LIMIT


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"a":"\xff"}', "bad_utf8: not UTF-8 at byte 7"),
        (b'{"a":"\xed\xa0\x80"}', "bad_utf8"),
        (b"{", "bad_json: not JSON at character 2"),
        (b"hello", "bad_json"),
        (b'{"a":1} {"b":2}', "bad_json"),
        (b'{"a":1,"a":1}', "bad_json: a field is there twice"),
        (b'{"a":{"b":1,"\\u0062":2}}', "bad_json: a field is there twice"),
        (b'{"a":NaN}', "bad_json: NaN"),
        (b'{"a":-Infinity}', "bad_json: NaN"),
        (b'{"a":"\x00"}', "bad_json"),
        (b"[]", "bad_json: a line must be one JSON object"),
        (b"1", "bad_json: a line must be one JSON object"),
        (b"null", "bad_json: a line must be one JSON object"),
        (b'{"a":' + b"9" * 5_000 + b"}", "bad_json: a number is too long"),
        (b"[" * 100_000, "bad_json"),
        (b"\x00", "bad_json"),
    ],
)
def test_what_is_no_json_object_is_a_fault_of_its_line_alone(line: bytes, code: str) -> None:
    found = faults(b'{"a":1}\n' + line + b'\n{"a":2}\n')
    assert found.keys() == {2}
    assert found[2].startswith(code)
