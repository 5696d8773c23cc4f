"""A notice to the companion's server is told once, found again, or taken back, whatever the network does."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from selo_dagster.clock import FixedClock
from selo_dagster.errors import SeloError
from selo_dagster.sagas import notice_calls
from selo_dagster.sagas.catalogue.companion_notice import COMPANION_NOTICE
from selo_dagster.sagas.notice_calls import NoAnswerError, NotReachedError, Server
from selo_dagster.sagas.notices import companion_notices
from selo_dagster.sagas.testing.case import Case
from selo_dagster.sagas.testing.crash import crash_at
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.settings import load_settings, process_settings
from selo_dagster.store.engine import Store
from tests.sagas.kit_cases import REFLECTION, add_reflection
from tests.support.fakes import NOW, add_person
from tests.support.notice_server import (
    NoticeServer,
    Step,
    hang,
    lose,
    status,
    work_then,
    work_then_drop,
    work_then_hang,
)

BEARER = "planted-bearer-token"
INTENT, RESULT = 1, 2
"""The writes of the step that posts."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NoticeServer]:
    """The companion's own server, named in the settings; nobody waits long for it."""
    monkeypatch.setattr(notice_calls, "ANSWER_S", 0.4)
    with NoticeServer() as running:
        monkeypatch.setenv("SELO_NOTICE_URL", running.url + "/")
        monkeypatch.setenv("SELO_NOTICE_TOKEN", BEARER)
        process_settings.cache_clear()
        yield running


@pytest.fixture
def notice(store: Store, server: NoticeServer) -> Driver:
    """A notice of Ana's reflection that nobody has started yet."""
    assert server.requests == []
    add_person(store, "ana")
    add_person(store, "ben")
    add_reflection(store, "ana")
    case = Case(COMPANION_NOTICE, store, "ana", {"reflection_id": REFLECTION})
    return Driver(case, COMPANION_NOTICE, FixedClock(NOW))


def noted(notice: Driver) -> int:
    with notice.case.store.read() as connection:
        return connection.execute(select(func.count()).select_from(companion_notices)).scalar_one()


def methods(server: NoticeServer) -> list[str]:
    return [one.method for one in server.requests]


def die_at(notice: Driver, write: int, moment: str) -> None:
    """Let the process die at a write of the step that posts; another one may take over."""
    notice.start()
    token, run_id = notice.claim()
    notice.do(notice.saga.step("read_reflection"), token, run_id)
    with crash_at(write, "before" if moment == "before" else "after") as death:
        notice.do(notice.saga.step("post_notice"), token, run_id)
    assert death.happened
    assert notice.steps()["post_notice"].state == "running"
    notice.lose()


def test_the_companion_is_told_once_by_ids_only_and_it_is_noted_when(notice: Driver, server: NoticeServer) -> None:
    notice.complete()
    (request,) = server.requests
    token = f"{notice.saga_id}/1/post_notice/forward"
    assert (request.method, request.token) == ("POST", token)
    assert request.body == {"user_id": "ana", "reflection_id": REFLECTION, "kind": "daily", "on": "2026-11-22"}
    assert request.headers["authorization"] == f"Bearer {BEARER}"
    with notice.case.store.read() as connection:
        row = connection.execute(select(companion_notices)).one()
    assert (row.notice, row.user_id, row.reflection_id, row.told_at) == (token, "ana", REFLECTION, NOW)


@pytest.mark.parametrize("step", [work_then_hang, work_then_drop, work_then(500), work_then(408)])
def test_an_answer_that_is_not_heard_is_asked_for_and_nothing_is_told_twice(
    notice: Driver, server: NoticeServer, step: Step
) -> None:
    server.then("POST", step)
    notice.complete()
    assert methods(server) == ["POST", "GET"]
    assert (len(server.told), noted(notice)) == (1, 1)


def test_a_time_out_before_the_work_is_tried_again_under_the_same_token(notice: Driver, server: NoticeServer) -> None:
    server.then("POST", hang)
    notice.complete()
    assert methods(server) == ["POST", "GET", "POST"]
    assert len({one.token for one in server.requests}) == 1
    assert notice.steps()["post_notice"].attempts == 2


