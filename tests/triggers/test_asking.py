"""Several causes of one person become one request that remembers them all, and cooldowns swallow nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.pauses import pause, resume
from selo_dagster.reflections.tables import reflection_sources, reflections
from selo_dagster.store.engine import Store
from selo_dagster.store.types import ID_LENGTH
from tests.support.fakes import NOW, FakeModel, add_person, by_the_book, cited, good_answer, remember
from tests.triggers.arrivals import (
    after,
    arrive,
    before,
    counts,
    happen,
    known,
    look,
    reflect,
    refs,
    requests,
    spike,
    state,
    strong,
    talk,
)

SPIKE = "emotional_spike"


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana and Ben, who said something yesterday."""
    for user in ("ana", "ben"):
        add_person(store, user)
    known(store, "ana", "ben")
    look(store)
    return store


def failing_once() -> FakeModel:
    """Return a model whose server is overloaded the first time it is asked."""
    model = FakeModel()

    async def answering(request: CompletionRequest) -> str:
        if len(model.asked) == 1:
            raise ModelError("overloaded")
        return await by_the_book(request)

    model.answering = answering
    return model


def shown(model: FakeModel, turn: int = -1) -> list[str]:
    """Return the texts that a model was shown at one of its calls."""
    return [source.text for source in model.asked[turn].evidence]


def test_one_persons_cooldown_is_nobody_elses(store: Store) -> None:
    spike(store, "ana", "a1")
    look(store)
    spike(store, "ben", "b1", after(minutes=1))
    look(store, after(minutes=1))
    assert [(row.user_id, refs(row)) for row in requests(store)] == [("ana", ["a1"]), ("ben", ["b1"])]
    assert state(store, "ana", SPIKE).cooldown_until == after(hours=4)
    assert state(store, "ben", SPIKE).cooldown_until == after(hours=4, minutes=1)


def test_a_cooldown_of_one_rule_is_none_of_another(store: Store) -> None:
    spike(store, "ana", "e1")
    look(store)
    strong(store, "ana", "m1", after(minutes=1))
    look(store, after(minutes=1))
    assert [row.cause["trigger"] for row in requests(store)] == ["emotional_spike", "important_memory"]


def test_a_request_that_was_not_accepted_starts_no_cooldown(store: Store) -> None:
    add_person(store, "new")
    spike(store, "new", "e1")
    look(store)
    known(store, "new")
    spike(store, "new", "e2", after(minutes=1))
    look(store, after(minutes=1))
    first, second = requests(store, "new")
    assert (first.state, first.reason) == ("skipped", "never_interacted")
    assert (second.state, refs(second), second.ready_at) == ("due", ["e2"], after(minutes=1, seconds=10))
    assert state(store, "new", SPIKE).cooldown_until == after(hours=4, minutes=1)


def test_a_cause_in_a_pause_starts_no_cooldown(store: Store) -> None:
    with store.write() as connection:
        pause(connection, kind=None, user_id="ana", because="asked us to", now=before(hours=1))
    spike(store, "ana", "e1")
    look(store)
    with store.write() as connection:
        resume(connection, kind=None, user_id="ana", now=after(seconds=30))
    spike(store, "ana", "e2", after(minutes=1))
    look(store, after(minutes=1))
    assert [(row.state, refs(row)) for row in requests(store)] == [("due", ["e2"])]


def test_what_comes_in_a_cooldown_is_remembered_by_the_next_request(store: Store) -> None:
    spike(store, "ana", "e1")
    look(store)
    assert [one.outcome for one in reflect(store, after(minutes=1))] == ["done"]
    spike(store, "ana", "e2", after(hours=1))
    spike(store, "ana", "e3", after(hours=2))
    look(store, after(hours=2))
    look(store, after(hours=4, seconds=1))
    assert len(requests(store)) == 1
    assert counts(store)[SPIKE] == {"accepted": 1, "cooldown": 2}
    spike(store, "ana", "e4", after(hours=5), 0.95)
    look(store, after(hours=5))
    second = requests(store)[1]
    assert (refs(second), second.cause["count"]) == (["e4", "e3", "e2"], 3)
    assert state(store, "ana", SPIKE).waiting == []
    assert state(store, "ana", SPIKE).cooldown_until == after(hours=9)


def test_a_request_counts_every_cause_that_came_in_a_cooldown(store: Store) -> None:
    spike(store, "ana", "first")
    look(store)
    reflect(store, after(minutes=1))
    for number in range(30):
        spike(store, "ana", f"e{number}", after(hours=1, minutes=number))
    look(store, after(hours=2))
    spike(store, "ana", "last", after(hours=5))
    look(store, after(hours=5))
    second = requests(store)[1]
    assert len(refs(second)) == 20
    assert second.cause["count"] == 31


