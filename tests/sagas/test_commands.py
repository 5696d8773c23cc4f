"""`selo saga`, typed as an operator types it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.people.goals import goals
from selo_dagster.sagas.claim import claim
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.states import FORWARD
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.store.engine import Store
from tests.sagas.builders import SECRET
from tests.support.command import Selo, selo_with_sagas
from tests.support.fakes import NOW, add_person

assert selo_dagster.definitions.defs is not None
GOAL = {"title": f"Run {SECRET}", "description": SECRET, "origin": "reflection:r1", "steps": [SECRET, "go"]}
WHY = ("--by", "olga", "--because", "she asked")


@pytest.fixture
def selo(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Selo]:
    """The command on a database with Ana and Ben."""
    for user in ("ana", "ben"):
        add_person(store, user)
    with selo_with_sagas(store_url, monkeypatch, capsys) as command:
        yield command


@pytest.fixture
def goal(tmp_path: Path) -> str:
    """A file with the input of a goal."""
    path = tmp_path / "goal.json"
    path.write_text(json.dumps(GOAL))
    return str(path)


def begun(selo: Selo, goal: str, user: str = "ana", *more: str) -> str:
    """Ask for a goal; returns the saga's id."""
    status, told = selo.json("saga", "start", "goal_creation", "--user", user, "--input", goal, *more)
    assert status == 0
    return str(told["id"])


def refused(selo: Selo, *arguments: str) -> str:
    """Return the code of a refusal, with nothing of what anybody wrote."""
    status, told = selo.json("saga", *arguments)
    assert status == 2
    assert set(told) == {"error"}
    assert SECRET not in told["error"]["message"] + selo.error
    return str(told["error"]["code"])


def test_a_saga_is_started_once_by_its_key(selo: Selo, goal: str) -> None:
    status, first = selo.json("saga", "start", "goal_creation", "--user", "ana", "--input", goal, "--key", "k")
    assert (status, first) == (0, {"id": first["id"], "state": "pending", "existing": False})
    _, second = selo.json("saga", "start", "goal_creation", "--user", "ana", "--input", goal, "--key", "k")
    assert second == {"id": first["id"], "state": "pending", "existing": True}
    status, printed = selo("saga", "start", "goal_creation", "--user", "ana", "--input", goal, "--key", "k")
    assert (status, printed) == (0, f"goal_creation {first['id']} is there already: pending\n")


def test_without_a_key_every_start_is_a_new_one(selo: Selo, goal: str) -> None:
    assert begun(selo, goal) != begun(selo, goal)


def test_the_input_may_come_from_standard_input(selo: Selo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(GOAL).encode())))
    assert begun(selo, "-")


def test_what_cannot_be_started_is_refused_by_its_code(selo: Selo, goal: str, tmp_path: Path) -> None:
    def file(content: bytes) -> str:
        path = tmp_path / "input.json"
        path.write_bytes(content)
        return str(path)

    start = ("start", "goal_creation", "--user", "ana", "--input")
    assert refused(selo, "start", "nothing", "--user", "ana", "--input", goal) == "unknown_saga"
    assert refused(selo, "start", "goal_creation", "--user", "nobody", "--input", goal) == "unknown_user"
    assert refused(selo, *start, goal, "--key", "a\nb") == "bad_key"
    assert refused(selo, *start, str(tmp_path / "nothing.json")) == "bad_input"
    assert refused(selo, *start, str(tmp_path)) == "bad_input"
    assert refused(selo, *start, file(b"[1]")) == "bad_input"
    assert refused(selo, *start, file(b"{")) == "bad_input"
    assert refused(selo, *start, file(b"\xff")) == "bad_input"
    assert refused(selo, *start, file(b"[" * 100_000)) == "bad_input"
    assert refused(selo, *start, file(b" " * (1 << 20) + b"{}")) == "bad_input"
    assert refused(selo, *start, file(json.dumps({**GOAL, "steps": SECRET}).encode())) == "bad_input"
    assert refused(selo, *start, file(json.dumps({**GOAL, "title": "\ud800"}).encode())) == "bad_input"
    assert refused(selo, "start", "goal_creation", "--user", "ana") == "wrong_use"
    assert selo.json("saga", "list")[1] == {"sagas": []}


def test_a_refusal_without_json_is_one_sentence(selo: Selo, goal: str) -> None:
    assert selo("saga", "start", "nothing", "--user", "ana", "--input", goal) == (2, "")
    assert selo.error.startswith("selo: there is no saga 'nothing': use one of ")
    assert selo.error.count("\n") == 1