@pytest.mark.parametrize("first", [work_then(500), status(500)], ids=["told", "not told"])
def test_what_nobody_can_tell_waits_in_doubt_with_an_alert_until_the_server_is_back(
    notice: Driver, server: NoticeServer, first: Step
) -> None:
    server.then("POST", first)
    server.usually(status(500))
    notice.start()
    assert notice.to_the_end() == "in_doubt"
    assert notice.alerts() == ["in_doubt"]
    assert server.asked("POST") == 1
    assert notice.steps()["post_notice"].attempts == COMPANION_NOTICE.step("post_notice").retry.attempts
    server.usually(lambda exchange: exchange.answer(exchange.work()))
    notice.retry()
    assert notice.to_the_end() == "completed"
    assert (len(server.told), noted(notice), notice.alerts()) == (1, 1, [])


def test_after_a_crash_between_call_and_result_the_probe_is_asked_first(notice: Driver, server: NoticeServer) -> None:
    die_at(notice, RESULT, "before")
    assert methods(server) == ["POST"]
    assert notice.to_the_end() == "completed"
    assert methods(server) == ["POST", "GET"]
    assert (len(server.told), noted(notice)) == (1, 1)


def test_after_a_crash_before_the_call_it_is_made_once_the_probe_has_denied_it(
    notice: Driver, server: NoticeServer
) -> None:
    die_at(notice, INTENT, "after")
    assert methods(server) == []
    assert notice.to_the_end() == "completed"
    assert methods(server) == ["GET", "POST"]


def test_a_recorded_notice_is_taken_back_by_the_token_of_its_post(notice: Driver, server: NoticeServer) -> None:
    notice.complete()
    notice.ask_undo()
    assert notice.to_the_end() == "compensated"
    assert methods(server) == ["POST", "DELETE"]
    assert server.requests[1].token == server.requests[0].token
    assert (server.notices, noted(notice)) == ({}, 0)


def test_an_unrecorded_notice_is_looked_for_and_taken_back(notice: Driver, server: NoticeServer) -> None:
    die_at(notice, RESULT, "before")
    notice.ask_undo()
    assert notice.to_the_end() == "compensated"
    assert methods(server) == ["POST", "GET", "DELETE"]
    assert server.notices == {}


def test_a_notice_that_the_probe_denies_is_called_off_all_the_same_since_it_may_come_late(
    notice: Driver, server: NoticeServer
) -> None:
    die_at(notice, INTENT, "after")
    notice.ask_undo()
    assert notice.to_the_end() == "nothing_to_undo"
    assert methods(server) == ["GET", "DELETE"]


@pytest.mark.parametrize(("write", "moment", "told"), [(INTENT, "after", 0), (RESULT, "before", 1)])
def test_a_notice_of_which_nobody_knows_is_taken_back_as_if_it_were_there(
    notice: Driver, server: NoticeServer, write: int, moment: str, told: int
) -> None:
    die_at(notice, write, moment)
    server.usually(status(500), "GET")
    notice.ask_undo()
    assert notice.to_the_end() == "compensated"
    assert (len(server.told), server.notices, methods(server)[-2:]) == (told, {}, ["GET", "DELETE"])


def test_a_notice_that_the_server_lost_counts_as_taken_back(notice: Driver, server: NoticeServer) -> None:
    server.then("POST", lose)
    notice.complete()
    notice.ask_undo()
    assert notice.to_the_end() == "compensated"


def test_an_undo_that_the_server_does_not_do_is_left_to_a_person_and_goes_on_there(
    notice: Driver, server: NoticeServer
) -> None:
    notice.complete()
    server.usually(status(500), "DELETE")
    notice.ask_undo()
    assert notice.to_the_end() == "compensation_incomplete"
    assert notice.row().error["left"] == ["read_reflection", "post_notice"]
    server.usually(lambda exchange: exchange.answer(exchange.work()))
    notice.retry()
    assert notice.to_the_end() == "compensated"
    assert server.notices == {}


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_is_busy_is_waited_for(notice: Driver, server: NoticeServer, code: int) -> None:
    server.then("POST", status(code))
    notice.start()
    notice.turn()
    row = notice.row()
    assert (row.state, row.reason, server.told) == ("waiting", "retry", [])
    assert row.next_attempt_at > NOW
    assert notice.to_the_end() == "completed"
    assert methods(server) == ["POST", "POST"]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 410, 422])
