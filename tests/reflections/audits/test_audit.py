"""Answers that say the same are found, proposed to be merged, merged when an operator says so, and back again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert

from selo_dagster.clock import FixedClock, parse_instant
from selo_dagster.memory.tables import memories
from selo_dagster.reflections.audits.audit import audited
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.store.engine import Store
from tests.support.command import Selo
from tests.support.fakes import FakeModel, add_person, run_cohort

SATURDAY = parse_instant("2026-11-28T03:00:00Z")
AUDIT = KINDS["relationship_answer_audit"]


@pytest.fixture
def ana(store: Store) -> Store:
    """Ana, who answered four times, twice the same and once nearly so."""
    add_person(store, "ana")
    said = [
        ("a1", "I play the cello in a small choir", "music", 0.8, 1),
        ("a2", "I play the cello in a small choir", "music", 0.6, 2),
        ("a3", "I play the cello in the small choir", "music", 0.5, 3),
        ("a4", "My sister lives in Porto", "family", 0.5, 4),
        ("old", "I play the cello in a small choir", "music", 0.9, -25),
    ]
    with store.write() as connection:
        for memory, text, topic, importance, day in said:
            connection.execute(
                insert(memories).values(
                    id=memory,
                    user_id="ana",
                    kind="relationship_answer",
                    content=text,
                    importance=importance,
                    at=parse_instant("2026-11-20T10:00:00Z") + timedelta(days=day),
                    tags=[topic, "relationship_answer"],
                )
            )
    return store


def test_duplicates_are_found_by_topic_and_the_generic_tag_is_no_duplicate(ana: Store) -> None:
    with ana.read() as connection:
        report = audited(connection, ["ana"], parse_instant("2026-11-28T00:00:00Z"))["ana"]
    assert (report.answers, report.tags) == (4, {"family": 1, "music": 3})
    (merge,) = report.merges
    assert (merge.keep, set(merge.retire)) == ("a1", {"a2", "a3"})


def test_the_audit_of_friday_is_made_on_saturday_without_a_model_and_can_be_applied(
    ana: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    selo = Selo(capsys)
    assert enrol(ana, AUDIT, parse_instant("2026-11-28T02:04:59Z"), 3).due == 0
    assert enrol(ana, AUDIT, SATURDAY, 3).due == 1
    model = FakeModel()
    (one,) = run_cohort(ana, model, kind=AUDIT, clock=FixedClock(SATURDAY))
    assert (one.outcome, str(one.on), model.asked) == ("done", "2026-11-27", [])
    _, told = selo.json("audit", "show", "ana")
    (merge,) = told["audit"]["merges"]
    assert merge["applied"] is False
    _, applied = selo.json("audit", "apply", told["audit"]["id"])
    assert set(applied["retired"]) == set(merge["retire"])
    assert selo.json("audit", "apply", told["audit"]["id"])[1]["retired"] == []
    assert selo.json("audit", "show", "ana")[1]["audit"]["merges"][0]["applied"] is True
    reader = FakeModel()
    enrol(ana, DAILY, SATURDAY, 9)
    run_cohort(ana, reader, clock=FixedClock(SATURDAY))
    read = [source.text for request in reader.asked for source in request.evidence]
    assert "My sister lives in Porto" in read
    assert sum("cello" in text for text in read) == 1
    _, back = selo.json("audit", "undo", told["audit"]["id"])
    assert set(back["restored"]) == set(merge["retire"])
    assert selo.json("audit", "apply", "nothing")[0] == 2
    assert selo.json("audit", "apply", told["audit"]["id"], "--merge", "7")[1]["error"]["code"] == "unknown_merge"
    status, printed = selo("audit", "show", "ana")
    assert status == 0
    assert "cello" not in printed