def test_sagas_are_listed_newest_first_and_can_be_chosen(selo: Selo, goal: str) -> None:
    assert selo("saga", "list") == (0, "no saga is like that\n")
    first, second = begun(selo, goal, "ana"), begun(selo, goal, "ben")
    _, told = selo.json("saga", "list")
    assert [(one["id"], one["user"]) for one in told["sagas"]] == [(second, "ben"), (first, "ana")]
    assert (
        told["sagas"][0].items()
        >= {
            "type": "goal_creation",
            "version": 2,
            "state": "pending",
            "direction": "forward",
            "generation": 1,
            "error": None,
            "ended_at": None,
        }.items()
    )
    for chosen, expected in (
        (("--user", "ana"), [first]),
        (("--type", "goal_creation"), [second, first]),
        (("--type", "nothing"), []),
        (("--state", "completed"), []),
        (("--state", "pending", "--limit", "1"), [second]),
    ):
        assert [one["id"] for one in selo.json("saga", "list", *chosen)[1]["sagas"]] == expected
    assert refused(selo, "list", "--user", "nobody") == "unknown_user"
    assert refused(selo, "list", "--state", "done") == "wrong_use"
    assert refused(selo, "list", "--limit", "0") == "wrong_use"
    status, printed = selo("saga", "list")
    assert (status, "2 sagas" in printed, SECRET in printed) == (0, True, False)


def test_a_saga_is_shown_with_its_steps_and_its_story_and_without_what_is_private(selo: Selo, goal: str) -> None:
    saga_id = begun(selo, goal, "ana", "--key", "k")
    status, told = selo.json("saga", "show", saga_id)
    assert status == 0
    assert (
        told.items()
        >= {
            "id": saga_id,
            "type": "goal_creation",
            "state": "pending",
            "direction": "forward",
            "generation": 1,
            "key": "k",
            "error": None,
        }.items()
    )
    assert told["steps"] == [{"name": name, "state": "pending", "attempts": 0} for name in ("make_goal", "plan", "ask")]
    assert told["timeline"] == []
    assert refused(selo, "show", "nothing") == "unknown_saga_id"
    assert refused(selo, "show") == "wrong_use"


def test_a_run_carries_out_what_waits_and_says_what_came_of_it(selo: Selo, goal: str, store: Store) -> None:
    assert selo.json("saga", "run") == (0, {"counts": {}, "runs": 0})
    saga_id, other = begun(selo, goal), begun(selo, goal, "ben")
    assert selo.json("saga", "run", "--type", "goal_creation") == (0, {"counts": {"completed": 2}, "runs": 1})
    assert refused(selo, "run", "--type", "nothing") == "unknown_saga"
    _, told = selo.json("saga", "show", saga_id)
    assert [(step["name"], step["state"], step["attempts"]) for step in told["steps"]] == [
        ("make_goal", "done", 1),
        ("plan", "done", 1),
        ("ask", "done", 1),
    ]
    assert [(one["what"], one["step"]) for one in told["timeline"]] == [
        ("done", "make_goal"),
        ("done", "plan"),
        ("done", "ask"),
    ]
    # Then one is undone, and the exit status stays 0 because nothing is left over.
    assert selo.json("saga", "compensate", saga_id, *WHY) == (
        0,
        {"id": saga_id, "state": "compensating", "changed": True},
    )
    assert selo.json("saga", "run") == (0, {"counts": {"compensated": 1}, "runs": 1})
    for arguments in (("show", saga_id), ("show", saga_id, "--json"), ("list",), ("list", "--json")):
        assert SECRET not in selo("saga", *arguments)[1]
    _, printed = selo("saga", "show", saga_id)
    assert f"goal_creation {saga_id} of ana: compensated, compensate, generation 1" in printed
    assert "compensate  by olga: she asked" in printed
    with store.read() as connection:
        states = {row.user_id: row.state for row in connection.execute(select(goals))}
    assert states == {"ana": "cancelled", "ben": "active"}
    assert selo.json("saga", "show", other)[1]["state"] == "completed"


