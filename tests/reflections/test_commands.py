"""The commands around reflections, typed as an operator types them."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import insert, update

from selo_dagster.clock import UTC
from selo_dagster.people.evolution_tables import stale_marks
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.tables import mantras
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.support.command import Selo
from tests.support.fakes import add_person, remember, say

NOW = "2026-11-23T12:00:00Z"


@pytest.fixture
def selo(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    """The command, beside three people: one with a Sunday, one who only wrote on Friday, one who never did."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    add_person(store, "ana", zone="Europe/Lisbon")
    say(store, "ana", "2026-11-22T10:00:00Z", "The interview is tomorrow and I am nervous", prefix="c1")
    remember(store, "ana", "m1", "2026-11-22T10:05:00Z", "Ana has an interview at the lake trust", 0.9)
    add_person(store, "ben")
    say(store, "ben", "2026-11-20T10:00:00Z", "We won the match and I am so happy")
    add_person(store, "never")
    return Selo(capsys)


def test_reflecting_twice_asks_the_model_once(selo: Selo) -> None:
    status, first = selo.json("reflect", "daily", "--now", NOW)
    assert (status, first["kind"], first["model_calls"]) == (0, "daily", 2)
    assert [(one["user"], one["on"], one["outcome"]) for one in first["outcomes"]] == [
        ("ana", "2026-11-22", "done"),
        ("ben", "2026-11-20", "done"),
    ]
    assert set(first["counts"]) == {"done", "unchanged", "skipped", "deferred", "rejected", "failed", "dead"}
    status, second = selo.json("reflect", "daily", "--now", NOW)
    assert (status, second["outcomes"], second["model_calls"]) == (0, [], 0)
    status, third = selo.json("reflect", "daily", "--user", "ana", "--now", NOW)
    assert [(one["outcome"], one["reason"]) for one in third["outcomes"]] == [("unchanged", "already_done")]
    assert third["model_calls"] == 0


def test_named_people_each_get_an_answer_also_when_there_is_nothing_to_do(selo: Selo) -> None:
    _, told = selo.json("reflect", "daily", "--user", "never", "--user", "ana", "--on", "2026-11-21", "--now", NOW)
    assert [(one["user"], one["outcome"], one["reason"]) for one in told["outcomes"]] == [
        ("ana", "skipped", "never_interacted"),
        ("never", "skipped", "never_interacted"),
    ]
    _, told = selo.json("reflect", "daily", "--user", "ben", "--on", "2026-11-22", "--now", NOW)
    assert told["outcomes"][0]["reason"] == "nothing_new"


def test_a_date_that_has_not_ended_is_refused_and_an_old_one_is_served(selo: Selo, store: Store) -> None:
    status, told = selo.json("reflect", "daily", "--user", "ana", "--on", "2026-11-23", "--now", NOW)
    assert (status, told["error"]["code"]) == (2, "not_ended")
    say(store, "ana", "2026-08-01T10:00:00Z", "long ago")
    status, told = selo.json("reflect", "daily", "--user", "ana", "--on", "2026-08-01", "--now", NOW)
    assert (status, told["outcomes"][0]["outcome"]) == (0, "done")


def test_a_range_of_dates_is_served_oldest_first(selo: Selo, store: Store) -> None:
    for day in (1, 2, 3):
        say(store, "ana", f"2026-08-0{day}T10:00:00Z", f"day {day}")
    _, told = selo.json("reflect", "daily", "--user", "ana", "--from", "2026-08-01", "--to", "2026-08-03", "--now", NOW)
    assert [one["on"] for one in told["outcomes"]] == ["2026-08-01", "2026-08-02", "2026-08-03"]
    assert told["counts"]["done"] == 3


def test_a_forced_rerun_makes_a_new_version(selo: Selo) -> None:
    selo.json("reflect", "daily", "--now", NOW)
    _, told = selo.json("reflect", "daily", "--user", "ana", "--force", "--now", NOW)
    assert told["outcomes"][0]["outcome"] == "done"
    _, shown = selo.json("show", "ana")
    assert [one["version"] for one in shown["reflections"]] == [2]
    _, told = selo.json("versions", "ana")
    assert [(one["version"], one["head"]) for one in told["versions"]] == [(2, True), (1, False)]


