"""`selo triggers`, and what housekeeping and the night make of the stream, as an operator sees them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

import selo_dagster.definitions  # every room registers its tables
from selo_dagster.memory.tables import events, memories
from selo_dagster.sagas.conversations import start_ended
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.triggers.catalogue import catalogue
from tests.support.command import Selo
from tests.support.fakes import NOW, add_person
from tests.triggers.arrivals import (
    SECRET,
    after,
    before,
    dump,
    happen,
    known,
    look,
    number_of,
    requests,
    spike,
    state,
    strong,
)

assert selo_dagster.definitions.defs is not None

AT = NOW.isoformat()
RULES = [
    "emotional_spike",
    "importance_sum",
    "important_memory",
    "knowledge_update",
    "learning_consolidation",
    "long_conversation",
    "silence",
]


@pytest.fixture
def selo(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Selo]:
    """The command on a database with Ana and Ben, and a fresh strong memory of Ana's."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    # The tables for people must not be folded to the width of the terminal that runs the tests.
    monkeypatch.setenv("COLUMNS", "200")
    process_settings.cache_clear()
    catalogue.cache_clear()
    for user in ("ana", "ben"):
        add_person(store, user)
    known(store, "ana", "ben")
    strong(store, "ana", "m1", text=SECRET)
    yield Selo(capsys)
    catalogue.cache_clear()


def told(selo: Selo, *arguments: str) -> str:
    """Return what a command that succeeds prints for people; never what anybody wrote."""
    status, printed = selo("triggers", *arguments)
    assert status == 0
    assert SECRET not in printed + selo.error
    return printed


def test_the_list_tells_each_rule_and_what_became_of_its_events(selo: Selo, store: Store) -> None:
    look(store)
    status, document = selo.json("triggers", "list")
    found = {one["rule"]: one for one in document["rules"]}
    assert (status, list(found)) == (0, RULES)
    assert found["important_memory"]["counts"]["accepted"] == 1
    assert {name: value for name, value in found["important_memory"].items() if name != "counts"} == {
        "rule": "important_memory",
        "says": "a memory of importance 0.8 or more",
        "events": ["memory_created"],
        "flavour": "memory",
        "cooldown_s": 120,
        "in_cooldown": "collect",
        "delay_s": 0,
        "max_age_s": 3_600,
    }
    printed = told(selo, "list")
    assert "7 rules" in printed
    assert "2 min" in printed
    assert "accepted 1" in printed


