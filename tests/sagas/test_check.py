"""The deploy guard: a definition that a saga still needs must be there, unchanged, before anything goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from selo_dagster.errors import SeloError
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.check import Missing, definition_of, missing_definitions, require_definitions
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.registry import Registry, registry
from selo_dagster.sagas.start import start
from selo_dagster.sagas.tables import saga_definitions
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.sagas.builders import DIAMOND, LINE, PIVOTED, Room, effect, saga_of
from tests.support.command import Selo
from tests.support.fakes import NOW

CHANGED = saga_of("test_line", effect("one"))


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


@pytest.fixture
def selo(store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Selo]:
    """The command on the room's database."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    registry.cache_clear()
    yield Selo(capsys)
    registry.cache_clear()


def missing(room: Room, *known: Saga) -> list[tuple[str, str, int]]:
    """Return what is missing when the code has only these."""
    have = Registry({(saga.name, saga.version): saga for saga in known})
    with room.store.read() as connection:
        return [(one.type, one.why, one.sagas) for one in missing_definitions(connection, have, room.clock.now())]


def ask_for_a_goal(room: Room) -> str:
    with room.store.write() as connection:
        given = {"title": "Run", "description": "Run", "origin": "o", "steps": ["go"]}
        return start(
            connection, GOAL_CREATION, user_id="ana", key="k", given=given, now=NOW, new_id=lambda: "g" * 32
        ).id


def change_what_is_remembered(room: Room) -> None:
    """Let the journal remember another content than the code's."""
    with room.store.write() as connection:
        connection.execute(update(saga_definitions).values(fingerprint="0" * 64))


def test_nothing_is_missing_where_nothing_was_started(room: Room) -> None:
    assert missing(room) == []


def test_what_a_saga_under_way_needs_is_missed_when_it_is_gone_or_changed(room: Room) -> None:
    room.start(LINE)
    room.start(LINE)
    assert missing(room, LINE) == []
    assert missing(room) == [("test_line", "gone", 2)]
    assert missing(room, CHANGED) == [("test_line", "changed", 2)]


def test_a_newer_version_beside_the_old_one_is_nothing_missing_and_in_its_place_it_is(room: Room) -> None:
    room.start(LINE)
    newer = saga_of("test_line", *LINE.steps, version=2)
    assert missing(room, LINE, newer) == []
    assert missing(room, newer) == [("test_line", "gone", 1)]


@pytest.mark.parametrize("state", ["waiting", "paused", "parked", "compensating", "compensation_incomplete"])
def test_every_saga_that_has_not_ended_needs_its_definition(room: Room, state: str) -> None:
    saga = PIVOTED if state == "parked" else LINE
    wanted: dict[str, Any] = {
        "waiting": {"fail_at": {"one": "transient"}},
        "paused": {},
        "parked": {"fail_at": {"last": "error"}},
        "compensating": {"fail_at": {"two": "error"}},
        "compensation_incomplete": {"fail_at": {"two": "error"}, "undo_fail_at": {"one": "refused"}},
    }[state]
    saga_id = room.start(saga, **wanted)
    if state == "paused":
        room.act("pause", saga_id)
    room.forward(saga)
    if state == "compensation_incomplete":
        room.back(saga)
    assert room.state(saga_id) == state
    room.later(days=1_000)
    assert missing(room) == [(saga.name, "gone", 1)]


def test_a_completed_saga_needs_its_definition_as_long_as_it_can_be_undone(room: Room) -> None:
    room.start(LINE)
    room.forward(LINE)
    room.later(days=LINE.undo_days, microseconds=-1)
    assert missing(room) == [("test_line", "gone", 1)]
    room.later(microseconds=2)
    assert missing(room) == []


def test_how_long_it_can_be_undone_is_what_was_promised_when_it_was_started(room: Room) -> None:
    room.start(LINE)
    room.forward(LINE)
    room.later(days=2)
    assert missing(room, saga_of("test_line", *LINE.steps, undo_days=1)) == [("test_line", "changed", 1)]


def test_a_saga_that_was_undone_or_cancelled_needs_nothing(room: Room) -> None:
    undone, cancelled = room.start(DIAMOND, fail_at={"tip": "error"}), room.start(LINE)
    room.work_off(DIAMOND)
    room.act("cancel", cancelled)
    assert (room.state(undone), room.state(cancelled)) == ("compensated", "cancelled")
    assert missing(room) == []


def test_everything_that_is_missing_is_named_with_what_to_do(room: Room) -> None:
    room.people(1)
    room.start(LINE)
    room.start(DIAMOND, "p00")
    with room.store.read() as connection, pytest.raises(SeloError) as refused:
        require_definitions(connection, Registry({("test_line", 1): CHANGED}), room.clock.now())
    assert refused.value.code == "stranded_sagas"
    assert refused.value.message == (
        "test_diamond version 1 is gone and 1 sagas still need it: bring it back; "
        "test_line version 1 is changed and 1 sagas still need it: bring it back, "
        "and give the changed one a new version"
    )
    assert Missing("a", 1, "gone", 2).sentence == "a version 1 is gone and 2 sagas still need it: bring it back"


def test_a_definition_that_is_not_part_of_the_code_is_said_to_be_gone() -> None:
    assert definition_of(Registry({("test_line", 1): LINE}), "test_line", 1) is LINE
    with pytest.raises(SeloError) as refused:
        definition_of(Registry({("test_line", 1): LINE}), "test_line", 2)
    assert refused.value.code == "definition_gone"


@pytest.mark.parametrize("command", [("saga", "run"), ("db", "upgrade")], ids=["run", "upgrade"])
@pytest.mark.parametrize("why", ["gone", "changed"])
def test_nothing_goes_on_over_a_saga_whose_definition_is_missing(
    room: Room, selo: Selo, command: tuple[str, str], why: str
) -> None:
    saga_id = room.start(LINE) if why == "gone" else ask_for_a_goal(room)
    if why == "changed":
        change_what_is_remembered(room)
    status, told = selo.json(*command)
    assert (status, told["error"]["code"]) == (2, "stranded_sagas")
    assert f"is {why}" in told["error"]["message"]
    assert (room.state(saga_id), room.row(saga_id).epoch) == ("pending", 0)


def test_the_check_names_what_is_missing_and_what_there_is(room: Room, selo: Selo) -> None:
    ask_for_a_goal(room)
    status, told = selo.json("saga", "check")
    assert (status, told["ok"], told["missing"]) == (0, True, [])
    assert {"type": "goal_creation", "version": 2} in told["definitions"]
    change_what_is_remembered(room)
    status, told = selo.json("saga", "check")
    assert (status, told["ok"]) == (1, False)
    assert told["missing"] == [{"type": "goal_creation", "version": 2, "why": "changed", "sagas": 1}]
    status, printed = selo("saga", "check")
    assert (status, printed.startswith("! goal_creation version 2 is changed")) == (1, True)


def test_an_upgrade_with_nothing_missing_goes_through(room: Room, selo: Selo) -> None:
    ask_for_a_goal(room)
    assert selo.json("db", "upgrade")[0] == 0