def test_a_refusal_ends_it_and_leaves_nothing_to_undo(notice: Driver, server: NoticeServer, code: int) -> None:
    server.then("POST", status(code))
    notice.start()
    assert notice.to_the_end() == "nothing_to_undo"
    assert methods(server) == ["POST"]
    assert notice.row().error["class"] == "NoticeRefusedError"


def test_a_server_that_is_not_reached_is_tried_as_often_as_declared(notice: Driver, server: NoticeServer) -> None:
    server.close()
    notice.start()
    assert notice.to_the_end() == "nothing_to_undo"
    assert notice.row().error | {"budget": 0} == {
        "step": "post_notice",
        "class": "TransientError",
        "meaning": "transient",
        "budget": 0,
    }


def test_nobody_is_told_of_a_reflection_that_is_not_there_or_somebody_elses(
    notice: Driver, server: NoticeServer
) -> None:
    add_reflection(notice.case.store, "ben", "of-ben")
    for unknown in ("of-ben", "none"):
        case = Case(COMPANION_NOTICE, notice.case.store, "ana", {"reflection_id": unknown})
        other = Driver(case, COMPANION_NOTICE, FixedClock(NOW))
        other.start()
        assert other.to_the_end() == "nothing_to_undo"
        assert other.row().error["class"] == "unknown_reflection"
    assert server.requests == []


def test_without_an_address_none_is_started_and_one_under_way_ends(
    notice: Driver, server: NoticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice.start()
    monkeypatch.delenv("SELO_NOTICE_URL")
    monkeypatch.delenv("SELO_NOTICE_TOKEN")
    process_settings.cache_clear()
    other = Driver(notice.case, COMPANION_NOTICE, FixedClock(NOW))
    with pytest.raises(SeloError, match="SELO_NOTICE_URL") as refused:
        other.start()
    assert refused.value.code == "no_notice_url"
    assert notice.to_the_end() == "nothing_to_undo"
    assert notice.row().error["class"] == "no_notice_url"
    assert server.requests == []


def test_neither_a_log_nor_an_exception_holds_a_token_or_a_word(
    notice: Driver, server: NoticeServer, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("httpx2", "httpcore2", "selo_dagster"):
        caplog.set_level(logging.DEBUG, logger=name)
    server.then("POST", work_then_drop)
    notice.complete()
    caught: list[BaseException] = []
    server.usually(hang)
    for url in (server.url, "http://127.0.0.1:1", "http://[bad"):
        with pytest.raises((NoAnswerError, NotReachedError)) as raised:
            Server(url, BEARER).get("a-token")
        caught.append(raised.value)
    with pytest.raises(NotReachedError) as raised:
        Server(server.url, "with\u20acsign").get("a-token")
    caught.append(raised.value)
    told = caplog.text + "".join(repr(one) + repr(one.__cause__) for one in caught)
    assert all(one.__suppress_context__ for one in caught)
    for private in (BEARER, "a-token", notice.saga_id, "secret thought", "sign"):
        assert private not in told


def test_settings_of_the_server_are_checked_and_its_token_is_not_shown() -> None:
    with pytest.raises(SeloError, match="SELO_NOTICE_URL: must begin with http"):
        load_settings({"SELO_NOTICE_URL": "ftp://companion"})
    with pytest.raises(SeloError, match="SELO_NOTICE_URL: is needed with SELO_NOTICE_TOKEN"):
        load_settings({"SELO_NOTICE_TOKEN": BEARER})
    settings = load_settings({"SELO_NOTICE_URL": "https://companion", "SELO_NOTICE_TOKEN": BEARER})
    assert BEARER not in repr(settings)
    assert BEARER not in repr(Server("https://companion", BEARER))
