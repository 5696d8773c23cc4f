"""Sagas as an operator sees them: one that broke, its way back, a cohort in which three broke, and terminated runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from selo_dagster.clock import SystemClock
from selo_dagster.people.goals import ACTIVE, CANCELLED, goals
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.start import start
from selo_dagster.sagas.tables import sagas
from tests.sagas.dagster_sagas import LETTER
from tests.ui.screens import seen
from tests.ui.server import LOCATION, START_LIMIT_S, Server, _stop, people_lines, until

PEOPLE = 60
COHORT = [f"u{number:06}" for number in range(10, 60)]
BROKEN_KEYS = ["u000012", "u000031", "u000055"]
ALONE = "u000003"
SECRET = "The amber otter waltzed behind the old observatory."
PARTS = ("amber otter", "old observatory")
TRIGGER = (
    "CREATE TRIGGER break_some BEFORE INSERT ON relationship_questions "
    f"WHEN NEW.user_id IN ({', '.join(repr(key) for key in [ALONE, *BROKEN_KEYS])}) "
    "BEGIN SELECT RAISE(ABORT, 'planted'); END"
)
MODULE = "tests.sagas.dagster_sagas"
ROOT = Path(__file__).parents[2]

_RUNS = """query($of: RunsFilter!) { runsOrError(filter: $of) { ... on Runs { results {
  runId status tags { key value } stepStats { stepKey status } } } } }"""
_TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunSuccess { run { runId } } ... on TerminateRunFailure { message }
  ... on PythonError { message } } }"""


@contextmanager
def running_with_sagas(folder: Path) -> Iterator[Server]:
    """Run `selo up` with the sagas of the tests beside those that are ours; at the end it is told Ctrl-C."""
    server = Server(folder / "home")
    server.environment |= {"SELO_SAGA_MODULES": MODULE, "PYTHONPATH": str(ROOT)}
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "selo_dagster", "up", "--port", str(server.port)],
            env=server.environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        until("the web UI answers", lambda: process.poll() is not None or server._answers(), START_LIMIT_S)
        assert process.poll() is None, server.log.read_text(encoding="utf-8")[-2000:]
        yield server
    finally:
        server.store.close()
        left = _stop(process)
    assert process.returncode == 0, server.log.read_text(encoding="utf-8")[-2000:]
    assert not left, f"still running after Ctrl-C: {left}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Sixty people; the database refuses a question about the goal of four of them."""
    on = datetime.now(timezone.utc).date() - timedelta(days=30)
    with running_with_sagas(tmp_path_factory.mktemp("saga")) as running:
        running.ingest(people_lines(PEOPLE, on, "I walked by the sea."))
        with running.store.write() as connection:
            connection.execute(text(TRIGGER))
        yield running


def ask(server: Server, users: Sequence[str], saga: Saga, given: dict[str, Any]) -> list[str]:
    """Ask for a saga of each of some people, all in one transaction; returns their ids."""
    with server.store.write() as connection:
        return [
            start(
                connection,
                saga,
                user_id=user,
                key=uuid4().hex,
                given=given,
                now=SystemClock().now(),
                new_id=lambda: uuid4().hex,
            ).id
            for user in users
        ]


def goal(server: Server, users: Sequence[str]) -> list[str]:
    """Ask for a goal of each of some people."""
    given = {
        "title": SECRET,
        "description": SECRET,
        "origin": "a test",
        "steps": [SECRET, "Ask again."],
        "question": f"Do you remember: {SECRET}",
    }
    return ask(server, users, GOAL_CREATION, given)


def row(server: Server, saga_id: str) -> Any:
    """Return a saga's row."""
    with server.store.read() as connection:
        return connection.execute(select(sagas).where(sagas.c.id == saga_id)).one()


def came_to(server: Server, saga_id: str, state: str) -> bool:
    """Tell whether a saga has come to a state."""
    return bool(row(server, saga_id).state == state)


def runs(server: Server, **tags: str) -> list[dict[str, Any]]:
    """Return the runs that have some tags, newest first, with the status of each of their steps."""
    wanted = [{"key": name, "value": value} for name, value in tags.items()]
    found = server.ask(_RUNS, of={"tags": wanted})["runsOrError"]["results"]
    for run in found:
        run["steps"] = {one["stepKey"]: one["status"] for one in run["stepStats"]}
        run["tags"] = {one["key"]: one["value"] for one in run["tags"]}
    return list(found)


def run_of(server: Server, saga_id: str, direction: str) -> dict[str, Any]:
    """Return the one run of a saga alone in a direction, once it has ended."""
    wanted = {"selo/saga": saga_id, "selo/direction": direction}

    def ended() -> list[dict[str, Any]]:
        return [run for run in runs(server, **wanted) if run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}]

    (run,) = until(f"the run of {saga_id} that goes {direction} ends", ended)
    return run


