"""Effects outside the database are told like all others, in both directions, also when nobody answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from selo_dagster.clock import FixedClock
from selo_dagster.sagas import notice_calls
from selo_dagster.sagas.catalogue.companion_notice import COMPANION_NOTICE
from selo_dagster.sagas.testing.case import Case
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.tracing.switch import flush
from tests.sagas.kit_cases import REFLECTION, add_reflection
from tests.sagas.minds import undone
from tests.support.fakes import NOW, add_person
from tests.support.notice_server import NoticeServer, status
from tests.tracing.collector import Collector


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NoticeServer]:
    """The companion's own server, named in the settings; nobody waits long for it."""
    monkeypatch.setattr(notice_calls, "ANSWER_S", 0.4)
    with NoticeServer() as running:
        monkeypatch.setenv("SELO_NOTICE_URL", f"{running.url}/")
        process_settings.cache_clear()
        yield running


def test_a_notice_that_was_refused_once_told_and_taken_back(
    store: Store, server: NoticeServer, collector: Collector
) -> None:
    add_person(store, "ana")
    add_reflection(store, "ana")
    driver = Driver(
        Case(COMPANION_NOTICE, store, "ana", {"reflection_id": REFLECTION}), COMPANION_NOTICE, FixedClock(NOW)
    )
    server.then("POST", status(503))
    driver.complete()
    undone(driver)
    assert flush()
    told = [one for one in collector.named("selo.saga.step") if one["step"] == "post_notice"]
    assert {one.trace for one in collector.spans} == {driver.saga_id}
    assert [(one["direction"], one["attempt"], one["outcome"], one.error) for one in told] == [
        ("forward", 1, "transient", True),
        ("forward", 2, "done", False),
        ("compensate", 1, "undone", False),
    ]
    assert told[0].attributes["error.type"] == "TransientError"
