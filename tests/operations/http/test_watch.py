"""The HTTP application tells of what the daemon cannot: its own death, and that of the database."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from selo_dagster.clock import FixedClock
from selo_dagster.home import prepare_home
from selo_dagster.operations.alerts.tables import alerts
from selo_dagster.operations.http.outage import AWAY_S, REPEATED_S, Outage
from selo_dagster.operations.http.served import Served
from selo_dagster.operations.http.watch import UNWELL_S, Watch
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import heartbeats_now
from tests.support.fakes import NOW

ADDRESS = "json://127.0.0.1:9/alerts"


@dataclass
class Post:
    """Takes everything, or nothing."""

    takes: bool = True
    titles: list[str] = field(default_factory=list)

    def __call__(self, _address: str, title: str, _body: str) -> bool:
        if self.takes:
            self.titles.append(title)
        return self.takes


@pytest.fixture
def served(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("SELO_ALERT_URLS", ADDRESS)
    process_settings.cache_clear()
    prepare_home(process_settings())
    return Served(process_settings(), store, FixedClock(NOW))


def test_a_daemon_that_is_gone_is_told_of_by_whoever_is_alive(served: Served) -> None:
    post, now_s = Post(), [0.0]
    watch = Watch(served, send=post, monotonic=lambda: now_s[0])
    for now_s[0] in (0.0, UNWELL_S - 1):
        watch.round()
    assert post.titles == []
    now_s[0] = UNWELL_S
    watch.round()
    assert "selo: not_ready (daemons) needs a person" in post.titles
    with served.store.read() as connection:
        assert ("not_ready", "daemons") in connection.execute(select(alerts.c.code, alerts.c.subject)).all()
        assert [one.name for one in heartbeats_now(connection)] == ["http"]


def test_a_watch_that_ends_on_purpose_does_not_fall_silent(served: Served) -> None:
    watch = Watch(served, send=Post(), every_s=60)
    watch.start()
    watch.stop()
    with served.store.read() as connection:
        assert heartbeats_now(connection) == []


def test_a_database_that_stays_away_is_told_of_once_and_so_is_its_return() -> None:
    post, now_s = Post(), [0.0]
    outage = Outage([ADDRESS], post, monotonic=lambda: now_s[0])
    for now_s[0] in (0.0, AWAY_S - 1):
        outage.away("database_unreachable")
    assert post.titles == []
    for now_s[0] in (AWAY_S, AWAY_S + 60):
        outage.away("database_unreachable")
    assert post.titles == ["selo: database_down needs a person"]
    now_s[0] += REPEATED_S
    outage.away("database_unreachable")
    outage.back()
    outage.back()
    assert post.titles[1:] == ["selo: database_down needs a person", "selo: database_down is over"]


def test_who_could_not_be_told_of_an_outage_is_tried_again_and_hears_of_no_end_without_a_beginning() -> None:
    post, now_s = Post(takes=False), [0.0]
    outage = Outage([ADDRESS], post, monotonic=lambda: now_s[0])
    for now_s[0] in (0.0, AWAY_S, AWAY_S + 15):
        outage.away("database_unreachable")
    outage.back()
    post.takes = True
    outage.back()
    assert post.titles == []
