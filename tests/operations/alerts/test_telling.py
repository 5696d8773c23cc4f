"""Notices reach each address at least once, whatever it answers and whoever dies; addresses stay secret."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from sqlalchemy import select, update

from selo_dagster.operations.alerts.keeping import keep
from selo_dagster.operations.alerts.tables import alert_notices
from selo_dagster.operations.alerts.telling import Told, by_apprise, name_of, tell
from selo_dagster.operations.problems import Problem
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.support.alert_server import AlertServer

FULL = Problem("disk_filling", "92 % of the disk are used")
FIRST, SECOND = "json://one.test/secret-path", "json://two.test"


@dataclass
class Post:
    """Takes what is sent, or not: by address, how often it refuses; or dies."""

    refuses: Counter[str] = field(default_factory=Counter)
    dies: bool = False
    taken: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, address: str, title: str, body: str) -> bool:
        if self.dies:
            raise ConnectionError(address)
        if self.refuses[address] > 0:
            self.refuses[address] -= 1
            return False
        self.taken.append((address, title, body))
        return True


def opened(store: Store) -> None:
    with store.write() as connection:
        keep(connection, [FULL])


def told(store: Store, post: Post, *addresses: str) -> Told:
    return tell(store, addresses, send=post, random=Random(0))


def later(store: Store) -> None:
    """Let every wait be over."""
    with store.write() as connection:
        connection.execute(update(alert_notices).values(next_attempt_at=database_now(-1)))


def test_a_notice_says_what_it_is_and_what_to_do(store: Store) -> None:
    opened(store)
    post = Post()
    assert told(store, post, FIRST) == Told(delivered=1)
    ((address, title, body),) = post.taken
    assert (address, title) == (FIRST, "selo: disk_filling needs a person")
    assert FULL.message in body
    assert "docs/runbook.md#disk_filling" in body
    assert told(store, post, FIRST) == Told()


def test_an_address_that_has_it_is_not_told_again_while_the_other_is_tried(store: Store) -> None:
    opened(store)
    post = Post(refuses=Counter({SECOND: 2}))
    assert told(store, post, FIRST, SECOND) == Told(put_off=1)
    assert told(store, post, FIRST, SECOND) == Told()
    later(store)
    assert told(store, post, FIRST, SECOND) == Told(put_off=1)
    later(store)
    assert told(store, post, FIRST, SECOND) == Told(delivered=1)
    assert [address for address, _, _ in post.taken] == [FIRST, SECOND]


def test_a_notice_whose_bearer_died_comes_back(store: Store) -> None:
    opened(store)

    class Killed(BaseException):
        pass

    def dying(_address: str, _title: str, _body: str) -> bool:
        raise Killed

    with pytest.raises(Killed):
        tell(store, [FIRST], send=dying, random=Random(0))
    later(store)
    assert told(store, Post(), FIRST) == Told(delivered=1)


def test_a_sender_that_raises_is_tried_again_and_no_address_is_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    opened(store)
    with caplog.at_level(logging.DEBUG):
        assert told(store, Post(dies=True), FIRST) == Told(put_off=1)
    assert "ConnectionError" in caplog.text
    assert name_of(FIRST) in caplog.text
    assert "secret-path" not in caplog.text
    with store.read() as connection:
        assert "secret-path" not in str(connection.execute(select(alert_notices)).all())


def test_waits_grow_up_to_a_quarter_of_an_hour(store: Store) -> None:
    opened(store)
    waits = []
    for _ in range(9):
        assert told(store, Post(refuses=Counter({FIRST: 1})), FIRST) == Told(put_off=1)
        with store.read() as connection:
            at, now = connection.execute(select(alert_notices.c.next_attempt_at, database_now().label("now"))).one()
        waits.append((at - now).total_seconds())
        later(store)
    assert waits[0] < 16
    assert all(before < after for before, after in zip(waits[:3], waits[2:5], strict=True))
    assert max(waits) <= 900


def test_without_an_address_nothing_waits(store: Store) -> None:
    opened(store)
    assert told(store, Post()) == Told(delivered=1)


def test_apprise_brings_it_to_a_webhook_and_says_when_it_was_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    with AlertServer() as server, caplog.at_level(logging.DEBUG):
        assert by_apprise(server.address, "a title", "a body")
        assert [(one["title"], one["message"]) for one in server.taken] == [("a title", "a body")]
        server.refuse(500)
        assert not by_apprise(server.address, "a title", "a body")
    assert not by_apprise("nonsense://", "a title", "a body")
    assert not by_apprise(server.address, "a title", "a body")
