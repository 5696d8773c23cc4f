"""Pauses are durable; what became due while one held is not made up."""

from __future__ import annotations

import pytest

from selo_dagster.store.engine import Store
from tests.support.command import Selo
from tests.support.fakes import add_person, say

PAUSED = "2026-11-20T12:00:00Z"
RESUMED = "2026-11-22T12:00:00Z"
NOW = "2026-11-23T12:00:00Z"


@pytest.fixture
def selo(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    """The command on a database with Ana and Ben, who speak every day."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    for user in ("ana", "ben"):
        add_person(store, user)
        for day in (20, 21, 22):
            say(store, user, f"2026-11-{day}T10:00:00Z", f"day {day}")
    return Selo(capsys)


def outcomes(selo: Selo, user: str, kind: str = "daily") -> list[tuple[str, str | None]]:
    """Return what `why` says of three dates."""
    found = []
    for day in (20, 21, 22):
        _, told = selo.json("why", user, "--on", f"2026-11-{day}", "--now", NOW)
        found.append((told["kinds"][kind]["outcome"], told["kinds"][kind]["reason"]))
    return found


def test_paused_time_of_a_kind_is_not_caught_up(selo: Selo) -> None:
    selo.json("pause", "daily", "--because", "a new prompt", "--now", PAUSED)
    _, night = selo.json("night", "--now", "2026-11-21T12:00:00Z")
    assert night["kinds"]["daily"]["done"] == 0
    selo.json("resume", "daily", "--now", RESUMED)
    _, night = selo.json("night", "--now", NOW)
    assert night["kinds"]["daily"]["done"] == 2
    assert outcomes(selo, "ana") == [("skipped", "paused"), ("skipped", "paused"), ("done", None)]
    status, told = selo.json("reflect", "daily", "--user", "ana", "--on", "2026-11-21", "--now", NOW)
    assert (status, told["counts"]["done"]) == (0, 1)


def test_a_paused_person_waits_and_the_others_do_not(selo: Selo) -> None:
    selo.json("pause", "--user", "ana", "--because", "asked us to", "--now", PAUSED)
    _, night = selo.json("night", "--now", NOW)
    assert night["kinds"]["daily"]["done"] == 3
    assert outcomes(selo, "ana")[1] == ("skipped", "paused")
    assert [one for one, _ in outcomes(selo, "ben")] == ["done"] * 3
    status, told = selo.json("reflect", "daily", "--user", "ana", "--now", NOW)
    assert (status, told["outcomes"][0]["reason"]) == (0, "paused")


def test_what_was_due_before_a_pause_waits_for_its_end(selo: Selo) -> None:
    selo.json("due", "--now", NOW)
    selo.json("pause", "daily", "--because", "the model is being moved", "--now", NOW)
    assert outcomes(selo, "ana")[2] == ("deferred", "paused")
    _, night = selo.json("night", "--now", NOW)
    assert night["model_calls"] == 0
    selo.json("resume", "daily", "--now", NOW)
    _, night = selo.json("night", "--now", NOW)
    assert night["kinds"]["daily"]["done"] == 6


def test_a_pause_needs_a_reason_and_is_listed_with_it(selo: Selo) -> None:
    status, refused = selo.json("pause", "daily", "--now", NOW)
    assert (status, refused["error"]["code"]) == (2, "wrong_use")
    assert selo.json("pause", "daily", "--because", "why not", "--now", NOW)[1]["changed"] is True
    assert selo.json("pause", "daily", "--because", "again", "--now", NOW)[1]["changed"] is False
    _, told = selo.json("pause")
    assert [(one["kind"], one["user"], one["because"]) for one in told["paused"]] == [("daily", None, "why not")]
    _, status_told = selo.json("status")
    assert status_told["paused"][0]["because"] == "why not"
    assert selo.json("resume", "daily", "--now", NOW)[1]["changed"] is True
    assert selo.json("resume", "daily", "--now", NOW)[1]["changed"] is False
    assert selo.json("pause", "monthly", "--because", "x")[0] == 2
