"""A conversation that was stated to have ended is processed once for each end; what cannot be read stops nothing."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import event, insert, select, text, update

from selo_dagster.memory.client import write
from selo_dagster.memory.event_types import CONVERSATION_ENDED, EVENT_TYPES
from selo_dagster.memory.stream import NUMBERING, position
from selo_dagster.memory.tables import conversations, events
from selo_dagster.operations.housekeeping.groups import READERS
from selo_dagster.operations.housekeeping.round import keep_house
from selo_dagster.operations.self_check import Checked
from selo_dagster.operations.status import status
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.reflections.days import fold_stream
from selo_dagster.sagas import conversations as reading
from selo_dagster.sagas.compiler import job_of
from selo_dagster.sagas.conversations import READER, TYPE, start_ended
from selo_dagster.sagas.launch import work_off_in
from selo_dagster.sagas.registry import Registry, registry
from selo_dagster.sagas.sensors import saga_runs_sensor
from selo_dagster.sagas.tables import sagas
from selo_dagster.settings import load_settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.parked import PARKED, REPLAYED, parked, parked_count
from selo_dagster.triggers.reader import look_for_triggers
from selo_dagster.triggers.replay import replay_parked
from tests.sagas.minds import rows
from tests.support.fakes import NOW, add_person, say
from tests.test_private_boundary import SECRET

KNOWN = registry()


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana and Ben, each with a conversation."""
    for user in ("ana", "ben"):
        add_person(store, user)
        say(store, user, "2026-11-23T10:00:00Z", "I am afraid of the exam.", prefix=f"{user}-c1")
    return store


def end(store: Store, conversation: str = "ana-c1", *, user: str = "ana", ref: str = "e1", **payload: Any) -> None:
    """State that a conversation has ended."""
    line = {"type": "event", "id": ref, "user": user, "event": CONVERSATION_ENDED, "at": "2026-11-23T10:30:00Z"}
    with store.write() as connection:
        write(connection, line | {"payload": {"conversation": conversation} | payload})


def state_in_sql(store: Store, payload: Any, *, ref: str = "e1", user: str = "ana") -> None:
    """State it by plain SQL, as a program does that knows nothing of the rules."""
    with store.write() as connection:
        connection.execute(
            insert(events).values(
                origin="event", ref=ref, type=CONVERSATION_ENDED, user_id=user, at=NOW, payload=payload
            )
        )


def look(store: Store, **more: Any) -> int:
    """Look once."""
    numbers = count()
    return start_ended(store, KNOWN, NOW, new_id=lambda: f"saga-{ref(store)}-{next(numbers)}", **more)


def ref(store: Store) -> int:
    """Return how many sagas there are."""
    return len(rows(store, sagas))


def asked(store: Store) -> list[tuple[str, str, Any]]:
    """Return what was asked for: person, key, conversation."""
    found = rows(store, sagas, by="place")
    assert {row["type"] for row in found} <= {TYPE}
    return [(row["user_id"], row["key"], row["input"]["conversation"]) for row in found]


def aside(store: Store) -> list[tuple[str, str, list[str]]]:
    """Return what is parked."""
    return [(row["ref"], row["code"], row["rules"]) for row in rows(store, parked, by="seq") if row["state"] == PARKED]