def test_a_strong_memory_in_a_cooldown_is_reflected_on_at_its_end(store: Store) -> None:
    strong(store, "ana", "m1")
    look(store)
    assert [one.outcome for one in reflect(store)] == ["done"]
    strong(store, "ana", "m2", after(seconds=30))
    strong(store, "ana", "m3", after(seconds=60))
    look(store, after(seconds=60))
    second = requests(store)[1]
    assert (sorted(refs(second)), second.ready_at) == (["m2", "m3"], after(seconds=120))
    assert reflect(store, after(seconds=119)) == []
    assert [one.outcome for one in reflect(store, after(seconds=120))] == ["done"]
    assert state(store, "ana", "important_memory").cooldown_until == after(seconds=240)


def test_a_failure_is_tried_again_in_spite_of_the_cooldown(store: Store) -> None:
    spike(store, "ana", "e1")
    look(store)
    model = failing_once()
    assert [one.outcome for one in reflect(store, after(seconds=10), model)] == ["failed"]
    then = after(minutes=2)
    look(store, then)
    assert state(store, "ana", SPIKE).cooldown_until > then
    assert [one.outcome for one in reflect(store, then, model)] == ["done"]
    assert [(row.state, row.attempts) for row in requests(store)] == [("done", 2)]


def test_what_comes_while_a_failure_waits_for_its_retry_joins_it(store: Store) -> None:
    spike(store, "ana", "e1", reason="the funeral")
    look(store)
    model = failing_once()
    reflect(store, after(seconds=10), model)
    (waits,) = requests(store)
    assert waits.state == "failed"
    spike(store, "ana", "e2", after(seconds=15), 0.8, reason="the letter")
    look(store, after(seconds=15))
    (row,) = requests(store)
    assert (row.state, refs(row), row.ready_at) == ("failed", ["e1", "e2"], waits.ready_at)
    reflect(store, after(minutes=2), model)
    texts = " ".join(shown(model))
    assert "the funeral" in texts
    assert "the letter" in texts
    assert counts(store)[SPIKE] == {"accepted": 1, "merged": 1}


def test_the_weightiest_twenty_are_named_and_the_newest_of_equal_ones(store: Store) -> None:
    for number in range(25):
        weight = 0.7 if number % 5 == 0 else 0.9
        spike(store, "ana", f"e{number:02}", before(seconds=60 - number), weight)
    look(store)
    (row,) = requests(store)
    heavy = [f"e{number:02}" for number in reversed(range(25)) if number % 5]
    assert (refs(row), row.cause["count"]) == (heavy, 25)
    for number in range(3):
        spike(store, "ana", f"f{number}", after(seconds=number), 0.99)
    look(store, after(seconds=3))
    (row,) = requests(store)
    assert (refs(row), row.cause["count"]) == (["f2", "f1", "f0", *heavy[:17]], 28)


def test_the_longest_ids_make_keys_that_fit_and_differ(store: Store) -> None:
    names = ["x" * (ID_LENGTH - 1) + end for end in "ab"]
    for number, name in enumerate(names):
        remember(store, "ana", name, after(minutes=5 * number).isoformat(), "long", 0.9)
        arrive(store, [name])
        look(store, after(minutes=5 * number))
        assert [one.outcome for one in reflect(store, after(minutes=5 * number))] == ["done"]
    keys = [row.key for row in requests(store)]
    assert len(set(keys)) == 2
    assert all(key.startswith("important_memory/memory:") and len(key) <= ID_LENGTH for key in keys)
    assert [refs(row) for row in requests(store)] == [[name] for name in names]


def test_a_quarter_of_an_hour_of_silence_after_ten_messages_asks(store: Store) -> None:
    said = talk(store, "ana", NOW, 10)
    talk(store, "ben", NOW, 9)
    last = after(minutes=9)
    for now in (last, last + timedelta(seconds=899)):
        look(store, now)
        assert requests(store) == []
    looked = look(store, last + timedelta(seconds=900))
    (row,) = requests(store)
    assert (row.user_id, row.cause["trigger"], sorted(refs(row))) == ("ana", "silence", sorted(said))
    assert looked.people == {"ana"}
    look(store, last + timedelta(hours=1))
    assert len(requests(store)) == 1


def test_what_the_companion_says_breaks_no_silence(store: Store) -> None:
    talk(store, "ana", NOW, 10)
    talk(store, "ana", after(minutes=12), 10, role="assistant")
    look(store, after(minutes=24))
    assert [row.cause["count"] for row in requests(store)] == [10]


def test_another_word_begins_the_wait_for_silence_anew(store: Store) -> None:
    talk(store, "ana", NOW, 10)
    look(store, after(minutes=23))
    talk(store, "ana", after(minutes=23), 1)
    look(store, after(minutes=37))
    assert requests(store) == []
    look(store, after(minutes=38))
    assert [row.cause["count"] for row in requests(store)] == [11]


