"""`selo rollback`: another version holds, and what versions asked for is undone and done again only when told to."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from selo_dagster.people.goals import ACTIVE, goals
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.states import ENDED
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, values
from tests.reflections.remaking import decided, heads
from tests.sagas.builders import Room
from tests.sagas.minds import learnings, model_that, rows
from tests.sagas.test_downstream import again, carried, reflect, states
from tests.support.command import Selo
from tests.support.fakes import NOW, remember, say

WHY = ("--because", "the first was better")
FIRST = [{"name": "empathy", "delta": 0.1, "reason": ""}]
SECOND = [{"name": "empathy", "delta": -0.05, "reason": ""}]
LAKE, LETTER = ["Go to the lake with her"], ["Write a letter to her"]
SUNDAY = ("ana", "daily", "2026-11-22")


@pytest.fixture
def room(store: Store, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Ana's, who had a Sunday, and of whom there is nothing to learn."""
    registry.cache_clear()
    model_that(monkeypatch, learnings=learnings())
    made = Room(store)
    say(store, "ana", "2026-11-22T10:00:00Z", "The interview is tomorrow", prefix="c1")
    enrol(store, DAILY, NOW, 3)
    return made


@pytest.fixture
def selo(
    room: Room,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Selo:
    """The command, beside Ana, whose Sunday was made twice; each version asked for something, and it was done."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    reflect(room, FIRST, LAKE)
    carried(room)
    again(room, SECOND, LETTER, evolve=True)
    carried(room)
    assert (values(room.store)["empathy"], open_goals(room.store)) == (0.75, LETTER)
    return Selo(capsys)


def open_goals(store: Store) -> list[str]:
    """Return the titles of the goals that are open."""
    return [row["title"] for row in rows(store, goals) if row["state"] == ACTIVE]


def test_another_version_holds_and_what_was_asked_for_stays_and_is_named_with_its_command(
    selo: Selo,
    room: Room,
) -> None:
    before = states(room)
    status, told = selo.json("rollback", *SUNDAY, "--to", "1", *WHY, "--by", "ben")
    assert (status, told["changed"], told["evolve"]) == (0, True, False)
    assert (told["user"], told["kind"], told["on"]) == SUNDAY
    assert (told["from"]["version"], told["to"]["version"]) == (2, 1)
    assert (heads(room.store), states(room)) == ([1], before)
    commands = {(one["reflection"], one["what"]): (one["state"], one["command"].split()[2]) for one in told["asked"]}
    assert commands == {
        (told["from"]["id"], "persona_evolution"): ("completed", "compensate"),
        (told["from"]["id"], "goal_creation"): ("completed", "compensate"),
        (told["to"]["id"], "persona_evolution"): ("compensated", "retry"),
        (told["to"]["id"], "goal_creation"): ("compensated", "retry"),
    }
    move = decided(room.store)[-1]
    assert (move.reason, move.actor, move.because) == ("rollback", "ben", "the first was better")
    # The same again changes nothing.
    status, told = selo.json("rollback", *SUNDAY, "--to", "1", *WHY)
    assert (status, told["changed"], heads(room.store)) == (0, False, [1])
    assert "version 1 held already" in selo("rollback", *SUNDAY, "--to", "1", *WHY)[1]
    assert decided(room.store)[-1].id == move.id
    # For people, what is left as it is stands beside what changed.
    status, printed = selo("rollback", *SUNDAY, "--to", "2", *WHY)
    assert status == 0
    assert "daily of ana on 2026-11-22: version 2 holds, instead of version 1" in printed
    assert (printed.count("undoes it"), printed.count("does it again")) == (0, 0)
    _, printed = selo("rollback", *SUNDAY, "--to", "1", *WHY)
    assert (printed.count("undoes it"), printed.count("does it again")) == (2, 2)
    _refuses(selo, room)


def test_with_evolve_what_the_other_asked_for_is_undone_and_its_own_is_done_again(
    selo: Selo,
    room: Room,
) -> None:
    status, told = selo.json("rollback", *SUNDAY, "--to", "1", *WHY, "--evolve")
    assert (status, told["evolve"]) == (0, True)
    carried(room)
    assert values(room.store) == INITIAL | {"empathy": 0.9}
    assert open_goals(room.store) == LAKE
    # And forth, and back: each time only what the one that holds asked for is in force.
    for version, value, titles in ((2, 0.75, LETTER), (1, 0.9, LAKE)):
        room.later(minutes=1)
        selo.json("rollback", *SUNDAY, "--to", str(version), *WHY, "--evolve", "--now", room.clock.now().isoformat())
        carried(room)
        assert (values(room.store)["empathy"], open_goals(room.store)) == (value, titles)
    assert all(state in ENDED for _, state in states(room))
    # A new version with --evolve undoes what was asked for again, too.
    room.later(minutes=1)
    again(room, [{"name": "empathy", "delta": 0.02, "reason": ""}], ["Wait for her call"], evolve=True)
    carried(room)
    assert (values(room.store), open_goals(room.store)) == (INITIAL | {"empathy": 0.82}, ["Wait for her call"])


def test_what_it_asked_for_and_is_still_in_force_is_not_asked_for_twice(selo: Selo, room: Room) -> None:
    again(room)
    number = len(room.rows())
    assert heads(room.store) == [3]
    selo.json("rollback", *SUNDAY, "--to", "2", *WHY, "--evolve")
    carried(room)
    assert (len(room.rows()), values(room.store)["empathy"], open_goals(room.store)) == (number, 0.75, LETTER)


def test_the_persona_follows_where_it_evolves_directly_too(
    room: Room, selo: Selo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_PERSONA_PATH", "direct")
    process_settings.cache_clear()
    for version, value in ((1, 0.9), (2, 0.75), (1, 0.9)):
        room.later(minutes=1)
        at = room.clock.now().isoformat()
        status, _ = selo.json("rollback", *SUNDAY, "--to", str(version), *WHY, "--evolve", "--now", at)
        carried(room)
        assert (status, values(room.store)) == (0, INITIAL | {"empathy": value})


def test_one_that_was_held_back_asks_for_its_own_when_it_is_let_hold(
    room: Room,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    remember(room.store, "ana", "m1", "2026-11-22T11:00:00Z", "the lake")
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    (first,) = reflect(room, FIRST, LAKE)
    carried(room)
    with room.store.write() as connection:
        both = [{"text": "a", "evidence": ["message:c1-0"]}, {"text": "b", "evidence": ["memory:m1"]}]
        connection.execute(update(reflections).values(insights=both))
    (held,) = again(room, SECOND, LETTER, evolve=True)
    carried(room)
    assert (held.outcome, held.reason, held.reflection_id) == ("unchanged", "loss_guard", first.reflection_id)
    # With --evolve too: nothing is undone and nothing is asked for by what does not hold.
    assert (values(room.store)["empathy"], open_goals(room.store), len(room.rows())) == (0.9, LAKE, 2)
    selo = Selo(capsys)
    status, _ = selo.json("rollback", *SUNDAY, "--to", "2", *WHY, "--evolve")
    carried(room)
    assert (status, values(room.store)["empathy"], open_goals(room.store)) == (0, 0.75, LETTER)


WRONG: list[tuple[tuple[str, ...], str]] = [
    ((*SUNDAY, "--to", "1"), "wrong_use"),
    ((*SUNDAY, "--to", "1", "--because", " "), "wrong_use"),
    ((*SUNDAY, "--to", "0", *WHY), "wrong_use"),
    ((*SUNDAY, *WHY), "wrong_use"),
    ((*SUNDAY, "--to", "1", *WHY, "--by", "\x1b[31m"), "wrong_use"),
    ((*SUNDAY, "--to", "9", *WHY), "unknown_version"),
    (("nobody", "daily", "2026-11-22", "--to", "1", *WHY), "unknown_user"),
    (("ana", "hourly", "2026-11-22", "--to", "1", *WHY), "unknown_kind"),
    (("ana", "mantra", "2026-11-22", "--to", "1", *WHY), "no_versions"),
    (("ana", "triggered", "2026-11-22", "--to", "1", *WHY), "no_versions"),
    (("ana", "daily", "2026-11-21", "--to", "1", *WHY), "no_versions"),
    (("ana", "daily", "Sunday", "--to", "1", *WHY), "bad_date"),
]


def _refuses(selo: Selo, room: Room) -> None:
    before = (heads(room.store), len(decided(room.store)))
    for arguments, code in WRONG:
        status, told = selo.json("rollback", *arguments)
        assert (status, told["error"]["code"]) == (2, code), arguments
    assert (heads(room.store), len(decided(room.store))) == before