def test_a_rule_that_is_switched_off_is_not_listed_and_does_not_fire(
    selo: Selo, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_TRIGGERS_OFF", "important_memory, silence")
    process_settings.cache_clear()
    catalogue.cache_clear()
    _, document = selo.json("triggers", "list")
    assert [one["rule"] for one in document["rules"]] == [
        one for one in RULES if one not in {"important_memory", "silence"}
    ]
    selo.json("triggers", "look", "--now", AT)
    assert requests(store) == []


def test_a_look_says_what_it_found_and_the_next_one_that_there_is_nothing(selo: Selo) -> None:
    status, document = selo.json("triggers", "look", "--now", AT)
    assert (status, document["events"], document["seq"], document["people"], document["parked"]) == (0, 5, 5, 1, 0)
    assert document["outcomes"]["accepted"] == 1
    assert told(selo, "look", "--now", AT) == "0 events up to 5: no rule had to see any\n"


def test_a_look_tells_people_the_numbers(selo: Selo) -> None:
    printed = told(selo, "look", "--now", AT)
    assert printed.startswith("5 events up to 5: accepted 1, ")


def test_requests_are_listed_with_their_causes_newest_first(selo: Selo, store: Store) -> None:
    assert told(selo, "requests") == "no trigger has asked for anything\n"
    assert selo.json("triggers", "requests") == (0, {"requests": []})
    look(store)
    spike(store, "ben", "e1", after(minutes=1))
    look(store, after(minutes=1))
    strong(store, "ana", "m2", after(minutes=2))
    look(store, after(minutes=2))
    _, document = selo.json("triggers", "requests")
    assert [(one["user"], one["trigger"], one["causes"]) for one in document["requests"]] == [
        ("ben", "emotional_spike", 1),
        ("ana", "important_memory", 2),
    ]
    _, document = selo.json("triggers", "requests", "--user", "ana")
    (one,) = document["requests"]
    numbers = [number_of(store, "m2"), number_of(store, "m1")]
    assert (one["cause_events"], one["since"], one["state"]) == (numbers, "2026-11-23T12:00:00Z", "due")
    assert (one["on"], one["ready_at"], one["reason"], one["reflection"]) == (
        "2026-11-23",
        "2026-11-23T12:00:00Z",
        None,
        None,
    )
    _, document = selo.json("triggers", "requests", "--limit", "1")
    assert [one["user"] for one in document["requests"]] == ["ben"]
    printed = told(selo, "requests")
    assert "2 requests" in printed
    assert "important_memory" in printed


def test_cooldowns_are_listed_until_they_end(selo: Selo, store: Store) -> None:
    assert told(selo, "cooldowns", "--now", AT) == "nobody is in a cooldown\n"
    spike(store, "ben", "e1")
    look(store)
    status, document = selo.json("triggers", "cooldowns", "--now", AT)
    longest = {
        "user": "ben",
        "rule": "emotional_spike",
        "until": "2026-11-23T16:00:00Z",
        "asked_at": "2026-11-23T12:00:00Z",
        "waiting": 0,
    }
    assert (status, document["cooldowns"][0]) == (0, longest)
    assert [one["user"] for one in document["cooldowns"]] == ["ben", "ana"]
    _, document = selo.json("triggers", "cooldowns", "--user", "ana", "--now", AT)
    assert [one["rule"] for one in document["cooldowns"]] == ["important_memory"]
    assert "2 cooldowns" in told(selo, "cooldowns", "--now", AT)
    assert "1 cooldowns" in told(selo, "cooldowns", "--now", after(minutes=2).isoformat())
    assert selo.json("triggers", "cooldowns", "--now", after(hours=4).isoformat())[1] == {"cooldowns": []}


def test_a_cooldown_can_be_ended_so_that_the_next_cause_asks_at_once(selo: Selo, store: Store) -> None:
    spike(store, "ben", "e1")
    spike(store, "ana", "e2")
    look(store)
    assert selo.json("triggers", "reset", "ben", "--rule", "silence", "--now", AT) == (0, {"user": "ben", "ended": 0})
    assert selo.json("triggers", "reset", "ben", "--rule", "emotional_spike", "--now", AT) == (
        0,
        {"user": "ben", "ended": 1},
    )
    assert state(store, "ben", "emotional_spike").cooldown_until is None
    assert state(store, "ana", "emotional_spike").cooldown_until == after(hours=4)
    assert told(selo, "reset", "ana", "--now", AT) == "2 cooldowns of ana are over\n"


def test_a_replay_shows_what_would_have_fired_and_changes_nothing(selo: Selo, store: Store) -> None:
    spike(store, "ben", "e1", after(minutes=1))
    spike(store, "ben", "e2", after(minutes=2))
    look(store, after(minutes=2))
    untouched = dump(store)
    span = ("--since", before(hours=1).isoformat(), "--until", after(hours=1).isoformat())
    status, document = selo.json("triggers", "replay", *span)
    assert (status, document["events"], document["unreadable"]) == (0, 3, 0)
    assert document["fired"][0] == {
        "user": "ana",
        "rule": "important_memory",
        "at": "2026-11-23T12:00:00Z",
        "cause_events": [number_of(store, "m1")],
        "in_cooldown": False,
    }
    assert [(one["user"], one["in_cooldown"]) for one in document["fired"][1:]] == [("ben", False), ("ben", True)]
    _, document = selo.json("triggers", "replay", *span, "--user", "ana", "--rule", "important_memory")
    assert [one["user"] for one in document["fired"]] == ["ana"]
    printed = told(selo, "replay", *span)
    assert "3 firings on 3 events" in printed
    assert "in cooldown" in printed
    printed = told(selo, "replay", *span, "--rule", "silence")
    assert printed == "no rule would have fired on 3 events\n"
    assert dump(store) == untouched


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("reset", "nobody"), "unknown_user"),
        (("reset", "ana", "--rule", "no_such_rule"), "unknown_rule"),
        (("requests", "--user", "nobody"), "unknown_user"),
        (("requests", "--limit", "0"), "wrong_use"),
        (("cooldowns", "--user", "nobody"), "unknown_user"),
        (("cooldowns", "--now", "soon"), "bad_time"),
        (("look", "--now", "2026-11-23T12:00:00"), "naive_time"),
        (("parked", "7777"), "unknown_event"),
        (("parked", "0"), "wrong_use"),
        (("parked", "7777", "--drop"), "unknown_event"),
        (("parked", "--replay", "--drop"), "wrong_use"),
        (("replay",), "wrong_use"),
        (("replay", "--since", "yesterday"), "bad_time"),
        (("replay", "--since", AT, "--until", "2026-11-22T12:00:00Z"), "wrong_use"),
        (("replay", "--since", AT, "--now", "2026-11-22T12:00:00Z"), "wrong_use"),
        (("replay", "--since", AT, "--user", "nobody"), "unknown_user"),
        (("replay", "--since", AT, "--rule", "no_such_rule"), "unknown_rule"),
    ],
)
def test_wrong_use_is_refused_by_name_and_leaves_everything_as_it_is(
    selo: Selo, store: Store, arguments: tuple[str, ...], code: str
) -> None:
    look(store)
    untouched = dump(store)
    status, refused = selo.json("triggers", *arguments)
    assert (status, refused["error"]["code"]) == (2, code)
    assert dump(store) == untouched
    status, printed = selo("triggers", *arguments)
    assert (status, printed) == (2, "")
    assert selo.error != ""


