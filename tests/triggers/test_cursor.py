"""The sensor's cursor between ticks."""

from __future__ import annotations

import json

import pytest

from selo_dagster.triggers.cursor import VERSION, Cursor, read_cursor


@pytest.mark.parametrize("seq", [0, 1, 4_711, 2**62])
def test_a_cursor_comes_back_as_it_was_stored(seq: int) -> None:
    text = Cursor(seq=seq).text()
    assert json.loads(text) == {"v": VERSION, "seq": seq}
    assert read_cursor(text) == Cursor(seq=seq)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "null",
        "17",
        "[]",
        "{}",
        '{"v":1',
        '{"v":1}',
        '{"v":1,"seq":-1}',
        '{"v":1,"seq":"5"}',
        '{"v":1,"seq":5.5}',
        '{"v":1,"seq":true}',
        '{"v":1,"seq":null}',
        '{"v":1,"seq":5,"run_status_sensor":{}}',
        '{"v":0,"seq":5}',
        '{"v":2,"seq":5}',
        '{"v":2,"place":"5"}',
        '{"v":"1","seq":5}',
        "memory_events:5",
        "\0",
        "[" * 10_000,
    ],
)
def test_a_cursor_that_is_not_ours_is_none(text: str | None) -> None:
    assert read_cursor(text) is None