def test_a_run_in_which_an_undo_is_refused_ends_with_status_1_and_a_waiver_ends_it(
    selo: Selo, goal: str, store: Store
) -> None:
    saga_id = begun(selo, goal)
    selo.json("saga", "run")
    with store.write() as connection:
        connection.execute(update(goals).values(progress=0.5))
    selo.json("saga", "compensate", saga_id)
    assert selo.json("saga", "run") == (1, {"counts": {"compensation_incomplete": 1}, "runs": 1})
    _, told = selo.json("saga", "show", saga_id)
    assert (told["error"]["left"], told["reason"]) == (["make_goal", "plan"], "undo_failed")
    assert refused(selo, "waive", saga_id, "make_goal") == "wrong_use"
    assert refused(selo, "waive", saga_id, "make_goal", "--by", "olga") == "wrong_use"
    assert refused(selo, "waive", saga_id, "nothing", *WHY) == "unknown_step"
    assert refused(selo, "waive", saga_id, "ask", *WHY) == "not_waivable"
    for step in ("plan", "make_goal"):
        assert selo.json("saga", "waive", saga_id, step, *WHY)[1]["changed"] is True
    assert selo.json("saga", "run") == (0, {"counts": {"compensated": 1}, "runs": 1})


def test_acts_say_whether_they_changed_anything(selo: Selo, goal: str) -> None:
    saga_id = begun(selo, goal)
    for action, state, changed in (
        ("pause", "paused", True),
        ("pause", "paused", False),
        ("resume", "pending", True),
        ("resume", "pending", False),
        ("retry", "pending", False),
        ("cancel", "cancelled", True),
        ("cancel", "cancelled", False),
        ("compensate", "cancelled", False),
        ("retry", "pending", True),
    ):
        assert selo.json("saga", action, saga_id, *WHY) == (0, {"id": saga_id, "state": state, "changed": changed})
    assert selo.json("saga", "show", saga_id)[1]["generation"] == 2
    assert selo("saga", "pause", saga_id) == (0, f"{saga_id} is paused\n")
    assert selo("saga", "pause", saga_id) == (0, f"{saga_id} is paused: there was nothing to change\n")


@pytest.mark.parametrize("action", ["retry", "cancel", "compensate", "pause", "resume"])
def test_an_act_on_nothing_is_refused(selo: Selo, action: str) -> None:
    assert refused(selo, action, "nothing") == "unknown_saga_id"
    assert refused(selo, action) == "wrong_use"


def test_who_acted_and_why_is_kept_and_defaults_to_the_account(
    selo: Selo, goal: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "operator-7")
    saga_id = begun(selo, goal)
    selo.json("saga", "pause", saga_id)
    selo.json("saga", "resume", saga_id, *WHY)
    with store.read() as connection:
        rows = connection.execute(select(saga_interventions).order_by(saga_interventions.c.id)).all()
    assert [(row.action, row.actor, row.because) for row in rows] == [
        ("pause", "operator-7", "asked on the command line"),
        ("resume", "olga", "she asked"),
    ]


def test_a_name_that_is_too_long_is_refused(selo: Selo, goal: str) -> None:
    saga_id = begun(selo, goal)
    status, told = selo.json("saga", "pause", saga_id, "--by", "o" * 201)
    # SQLite has room for it.
    assert (status, told.get("changed")) == (0, True) or (status, set(told)) == (2, {"error"})


def test_an_act_on_a_completed_saga_is_refused_where_it_makes_no_sense(selo: Selo, goal: str) -> None:
    saga_id = begun(selo, goal)
    selo.json("saga", "run")
    for action in ("cancel", "retry", "pause"):
        assert refused(selo, action, saga_id) == "already_ended"


def test_a_run_does_not_take_what_another_run_holds(selo: Selo, goal: str, store: Store) -> None:
    saga_id = begun(selo, goal)
    saga = registry().type("goal_creation")
    with store.write() as connection:
        claim(connection, saga, FORWARD, run_id="elsewhere", now=NOW, lease_s=60.0, limit=1)
        # A run of which Dagster knows nothing has ended: what it held is gone on with.
    assert selo.json("saga", "run") == (0, {"counts": {"completed": 1}, "runs": 1})
    with store.read() as connection:
        row: Any = connection.execute(select(sagas).where(sagas.c.id == saga_id)).one()
    assert row.epoch == 2


FULL = {
    "sqlite": ["CREATE TRIGGER no_room BEFORE UPDATE ON sagas BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"],
    "postgresql": [
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$",
        "CREATE TRIGGER no_room BEFORE UPDATE ON sagas FOR EACH ROW EXECUTE FUNCTION no_room()",
    ],
}


def test_a_run_that_cannot_even_claim_is_not_begun_again_and_again(selo: Selo, goal: str, store: Store) -> None:
    saga_id = begun(selo, goal)
    with store.write() as connection:
        for statement in FULL[store.dialect]:
            connection.execute(text(statement))
    status, told = selo.json("saga", "run")
    assert status != 0
    assert told.get("runs", 1) <= 2
    assert selo.json("saga", "show", saga_id)[1]["state"] == "pending"
