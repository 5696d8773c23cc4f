"""The bundled cases load, and a wrong one says where it is wrong."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.evaluation.measures import FAMILIES
from selo_dagster.evaluation.reading import bundled, read
from tests.evaluation.models import expected, memory, person

DAY = "2026-03-02"
HEAD, ANA = person("one", "citations")
INTERVIEW = memory("m1", "Ana has her interview tomorrow", f"{DAY}T10:00:00Z")
GOLD = expected(DAY, cite=[["memory:m1"]])


def test_the_bundled_cases_are_many_and_of_every_family_that_has_some() -> None:
    found = bundled()
    assert len(found.cases) >= 30
    assert {one.family for one in found.cases} == set(FAMILIES) - {"local_days"}
    assert all(one.expects or one.family == "convergence" for one in found.cases)


def test_they_tell_of_people_in_many_zones() -> None:
    zones = Counter(line["timezone"] for case in bundled().cases for line in case.lines if line["type"] == "user")
    assert len(zones) >= 30


def test_ids_of_two_cases_never_meet() -> None:
    ids = [line["id"] for case in bundled().cases for line in case.lines if line["type"] == "memory"]
    assert len(ids) == len(set(ids))
    assert all(one.count(".") == 1 for one in ids)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([ANA], "line 1: belongs to no case"),
        ([HEAD, ANA, INTERVIEW], "the case 'one' has no people or expects nothing"),
        ([HEAD, ANA, GOLD], "line 3: there is no memory:m1 before it in this case"),
        ([HEAD, INTERVIEW], "line 2: there is no user 'ana' before it in this case"),
        ([HEAD, ANA, INTERVIEW, GOLD | {"typo": 1}], "line 4: typo: Extra inputs are not permitted"),
        ([HEAD, ANA, INTERVIEW, expected(DAY)], "line 4: Value error, expects nothing"),
        ([HEAD | {"family": "other"}], "line 1: family: Input should be 'citations'"),
        ([HEAD, ANA, INTERVIEW | {"importance": 2}], "line 3: importance must be a number from 0 to 1"),
        ([HEAD, {"type": "other"}], "line 2: type must be one of case, forget"),
        ([HEAD, ANA, INTERVIEW, GOLD, HEAD, ANA, INTERVIEW, GOLD], "there are two cases 'one'"),
    ],
)
def test_a_wrong_case_is_named_with_its_line_and_its_fault(lines: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(SeloError) as refused:
        read("test", [("x.jsonl", "\n".join(json.dumps(line) for line in lines))])
    assert refused.value.code == "bad_case"
    assert says in refused.value.message
    assert refused.value.message.startswith("x.jsonl")


def test_a_case_may_not_rest_on_what_is_somebody_elses() -> None:
    other = {"type": "user", "id": "ben", "name": "Ben", "timezone": "UTC"}
    theirs = INTERVIEW | {"user": "ben"}
    with pytest.raises(SeloError) as refused:
        read("test", [("x.jsonl", "\n".join(json.dumps(line) for line in (HEAD, ANA, other, theirs, GOLD)))])
    assert "memory:m1 is ben's, not ana's" in refused.value.message