class TestOnce:
    def test_an_end_asks_for_one_saga(self, store: Store) -> None:
        end(store)
        assert (look(store), look(store)) == (1, 0)
        assert asked(store) == [("ana", "ana-c1/e1", "ana-c1")]
        assert aside(store) == []

    def test_a_second_end_of_the_same_conversation_asks_again(self, store: Store) -> None:
        end(store)
        look(store)
        end(store, ref="e2")
        assert look(store) == 1
        assert [key for _, key, _ in asked(store)] == ["ana-c1/e1", "ana-c1/e2"]

    def test_a_reader_that_begins_anew_asks_for_nothing_twice(self, store: Store) -> None:
        end(store)
        look(store)
        with store.write() as connection:
            connection.execute(text("UPDATE stream_positions SET seq = 0 WHERE reader = 'conversations'"))
        assert look(store) == 0
        assert len(asked(store)) == 1

    def test_many_are_read_in_batches_and_each_once(self, store: Store) -> None:
        for number in range(7):
            end(store, ref=f"e{number}")
        end(store, "ben-c1", user="ben", ref="b1")
        assert look(store, batch=3) == 8
        assert len({key for _, key, _ in asked(store)}) == 8

    def test_a_look_with_little_time_goes_on_the_next_time(self, store: Store) -> None:
        for number in range(5):
            end(store, ref=f"e{number}")
        ticks = iter(range(100))
        found = [look(store, batch=2, budget_s=1.0, monotonic=lambda: float(next(ticks))) for _ in range(3)]
        assert found == [2, 2, 1]

    def test_a_long_id_makes_a_key_that_fits(self, store: Store) -> None:
        with store.write() as connection:
            connection.execute(insert(conversations).values(id="c" * 200, user_id="ana"))
        end(store, "c" * 200, ref="e" * 200)
        assert look(store) == 1
        assert len(asked(store)[0][1]) == 64

    def test_what_fails_in_the_middle_leaves_neither_saga_nor_position(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        end(store)

        def broken(*_: Any) -> None:
            raise OSError

        with monkeypatch.context() as patched, pytest.raises(OSError):
            patched.setattr(reading, "set_position", broken)
            look(store)
        assert asked(store) == []
        assert look(store) == 1

    def test_without_the_definition_nothing_is_read(self, store: Store) -> None:
        end(store)
        assert start_ended(store, Registry({}), NOW) == 0
        with store.read() as connection:
            assert position(connection, READER) == 0


class TestThePosition:
    def test_it_follows_the_stream_also_where_nothing_is_for_this_reader(self, store: Store) -> None:
        look(store)
        with store.read() as connection:
            assert position(connection, READER) == position(connection, NUMBERING) > 0

    def test_an_event_that_was_not_read_is_not_deleted(self, store: Store) -> None:
        assert READER in READERS
        end(store)
        look_for_triggers(store, catalogue(), NOW, catchup_days=3)
        later = NOW + timedelta(days=400)
        assert keep_house(store, later, load_settings({}), only=["events"]).rows("events") == 0
        look(store)
        assert keep_house(store, later, load_settings({}), only=["events"]).rows("events") > 0

    def test_a_look_without_news_writes_nothing(self, store: Store) -> None:
        look(store)
        with store.read() as connection:
            before = connection.execute(text("SELECT * FROM stream_positions ORDER BY reader")).all()
        statements: list[str] = []
        event.listen(store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        look(store)
        assert not [one for one in statements if one.startswith(("INSERT", "UPDATE", "BEGIN IMMEDIATE"))]
        with store.read() as connection:
            assert connection.execute(text("SELECT * FROM stream_positions ORDER BY reader")).all() == before


class TestWhoAndWhat:
    def test_whoever_is_gone_is_passed_over(self, store: Store) -> None:
        end(store)
        end(store, "ben-c1", user="ben", ref="b1")
        with store.write() as connection:
            connection.execute(update(users).where(users.c.id == "ana").values(state=TOMBSTONED))
        assert look(store) == 1
        assert [user for user, _, _ in asked(store)] == ["ben"]
        assert aside(store) == []

    @pytest.mark.parametrize(
        ("payload", "code"),
        [
            ({"conversation": "ben-c1"}, "conflict: the conversation is another person's"),
            ({"conversation": "nowhere"}, "unknown_conversation"),
            ({}, "missing_field: payload.conversation is required and must be the id of a conversation"),
            (
                {"conversation": 7},
                "missing_field: payload.conversation is required and must be the id of a conversation",
            ),
            (
                {"conversation": " "},
                "missing_field: payload.conversation is required and must be the id of a conversation",
            ),
            ([SECRET], "bad_payload: payload is not one of conversation_ended"),
        ],
    )
    def test_what_cannot_be_started_is_put_aside_and_the_others_go_on(
        self, store: Store, payload: Any, code: str
    ) -> None:
        state_in_sql(store, payload)
        end(store, ref="e2")
        assert (look(store), look(store)) == (1, 0)
        assert aside(store) == [("e1", code, ["conversations"])]
        with store.read() as connection:
            told = status(connection, NOW, process_settings(), Checked((), ()))
        assert [(one["code"], one["message"]) for one in told["problems"] if one["code"] == "events_parked"] == [
            ("events_parked", "1 event put aside: not to be read or judged")
        ]
        assert SECRET not in str(aside(store)) + str(told)

    def test_the_door_refuses_an_end_without_a_conversation(self) -> None:
        assert EVENT_TYPES[CONVERSATION_ENDED].publisher.startswith("the companion")
        assert set(EVENT_TYPES[CONVERSATION_ENDED].fields) == {"conversation"}

    def test_an_end_that_came_before_its_conversation_is_started_once_that_is_there(self, store: Store) -> None:
        end(store, "late")
        assert look(store) == 0
        assert [code for _, code, _ in aside(store)] == ["unknown_conversation"]
        say(store, "ana", "2026-11-23T10:00:00Z", prefix="late")
        assert (look(store), look(store)) == (1, 0)
        assert asked(store) == [("ana", "late/e1", "late")]
        assert [row["state"] for row in rows(store, parked)] == [REPLAYED]

    def test_one_that_turns_out_to_be_anothers_stays_aside(self, store: Store) -> None:
        end(store, "late")
        look(store)
        say(store, "ben", "2026-11-23T10:00:00Z", prefix="late")
        assert (look(store), look(store)) == (0, 0)
        assert [code for _, code, _ in aside(store)] == ["conflict: the conversation is another person's"]

    def test_a_replay_of_the_rules_leaves_it_alone(self, store: Store) -> None:
        end(store, "nowhere")
        look(store)
        with store.write() as connection:
            assert replay_parked(connection, catalogue(), NOW) == {"replayed": 0, "still_parked": 1}
        with store.read() as connection:
            assert parked_count(connection) == 1

    def test_a_message_that_bears_the_name_is_no_end(self, store: Store) -> None:
        with store.write() as connection:
            connection.execute(
                insert(events).values(
                    origin="message", ref="x", type=CONVERSATION_ENDED, user_id="ana", at=NOW, payload={"role": "user"}
                )
            )
        assert look(store) == 0
        assert aside(store) == []


class TestInDagster:
    @pytest.fixture
    def store(self, store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
        """The store that the settings name too."""
        monkeypatch.setenv("DATABASE_URL", store_url)
        process_settings.cache_clear()
        return store

    def test_a_tick_of_saga_runs_asks_for_it_and_for_a_run(self, store: Store) -> None:
        end(store)
        only = Registry({key: saga for key, saga in KNOWN.by_version.items() if key[0] == TYPE})
        sensor = saga_runs_sensor(only, {key: job_of(saga) for key, saga in only.by_version.items()})
        with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}}) as instance:
            data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
        assert [one.job_name for one in data.run_requests or []] == ["saga_conversation_processing"]
        assert asked(store) == [("ana", "ana-c1/e1", "ana-c1")]
        assert "ana-c1" not in str(data.run_requests) + str(data.skip_message)

    def test_selo_saga_run_works_it_off(self, store: Store) -> None:
        end(store)
        with dg.DagsterInstance.ephemeral() as instance:
            done = work_off_in(store, instance, TYPE)
        assert done.counts == {"completed": 1}
        with store.read() as connection:
            assert connection.execute(select(sagas.c.state)).scalars().all() == ["completed"]

    def test_the_stream_goes_on_for_every_reader(self, store: Store) -> None:
        end(store)
        look(store)
        assert fold_stream(store) == 0
        assert look_for_triggers(store, catalogue(), NOW, catchup_days=3).drained