def when_asked(store: Store, every: timedelta, messages: int) -> timedelta | None:
    """Let Ana talk without a pause while the rules look at each word; returns when silence was no longer waited for."""
    for place in range(messages):
        now = NOW + place * every
        talk(store, "ana", now, 1)
        look(store, now)
        if any(row.cause["trigger"] == "silence" for row in requests(store)):
            return now - NOW
    return None


def test_somebody_who_never_falls_silent_is_waited_for_three_hours(store: Store) -> None:
    assert when_asked(store, timedelta(minutes=10), 30) == timedelta(hours=3)


def test_somebody_who_writes_twice_a_minute_is_not_waited_for_longer(store: Store) -> None:
    found = [talk(store, "ana", after(minutes=10 * part), 20, timedelta(seconds=30)) for part in range(20)]
    fired = None
    for part in range(len(found)):
        now = after(minutes=10 * part + 9, seconds=30)
        look(store, now)
        fired = fired or next((now for row in requests(store) if row.cause["trigger"] == "silence"), None)
    assert fired is not None
    assert fired <= after(hours=3, minutes=10)


def test_one_word_that_is_dated_to_another_century_does_not_keep_silence_from_asking(store: Store) -> None:
    arrive(store, talk(store, "ana", after(days=30_000), 1), on=NOW)
    look(store)
    talk(store, "ana", NOW, 10)
    look(store, after(minutes=30))
    assert [row.cause["trigger"] for row in requests(store)] == ["silence"]


def test_what_was_said_hours_before_a_conversation_does_not_end_it(store: Store) -> None:
    talk(store, "ana", NOW, 5)
    look(store, after(minutes=5))
    talk(store, "ana", after(hours=4), 5)
    look(store, after(hours=4, minutes=4))
    assert requests(store) == []


def test_a_feeling_is_read_as_an_event_and_can_be_cited(store: Store) -> None:
    async def citing(request: CompletionRequest) -> str:
        (felt,) = [source for source in request.evidence if source.source == "event"]
        return good_answer(request, insights=[{"text": "They grieve.", "evidence": cited(felt)}])

    spike(store, "ana", "e1", context="the dog died")
    look(store)
    model = FakeModel(citing)
    assert [one.outcome for one in reflect(store, after(seconds=10), model)] == ["done"]
    (felt,) = [source for source in model.asked[0].evidence if source.source == "event"]
    assert "the dog died" in felt.text
    assert "grief" in felt.text
    assert felt.kind == "emotional_spike"
    assert "gently" in model.asked[0].instructions
    with store.read() as connection:
        (made,) = connection.execute(select(reflections))
        used = connection.execute(select(reflection_sources).where(reflection_sources.c.source == "event")).one()
    (insight,) = made.insights
    assert (insight["text"], insight["evidence"]) == ("They grieve.", ["event:e1"])
    assert [one["quote"] for one in insight["citations"]] == [felt.text]
    assert (used.source_id, used.use) == ("e1", "cited")


def test_a_feeling_of_the_same_id_as_a_memory_is_not_taken_for_it(store: Store) -> None:
    strong(store, "ana", "one", before(days=2), 0.1, text="an old memory")
    spike(store, "ana", "one", context="the dog died")
    look(store)
    model = FakeModel()
    reflect(store, after(seconds=10), model)
    assert "an old memory" not in shown(model)
    assert any("the dog died" in text for text in shown(model))


def test_messages_that_caused_it_are_read_however_much_else_was_said(store: Store) -> None:
    said = talk(store, "ana", NOW, 10)
    talk(store, "ana", after(minutes=11), 60, timedelta(seconds=1), role="assistant")
    look(store, after(minutes=24))
    (row,) = requests(store)
    assert sorted(refs(row)) == sorted(said)
    model = FakeModel()
    reflect(store, after(minutes=24), model, context_characters=110)
    own: list[Any] = [source for source in model.asked[0].evidence if source.role == "user"]
    assert [source.text for source in own] == [f"message {place}" for place in range(10)]


def test_what_was_learned_is_one_request_with_its_own_instructions(store: Store) -> None:
    for number in range(5):
        happen(store, "ana", f"l{number}", "learning_created", {"domains": ["sea"]}, after(minutes=number))
    look(store, after(minutes=5))
    (row,) = requests(store)
    assert (row.cause["trigger"], sorted(refs(row))) == ("learning_consolidation", [f"l{n}" for n in range(5)])
    model = FakeModel()
    reflect(store, after(minutes=5), model)
    assert "lately learned" in model.asked[0].instructions
    assert counts(store)["learning_consolidation"] == {"accepted": 1, "kept": 4}


def test_a_strong_memory_dated_to_the_end_of_time_does_not_break_the_run_of_others(store: Store) -> None:
    remember(store, "ana", "m1", "9999-12-31T23:30:00Z", "never", 0.9)
    arrive(store, ["m1"], on=NOW)
    strong(store, "ben", "m2")
    look(store)
    assert {row.user_id for row in requests(store)} == {"ana", "ben"}
    assert {one.user_id: one.outcome for one in reflect(store)}["ben"] == "done"