def test_an_unknown_rule_is_answered_with_those_that_there_are(selo: Selo) -> None:
    _, refused = selo.json("triggers", "reset", "ana", "--rule", "spike")
    assert all(name in refused["error"]["message"] for name in RULES)


def test_housekeeping_deletes_old_events_that_were_read_and_keeps_parked_ones(selo: Selo, store: Store) -> None:
    happen(store, "ana", "bad", "emotional_spike", {})
    look(store)
    start_ended(store, registry(), NOW)
    strong(store, "ben", "unread")
    with store.write() as connection:
        connection.execute(update(events).values(created_at=before(days=91)))
        connection.execute(update(events).where(events.c.ref == "m1").values(created_at=before(days=89)))
    untouched = dump(store)
    for dry in (("--dry-run",), ()):
        status, document = selo.json("housekeeping", "--only", "events", *dry, "--now", AT)
        # Two people and a word of each; neither the young memory, nor the parked spike, nor what nobody has read.
        assert (status, document["dry_run"], document["keep_days"]) == (0, bool(dry), 90)
        assert document["deleted"] == {"events": 4}
        assert (dump(store) == untouched) is bool(dry)
    with store.read() as connection:
        left = set(connection.execute(select(events.c.ref)).scalars())
        kept = connection.execute(select(func.count()).select_from(memories)).scalar_one()
    assert (left, kept) == ({"m1", "bad", "unread"}, 2)
    for options, gone in ((("--older-than", "2", "--dry-run"), 1), ((), 0)):
        _, document = selo.json("housekeeping", "--only", "events", *options, "--now", AT)
        assert document["deleted"] == {"events": gone}


def test_what_was_given_up_goes_with_its_event(selo: Selo, store: Store) -> None:
    happen(store, "ana", "bad", "emotional_spike", {})
    look(store)
    start_ended(store, registry(), NOW)
    selo("triggers", "parked", "--drop", "--now", AT)
    later = (NOW + timedelta(days=200)).isoformat()
    assert selo.json("housekeeping", "--only", "events", "--now", later)[1]["deleted"] == {"events": 6}


def test_a_night_looks_at_the_stream_and_makes_what_it_asks_for(selo: Selo, store: Store) -> None:
    status, night = selo.json("night", "--now", AT)
    assert (status, night["kinds"]["triggered"]["done"]) == (0, 1)
    assert [(row.state, row.cause["trigger"]) for row in requests(store)] == [("done", "important_memory")]
    _, again = selo.json("night", "--now", AT)
    assert again["kinds"]["triggered"]["done"] == 0


def test_the_status_tells_what_triggers_have_done(selo: Selo, store: Store) -> None:
    _, before_it = selo.json("status")
    assert (before_it["triggers"]["requests"], before_it["triggers"]["unseen"]) == (0, 5)
    look(store)
    _, found = selo.json("status")
    assert (found["triggers"]["requests"], found["triggers"]["unseen"]) == (1, 0)
    assert found["triggers"]["rules"]["important_memory"]["accepted"] == 1


def test_why_tells_of_whom_a_trigger_asked_and_of_whom_none_did(selo: Selo) -> None:
    selo.json("night", "--now", AT)
    _, found = selo.json("why", "ana", "--on", "2026-11-23", "--now", AT)
    assert found["kinds"]["triggered"]["outcome"] == "done"
    _, found = selo.json("why", "ben", "--on", "2026-11-23", "--now", AT)
    assert (found["kinds"]["triggered"]["outcome"], found["kinds"]["triggered"]["reason"]) == (
        "skipped",
        "nothing_asked",
    )