def test_a_dry_run_changes_nothing(selo: Selo) -> None:
    status, told = selo.json("reflect", "daily", "--dry-run", "--now", NOW)
    assert (status, told["count"]) == (0, 2)
    _, due = selo.json("due", "--now", NOW)
    assert len(due["due"]) == 2
    _, shown = selo.json("show", "ana")
    assert shown["reflections"] == []


def test_a_night_ends_when_nothing_is_due(selo: Selo) -> None:
    status, night = selo.json("night", "--now", NOW)
    assert status == 0
    done = {kind: counts["done"] for kind, counts in night["kinds"].items() if counts["done"]}
    assert done == {"daily": 2, "weekly": 1, "mantra": 1, "relationship_questions": 1}
    # What they asked for is carried out in the same night: two runs after the dailies, one after the weekly.
    assert night["sagas"] == {"persona_evolution": {"completed": 1}, "goal_creation": {"completed": 3}}
    assert night["kinds"]["persona_reassessment"]["unchanged"] == 1
    assert (night["model_calls"], night["runs"]) == (5, 9)
    assert night["seconds"] > 0
    _, again = selo.json("night", "--now", NOW)
    assert (again["model_calls"], again["runs"]) == (0, 0)


def test_due_lists_who_and_since_when_in_the_shape_of_the_contract(selo: Selo) -> None:
    _, told = selo.json("due", "--now", NOW)
    assert told["due"][0] == {
        "user": "ana",
        "kind": "daily",
        "on": "2026-11-22",
        "since": "2026-11-23T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("arguments", "outcome", "reason"),
    [
        (("ana",), "due", None),
        (("ana", "--on", "2026-11-23"), "skipped", "not_ended"),
        (("ana", "--on", "2026-11-21"), "skipped", "never_interacted"),
        (("ben",), "skipped", "nothing_new"),
        (("never",), "skipped", "never_interacted"),
    ],
)
def test_why_tells_apart_what_looks_the_same_from_outside(
    selo: Selo, arguments: tuple[str, ...], outcome: str, reason: str | None
) -> None:
    status, told = selo.json("why", *arguments, "--now", NOW)
    assert status == 0
    daily = told["kinds"]["daily"]
    assert (daily["outcome"], daily["reason"]) == (outcome, reason)
    assert daily["detail"].endswith(".")


def test_show_gives_reflections_with_the_writers_own_ids_as_evidence(selo: Selo) -> None:
    selo.json("night", "--now", NOW)
    status, shown = selo.json("show", "ana")
    assert status == 0
    assert (shown["user"], shown["key"]) == ("ana", "ana")
    (one,) = shown["reflections"]
    assert shown["mantra"]["evidence"] == [f"reflection:{one['id']}"]
    assert {"memory:m1", f"reflection:{one['id']}"} >= {
        item for question in shown["questions"] for item in question["evidence"]
    }
    assert (one["kind"], one["on"], one["version"], one["model"]) == ("daily", "2026-11-22", 1, "extractive")
    evidence = {item for insight in one["insights"] for item in insight["evidence"]}
    assert evidence <= {"memory:m1", "message:c1-0"}
    assert evidence
    assert {"name", "category", "value"} <= set(shown["persona"]["traits"][0])
    status, printed = selo("show", "ana")
    assert status == 0
    assert "2026-11-22" in printed
    lines = " ".join(printed.split())
    assert {"goals", "learnings"} <= {name for name in shown if shown[name]}
    wanted = [shown["mantra"]["text"], *(one["question"] for one in shown["questions"])]
    wanted += [
        text for one in shown["goals"] for text in (one["title"], *(step["description"] for step in one["steps"]))
    ]
    wanted += [one["content"] for one in shown["learnings"]]
    assert [text for text in wanted if " ".join(text.split()) not in lines] == []