def assert_tells_nothing(page: Any) -> None:
    """Nothing of what somebody wrote is on the page."""
    shown = page.content()
    for private in (SECRET, *PARTS):
        assert private not in shown


def show_run(page: Any, server: Server, run_id: str, ended: str) -> None:
    """Open a run's page with a line for each of its steps, above its events."""
    page.goto(f"{server.address}/runs/{run_id}")
    seen(page, ended)
    page.get_by_label("gantt_flat").click()
    seen(page, "claim")
    # The border between the steps and the events.
    page.mouse.move(800, 340)
    page.mouse.down()
    page.mouse.move(800, 565, steps=10)
    page.mouse.up()
    # How the run ended, right below the head of its events.
    last = seen(page, ended)
    page.mouse.move(800, 760)
    page.mouse.wheel(0, last.bounding_box()["y"] - 665)


def colour(page: Any, step: str) -> str:
    """Return the colour in which a run's page draws a step."""
    found = seen(page, step).evaluate(
        """(place) => {
             for (let one = place; one; one = one.parentElement) {
               const drawn = getComputedStyle(one).backgroundColor.match(/\\d+(\\.\\d+)?/g).map(Number);
               if (drawn.length === 3 || drawn[3] > 0) return drawn;
             }
           }"""
    )
    red, green, blue = found[:3]
    if red > green + 60:
        return "red"
    return "green" if green > red + 60 and green > blue else "neither"


def colours(page: Any, *steps: str) -> dict[str, str]:
    """Return the colour of each of some steps."""
    return {step: colour(page, step) for step in steps}


WAY_FORWARD = ("forward.make_goal", "forward.plan", "forward.ask")
WAY_BACK = ("compensation.undo_ask", "compensation.undo_plan", "compensation.undo_make_goal", "compensation.verdict")


