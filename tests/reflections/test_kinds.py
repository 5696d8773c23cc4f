"""Kinds are data: one declaration each, refused at load when it lacks what it needs."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.reflections.kind import Flavour, Kind
from selo_dagster.reflections.kinds import DAILY, FLAVOURS, KINDS, checked, kind_named


def refusal(**changes: Any) -> str:
    """Return why a changed daily is refused."""
    with pytest.raises(SeloError) as caught:
        checked([replace(DAILY, **changes)])
    assert caught.value.code == "bad_kind"
    return caught.value.message


class _NoChecks:
    task = "reflection"
    checks = ()

    def schema(self, *_: Any) -> dict[str, Any]:
        return {}

    def judged(self, *_: Any) -> None: ...

    def computed(self, *_: Any) -> None: ...


def test_every_kind_of_the_design_is_there_in_the_order_of_a_night() -> None:
    assert list(KINDS) == [
        "daily",
        "weekly",
        "mantra",
        "relationship_questions",
        "relationship_answer_audit",
        "persona_reassessment",
        "triggered",
        "one_off",
        "adaptive",
    ]
    assert set(FLAVOURS) == {"memory", "emotional", "knowledge"}


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"instructions": "  "}, "has no prompt"),
        ({"shape": None}, "has no output model"),
        ({"shape": _NoChecks()}, "has no validator"),
        ({"words": (200, 70)}, "bounds of words"),
        ({"lane": "none"}, "lane"),
        ({"flavours": MappingProxyType({"odd": Flavour("", (70, 200))})}, "has no prompt"),
    ],
)
def test_a_kind_that_lacks_a_part_is_refused_by_name(changes: dict[str, Any], lacks: str) -> None:
    told = refusal(**changes)
    assert "'daily'" in told
    assert lacks in told


def test_two_kinds_may_not_share_a_name_in_dagster() -> None:
    with pytest.raises(SeloError, match="takes job daily_reflections"):
        checked([DAILY, replace(DAILY, name="other", asset="other", schedule="other")])


def test_a_kind_that_waits_for_one_that_does_not_come_before_it_is_refused() -> None:
    with pytest.raises(SeloError, match="waits for 'daily'"):
        checked([KINDS["mantra"], DAILY])


def test_the_cause_decides_the_bounds_of_a_triggered_reflection() -> None:
    triggered: Kind = KINDS["triggered"]
    assert triggered.caused_by({"rule": "memory"}).words == (70, 250)
    assert triggered.caused_by({"rule": "emotional"}).words == (70, 200)
    assert triggered.caused_by(None) is triggered


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(SeloError, match="use one of daily, weekly"):
        kind_named("monthly")