def test_show_names_what_has_become_stale(selo: Selo, store: Store) -> None:
    selo.json("night", "--now", NOW)
    _, listed = selo.json("persona", "evolutions")
    (evolution,) = listed["evolutions"]
    _, shown = selo.json("show", "ana")
    with store.write() as connection:
        connection.execute(
            insert(stale_marks).values(
                user_id="ana",
                derived=f"reflection:{shown['reflections'][0]['id']}",
                because=f"evolution:{evolution['id']}",
                marked_at=datetime(2026, 11, 23, 6, tzinfo=UTC),
            )
        )
    _, printed = selo("show", "ana")
    assert f"reflection:{shown['reflections'][0]['id']}, because of evolution:{evolution['id']}" in printed


def test_what_a_memory_says_is_shown_by_a_terminal_and_never_obeyed(selo: Selo, store: Store) -> None:
    selo.json("night", "--now", NOW)
    with store.write() as connection:
        connection.execute(update(mantras).values(text="calm \x1b[2J\x9b31m\x07 again"))
    _, printed = selo("show", "ana")
    assert "calm" in printed
    assert not {"\x1b", "\x9b", "\x07"} & set(printed)


def test_an_unknown_person_is_wrong_use(selo: Selo) -> None:
    for arguments in (("why", "nobody"), ("show", "nobody"), ("reflect", "daily", "--user", "nobody")):
        status, told = selo.json(*arguments)
        assert (status, told["error"]["code"]) == (2, "unknown_user")
        status, _ = selo(*arguments)
        assert status == 2
        assert selo.error == "selo: there is no user 'nobody'\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("reflect", "hourly"), "unknown_kind"),
        (("reflect", "daily", "--on", "tomorrow"), "bad_date"),
        (("reflect", "daily", "--now", "2026-11-23T12:00:00"), "naive_time"),
        (("reflect", "daily", "--from", "2026-11-23"), "wrong_use"),
        (("reflect", "daily", "--from", "2026-11-23", "--to", "2026-11-01"), "wrong_use"),
        (("reflect", "daily", "--force"), "wrong_use"),
        (("reflect",), "wrong_use"),
        (("dance",), "wrong_use"),
    ],
)
def test_wrong_use_is_one_clear_error(selo: Selo, arguments: tuple[str, ...], code: str) -> None:
    status, told = selo.json(*arguments)
    assert (status, told["error"]["code"]) == (2, code)


def test_status_says_what_needs_a_person(selo: Selo, store: Store) -> None:
    status, told = selo.json("status")
    assert (status, told["ok"], told["problems"]) == (0, True, [])
    add_person(store, "lost", zone="Mars/Olympus")
    status, told = selo.json("status")
    assert (status, told["problems"][0]["code"]) == (1, "bad_zone")
    assert told["problems"][0]["runbook"].startswith("docs/")


def test_help_names_every_command() -> None:
    from click.testing import CliRunner

    from selo_dagster.cli import COMMANDS, selo

    printed = CliRunner().invoke(selo, ["--help"]).output
    assert all(name in printed for name in COMMANDS if name != "ingest")


def test_dead_letters_are_listed_with_what_they_died_of_and_replayed(selo: Selo, store: Store) -> None:
    assert selo.json("dead") == (0, {"dead": [], "replayed": 0})
    selo.json("due", "--now", NOW)
    with store.write() as connection:
        connection.execute(
            update(ledger)
            .where(ledger.c.user_id == "ana", ledger.c.kind == "daily")
            .values(state="dead", reason="timeout", ready_at=None, attempts=5, settled_at=ledger.c.since)
        )
    status, told = selo.json("dead", "--user", "ana")
    assert status == 0
    (one,) = told["dead"]
    assert (one["user"], one["kind"], one["on"], one["outcome"]) == ("ana", "daily", "2026-11-22", "dead")
    assert (one["reason"], one["attempts"]) == ("timeout", 5)
    assert selo.json("status")[0] == 1
    _, told = selo.json("dead", "--user", "ana", "--replay", "--now", NOW)
    assert told["replayed"] == 1
    assert selo.json("dead") == (0, {"dead": [], "replayed": 0})
    _, night = selo.json("night", "--now", NOW)
    assert night["kinds"]["daily"]["done"] == 2