def test_a_saga_alone_that_fails_is_red_where_it_broke_and_its_way_back_is_green(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    (saga_id,) = goal(server, [ALONE])
    until("the saga is undone", lambda: came_to(server, saga_id, "compensated"))
    there, back = run_of(server, saga_id, "forward"), run_of(server, saga_id, "compensate")
    assert (there["status"], back["status"]) == ("FAILURE", "SUCCESS")
    with server.store.read() as connection:
        (made,) = connection.execute(select(goals).where(goals.c.user_id == ALONE)).all()
    assert (made.state, made.title) == (CANCELLED, SECRET), "there was nothing that could have leaked"

    show_run(page, server, there["runId"], "RUN_FAILURE")
    seen(page, "Errored (1)")
    assert colours(page, "claim", *WAY_FORWARD, *WAY_BACK) == {
        "claim": "green",
        "forward.make_goal": "green",
        "forward.plan": "green",
        "forward.ask": "red",
        **dict.fromkeys(WAY_BACK, "neither"),
    }
    page.get_by_text(f"{saga_id} (IntegrityError)").locator("visible=true").first.wait_for()
    assert_tells_nothing(page)
    picture(page, "saga-broken")

    show_run(page, server, back["runId"], "RUN_SUCCESS")
    assert colours(page, "claim", *WAY_FORWARD, *WAY_BACK) == {
        "claim": "green",
        **dict.fromkeys(WAY_FORWARD, "neither"),
        **dict.fromkeys(WAY_BACK, "green"),
    }
    seen(page, "Errored (0)")
    seen(page, "Launched by")
    seen(page, "saga_runs")
    assert_tells_nothing(page)
    picture(page, "saga-undone")

    page.goto(f"{server.address}/runs?q[0]=tag%3Aselo%2Fsaga%3D{saga_id}")
    for run, status in ((there, "Failure"), (back, "Success")):
        seen(page, run["runId"][:8])
        seen(page, status)
    assert page.get_by_text("saga_goal_creation", exact=True).locator("visible=true").count() == 2
    assert_tells_nothing(page)


def test_three_of_fifty_that_break_are_named_at_settle_and_the_others_complete(
    server: Server, page: Any, picture: Callable[[Any, str], None]
) -> None:
    ids = dict(zip(COHORT, goal(server, COHORT), strict=True))
    broken = {ids[key] for key in BROKEN_KEYS}
    ended = {"completed", "compensated"}
    until("all fifty have ended", lambda: all(row(server, saga_id).state in ended for saga_id in ids.values()))
    by_state = {saga_id: row(server, saga_id).state for saga_id in ids.values()}
    assert {saga_id for saga_id, state in by_state.items() if state == "compensated"} == broken
    assert sum(state == "completed" for state in by_state.values()) == 47
    with server.store.read() as connection:
        active = connection.execute(select(goals.c.user_id).where(goals.c.state == ACTIVE)).scalars().all()
    assert sorted(active) == sorted(set(COHORT) - set(BROKEN_KEYS))

    (run,) = [
        one
        for one in runs(server, **{"selo/saga_type": "goal_creation", "selo/direction": "forward"})
        if "selo/sagas" in one["tags"]
    ]
    show_run(page, server, run["runId"], "RUN_FAILURE")
    assert colours(page, *WAY_FORWARD, "forward.settle") == {
        **dict.fromkeys(WAY_FORWARD, "green"),
        "forward.settle": "red",
    }
    message = page.get_by_text("3 sagas of this run broke").locator("visible=true").first.inner_text()
    assert {saga_id for saga_id in ids.values() if saga_id in message} == broken
    assert_tells_nothing(page)
    picture(page, "saga-cohort")


def test_the_jobs_page_draws_both_ways(server: Server, page: Any, picture: Callable[[Any, str], None]) -> None:
    page.goto(f"{server.address}/locations/{LOCATION}/jobs/saga_goal_creation")
    for shown in ("claim", "forward", "compensation"):
        seen(page, shown)
    seen(page, "Explode graphs").click()
    for step in WAY_FORWARD:
        seen(page, step)
    page.mouse.move(1200, 700)
    picture(page, "saga-graph")


def test_no_word_of_anybody_is_in_dagsters_home(server: Server) -> None:
    kept = [path for path in (server.home / "dagster").rglob("*") if path.is_file()]
    assert any(b"sagas of this run broke" in path.read_bytes() for path in kept)
    for path in kept:
        content = path.read_bytes()
        assert not [private for private in PARTS if private.encode() in content], path


# Terminated runs.


def slow_letter(server: Server, folder: Path, user: str, at: str) -> tuple[str, Path, str]:
    """Ask for a letter that is slow at a step; returns its id, the file it waits for, and its run once it waits."""
    gate = folder / "gate"
    given = {"text": SECRET, "behaviour": {"fail_at": at, "how": "slow", "gate": str(gate)}}
    (saga_id,) = ask(server, [user], LETTER, given)
    until(f"{at} has begun", gate.with_suffix(".inside").exists)
    (run,) = runs(server, **{"selo/saga": saga_id})
    assert run["status"] == "STARTED"
    return saga_id, gate, str(run["runId"])


def terminate(server: Server, run_id: str) -> None:
    """Terminate a run as the button does, and wait until it is."""
    answer = server.ask(_TERMINATE, id=run_id)["terminateRun"]
    assert answer["__typename"] == "TerminateRunSuccess", answer
    assert until(f"run {run_id} ends", lambda: server.ended(run_id)) == "CANCELED"


def goal_states(server: Server, user: str) -> list[str]:
    """Return the states of a person's goals."""
    with server.store.read() as connection:
        return list(connection.execute(select(goals.c.state).where(goals.c.user_id == user)).scalars())


def test_a_run_that_is_terminated_before_any_effect_leaves_its_saga_cancelled(server: Server, tmp_path: Path) -> None:
    saga_id, gate, run_id = slow_letter(server, tmp_path, "u000000", "remember")
    terminate(server, run_id)
    until("the saga is cancelled", lambda: came_to(server, saga_id, "cancelled"))
    assert (row(server, saga_id).reason, goal_states(server, "u000000")) == ("cancelled", [])
    assert not gate.exists()


def test_a_run_that_is_terminated_before_the_pivot_leaves_its_saga_undone(server: Server, tmp_path: Path) -> None:
    saga_id, gate, run_id = slow_letter(server, tmp_path, "u000001", "ponder")
    assert goal_states(server, "u000001") == [ACTIVE]
    terminate(server, run_id)
    until("the saga is undone", lambda: came_to(server, saga_id, "compensated"))
    assert (row(server, saga_id).reason, goal_states(server, "u000001")) == ("cancelled", [CANCELLED])
    assert run_of(server, saga_id, "compensate")["status"] == "SUCCESS"
    assert not gate.exists()


def test_a_run_that_is_terminated_after_the_pivot_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    saga_id, gate, run_id = slow_letter(server, tmp_path, "u000002", "deliver")
    terminate(server, run_id)
    gate.touch()
    until("the saga is completed", lambda: came_to(server, saga_id, "completed"))
    found = row(server, saga_id)
    assert (found.cancel_requested, goal_states(server, "u000002")) == (False, [ACTIVE])
    assert found.run_id != run_id
    letters = Path(f"{gate}.letters").read_text(encoding="utf-8").splitlines()
    assert letters == [f"{saga_id}/1/deliver/forward"]
