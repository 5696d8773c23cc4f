"""Who is asked about an episode: set-based, bounded, once for each session."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import insert, update

from selo_dagster.clock import FixedClock
from selo_dagster.memory.episodes import episodes
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.reflections.pauses import pause
from selo_dagster.reflections.tables import reflection_ledger, reflections
from selo_dagster.sagas import episodes as looking
from selo_dagster.sagas.compiler import job_of
from selo_dagster.sagas.episodes import TYPE, ready_people, start_ready_episodes
from selo_dagster.sagas.registry import Registry, registry
from selo_dagster.sagas.sensors import saga_runs_sensor
from selo_dagster.sagas.start import start
from selo_dagster.sagas.tables import sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.sagas.minds import rows
from tests.support.fakes import NOW, add_person, say

KNOWN = registry()


def ago(minutes: float) -> datetime:
    """Return the instant so many minutes ago."""
    return NOW - timedelta(minutes=minutes)


def reflect(store: Store, user: str, at: datetime, *, kind: str = "daily", key: str = "", version: int = 1) -> None:
    """Add a reflection that was made at an instant, as one that is done."""
    name = key or f"{user}-{kind}-{at.isoformat()}"
    on = date(2026, 11, 22)
    with store.write() as connection:
        if version == 1:
            connection.execute(
                insert(reflection_ledger).values(
                    user_id=user, kind=kind, on=on, key=name, state="done", since=at, settled_at=at
                )
            )
        connection.execute(
            insert(reflections).values(
                id=f"{hash(name) % 10**12}-{version}",
                user_id=user,
                kind=kind,
                on=on,
                key=name,
                version=version,
                head=version == 1,
                content="I thought of the sea.",
                themes=[],
                insights=[],
                actions=[],
                emotional_state={},
                trait_changes=[],
                model="fake",
                zone="UTC",
                zone_rules="UTC",
                window_start=at,
                window_end=at,
                input_hash="0" * 64,
                created_at=at,
            )
        )


def tell(store: Store, user: str, at: datetime) -> None:
    """Add an episode of an instant."""
    with store.write() as connection:
        connection.execute(
            insert(episodes).values(
                id=f"e-{user}-{at:%H%M}",
                user_id=user,
                saga_id="s",
                title="A day",
                narrative="A day.",
                emotion="calm",
                themes=[],
                importance=0.5,
                words=2,
                begins_at=at,
                ends_at=at,
                model="fake",
                created_at=at,
            )
        )


def talk(store: Store, user: str = "ana", *, said: float = 20, reflected: tuple[float, ...] = (10, 5)) -> None:
    """Let somebody say something so many minutes ago, and be reflected on."""
    add_person(store, user)
    say(store, user, ago(said))
    for minutes in reflected:
        reflect(store, user, ago(minutes))


def found(store: Store, now: datetime = NOW, **more: Any) -> list[str]:
    """Return who is ready."""
    with store.read() as connection:
        return list(ready_people(connection, now, **more))


def ask(store: Store, now: datetime = NOW) -> int:
    """Look once."""
    return start_ready_episodes(store, KNOWN, now)


class TestWho:
    def test_the_last_message_counts_and_not_the_first(self, store: Store) -> None:
        talk(store)
        say(store, "ana", ago(5), prefix="more")
        say(store, "ana", ago(300), prefix="before")
        assert found(store) == []
        assert found(store, NOW + timedelta(minutes=10)) == ["ana"]

    @pytest.mark.parametrize(("said", "there"), [(14, []), (15, ["ana"]), (200, []), (60 * 24 * 3 + 1, [])])
    def test_a_session_is_told_between_a_quarter_of_an_hour_and_three_days(
        self, store: Store, said: float, there: list[str]
    ) -> None:
        # Nobody thought of it after 200 minutes: these two came before it began.
        talk(store, said=said, reflected=(10, 5) if said != 200 else (400, 350))
        assert found(store) == there

    @pytest.mark.parametrize(
        ("reflected", "there"),
        [((10,), []), ((141, 10), []), ((139, 10), ["ana"]), ((10, 10.5, 11), ["ana"])],
    )
    def test_it_takes_two_reflections_since_it_began(
        self, store: Store, reflected: tuple[float, ...], there: list[str]
    ) -> None:
        talk(store, reflected=reflected)
        assert found(store) == there

    @pytest.mark.parametrize(("told", "there"), [(60, []), (61, ["ana"]), (4_000, ["ana"])])
    def test_an_episode_within_the_hour_is_enough(self, store: Store, told: float, there: list[str]) -> None:
        talk(store)
        tell(store, "ana", ago(told))
        assert found(store) == there

    def test_what_the_last_episode_has_had_does_not_count_again(self, store: Store) -> None:
        talk(store, reflected=(130, 10))
        tell(store, "ana", ago(125))
        assert found(store) == []

    def test_a_reflection_that_was_made_again_is_not_another(self, store: Store) -> None:
        talk(store, reflected=())
        reflect(store, "ana", ago(10), key="k")
        reflect(store, "ana", ago(5), key="k", version=2)
        reflect(store, "ana", ago(500), key="old")
        assert found(store) == []

    def test_words_and_thoughts_of_the_future_are_not_known_yet(self, store: Store) -> None:
        talk(store)
        say(store, "ana", ago(-60), prefix="later")
        assert found(store) == ["ana"]
        assert found(store, ago(7)) == []

    def test_whoever_is_gone_or_on_hold_is_not_asked_about(self, store: Store) -> None:
        for user in ("ana", "ben", "cy"):
            talk(store, user)
        with store.write() as connection:
            connection.execute(update(users).where(users.c.id == "ana").values(state=TOMBSTONED))
            pause(connection, kind=None, user_id="ben", because="a rest", now=ago(1))
        assert found(store) == ["cy"]

    def test_whoever_fell_silent_first_comes_first_and_the_others_at_the_next_look(self, store: Store) -> None:
        for place, user in enumerate(("ana", "ben", "cy")):
            talk(store, user, said=20 + place)
        assert found(store, most=2) == ["cy", "ben"]
        assert start_ready_episodes(store, KNOWN, NOW, most=2) == 2
        assert found(store, most=2) == ["ana"]

    def test_those_who_are_not_ready_take_nobodys_place(self, store: Store) -> None:
        for number in range(4):
            talk(store, f"p{number}", said=120, reflected=(300, 290))
        talk(store)
        assert found(store, most=2) == ["ana"]


class TestOnce:
    def test_the_same_session_asks_once(self, store: Store) -> None:
        talk(store)
        assert (ask(store), ask(store), ask(store, NOW + timedelta(hours=3))) == (1, 0, 0)
        (saga,) = rows(store, sagas)
        assert (saga["type"], saga["user_id"], saga["key"]) == (TYPE, "ana", f"session:{ago(20).isoformat()}")
        assert saga["input"] == {"since": "2026-11-23T09:40:00Z"}

    def test_another_session_asks_again(self, store: Store) -> None:
        talk(store)
        ask(store)
        say(store, "ana", NOW + timedelta(minutes=90), prefix="later")
        for minutes in (95, 96):
            reflect(store, "ana", NOW + timedelta(minutes=minutes))
        assert ask(store, NOW + timedelta(minutes=110)) == 1

    def test_two_processes_at_once_ask_once(self, store: Store) -> None:
        talk(store)
        with store.read() as connection:
            session = ready_people(connection, NOW)["ana"]
        ask(store)
        # The other one had looked before: the key is what holds.
        with store.write() as connection:
            given = {"since": session.since.isoformat()}
            key = f"session:{session.last_message.isoformat()}"
            started = start(
                connection, KNOWN.type(TYPE), user_id="ana", key=key, given=given, now=NOW, new_id=lambda: "x"
            )
        assert started.existing

    def test_whoever_is_erased_in_the_meantime_keeps_nobody_waiting(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        talk(store)
        talk(store, "ben")
        with store.write() as connection:
            both = ready_people(connection, NOW)
            connection.execute(update(users).where(users.c.id == "ana").values(state=TOMBSTONED))
        monkeypatch.setattr(looking, "ready_people", lambda *_: both)
        assert ask(store) == 1
        assert [saga["user_id"] for saga in rows(store, sagas)] == ["ben"]

    def test_without_the_definition_nobody_is_looked_at(self, store: Store) -> None:
        talk(store)
        assert start_ready_episodes(store, Registry({}), NOW) == 0


class TestTheSensor:
    @pytest.fixture
    def store(self, store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
        """The store that the settings name too, with Ana, whose session is over."""
        monkeypatch.setenv("DATABASE_URL", store_url)
        process_settings.cache_clear()
        talk(store)
        return store

    @pytest.fixture
    def sensor(self) -> dg.SensorDefinition:
        """The sensor, with this saga alone, at the tests' now."""
        only = Registry({key: saga for key, saga in KNOWN.by_version.items() if key[0] == TYPE})
        jobs = {key: job_of(saga) for key, saga in only.by_version.items()}
        return saga_runs_sensor(only, jobs, clock=lambda: FixedClock(NOW))

    @pytest.fixture
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """An instance on disk, as ticks need it."""
        with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}}) as made:
            yield made

    def test_a_tick_asks_for_a_story_and_a_run(
        self, store: Store, sensor: dg.SensorDefinition, instance: dg.DagsterInstance
    ) -> None:
        data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
        assert [one.job_name for one in data.run_requests or []] == ["saga_episode_generation"]
        assert len(rows(store, sagas)) == 1

    @pytest.mark.parametrize(
        ("cursor", "asked"),
        [
            (ago(0.9).isoformat(), 0),
            (ago(1).isoformat(), 1),
            (ago(-5).isoformat(), 1),
            ("rubbish", 1),
            (None, 1),
        ],
    )
    def test_a_tick_looks_once_a_minute_as_its_cursor_says(
        self,
        store: Store,
        sensor: dg.SensorDefinition,
        instance: dg.DagsterInstance,
        cursor: str | None,
        asked: int,
    ) -> None:
        data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
        assert len(rows(store, sagas)) == asked
        assert data.cursor == (NOW.isoformat() if asked else cursor)
