"""Numbers, spans, shares and the runbook as the page has them."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.operations.http.page.plot import scale, shares
from selo_dagster.operations.http.page.runbook import Block, Piece, runbook, sections
from selo_dagster.operations.http.page.words import listed, number, short, span


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (119, "1 min"),
        (3_600, "1 h"),
        (12_000, "3 h 20 min"),
        (86_400 * 2 + 3_599, "2 d"),
        (86_400 * 2 + 3_600 * 5, "2 d 5 h"),
    ],
)
def test_a_span_has_at_most_two_units(seconds: float, said: str) -> None:
    assert span(seconds).replace("\u00a0", " ") == said


def test_numbers_are_short_where_there_is_little_room() -> None:
    assert [short(one) for one in (0, 999, 1_000, 1_240, 12_400, 2_000_000)] == ["0", "999", "1k", "1.2k", "12k", "2M"]
    assert number(1_234_567) == "1\u202f234\u202f567"
    assert listed({"waiting_for_daily": 2, "paused": 9, "superseded": 0}) == "paused\u00a09, waiting for daily\u00a02"


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.floats(10, 1_000))
def test_shares_fill_the_room_and_show_whatever_is_there(numbers: list[int], room: float) -> None:
    made = shares(numbers, room, 3.0)
    assert [share > 0 for share in made] == [one > 0 for one in numbers]
    assert all(share >= 3.0 - 1e-6 for share in made if share)
    assert [*accumulate(made)][-1] == pytest.approx(max(room, 3.0 * sum(one > 0 for one in numbers)) * any(numbers))


@given(st.integers(0, 10**7))
def test_a_scale_holds_the_largest_and_is_no_more_than_twice_as_high(most: int) -> None:
    assert most <= scale(most) <= max(4, 2 * most)


def test_the_runbook_is_cut_into_paragraphs_items_and_lines_to_type() -> None:
    (section,) = sections(
        "# Runbook\n\nabout\n\n## code_1\n\nRun `selo up`, see\n[there](x.md).\n\n"
        "* one\n* two\n  more\n\n```\n## a\nb\n```\nend\n"
    )
    assert section.code == "code_1"
    assert section.blocks == (
        Block("p", (Piece("Run ", code=False), Piece("selo up", code=True), Piece(", see there.", code=False))),
        Block("li", (Piece("one", code=False),)),
        Block("li", (Piece("two more", code=False),)),
        Block("pre", (Piece("## a\nb", code=True),)),
        Block("p", (Piece("end", code=False),)),
    )


def test_every_section_of_the_runbook_says_something() -> None:
    assert "overdue" in runbook()
    assert all(section.blocks for section in runbook().values())
