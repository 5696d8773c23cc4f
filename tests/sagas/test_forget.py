"""`selo forget`: one memory goes, and no sentence is left that rests on it alone; the rest is made anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update

from selo_dagster.clock import FixedClock
from selo_dagster.errors import SeloError
from selo_dagster.llm.extractive.model import ExtractiveModel
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.client import write
from selo_dagster.memory.episodes import episodes
from selo_dagster.memory.learnings import learnings
from selo_dagster.memory.tables import events, memories, messages
from selo_dagster.people.evolution_tables import persona_changes, stale_marks
from selo_dagster.people.goals import goals
from selo_dagster.reflections.audits.audit import Merge, Report
from selo_dagster.reflections.audits.store import apply, store_audit
from selo_dagster.reflections.audits.tables import answer_audits
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.heads import roll_back
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import mantras, reflection_attempts, reflection_sources
from selo_dagster.reflections.versions import held_back
from selo_dagster.sagas.catalogue.episode_generation import EPISODE_GENERATION
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.forget import forget
from selo_dagster.sagas.forgotten import Forgotten
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.tables import sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.people.evolving import values
from tests.reflections.remaking import ALL, ON, TEXTS, TWO, again, decided, heads, reflect, row_of, saying, versions
from tests.sagas.builders import Room
from tests.sagas.minds import completed, model_that, rows, story
from tests.sagas.test_downstream import asking, carried
from tests.support.command import Selo
from tests.support.everything import everything
from tests.support.fakes import NOW, FakeModel, remember, run_cohort, say

SECRET = "the planted otter of Zanzibar"
M1 = f"Ana told nobody but us about {SECRET}"
OTHERS = {"m2": "Ana has an interview at the lake trust tomorrow and is nervous", "m3": "Ana loves her old cat"}
NIGHTS = ("daily", "mantra", "relationship_questions", "weekly")
WEEKLY = NOW + timedelta(days=6)
ADAPTIVE = KINDS["adaptive"]
MONDAY = NOW + timedelta(hours=1)
LEARNING = {"user_id": "ana", "saga_id": "s", "source": "conversation:c", "domain": "d", "confidence": 0.9}
LEARNING |= {"importance": 0.9, "model": "x", "created_at": NOW}
GOAL = {"user_id": "ana", "description": "d", "priority": 0.5, "state": "active", "created_at": NOW}
WHY = ("--because", "she asked us to")


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's, who had a Sunday with three memories, the first of which says what nothing else says."""
    registry.cache_clear()
    process_settings.cache_clear()
    made = Room(store)
    say(store, "ana", "2026-11-22T10:00:00Z", "Good morning, I am excited", prefix="c1")
    remember(store, "ana", "m1", "2026-11-22T10:05:00Z", M1, 0.95)
    for number, (memory_id, text) in enumerate(OTHERS.items()):
        remember(store, "ana", memory_id, f"2026-11-22T10:1{number}:00Z", text, 0.9)
    return made


async def by_rules(request: CompletionRequest) -> str:
    """Answer as the embedded model does: in the words of what it is shown."""
    return (await ExtractiveModel().complete(request)).text


def night(room: Room, *kinds: str, at: Any = NOW) -> dict[str, list[Settlement]]:
    """Do what is due, and carry out what it asks for."""
    room.clock.instant = max(room.clock.instant, at)
    found = {}
    for name in kinds or NIGHTS:
        look(room.store, KINDS[name], at, 3)
        found[name] = run_cohort(
            room.store,
            FakeModel(by_rules),
            kind=KINDS[name],
            run_id=uuid4().hex,
            clock=FixedClock(at),
            on_made=asking(),
        )
        carried(room)
    return found


def forgets(room: Room, memory_id: str = "m1", user_id: str = "ana") -> Forgotten:
    """Forget a memory."""
    with room.store.write() as connection:
        return forget(connection, user_id, memory_id, actor="ben", because="she asked us to", now=NOW)


def secrets(room: Room) -> list[str]:
    """Return the tables in which the words of the first memory stand."""
    return sorted(name for name, there in everything(room.store).items() if any(SECRET in one for one in there))


def test_r12_no_sentence_is_left_that_rests_on_a_memory_alone(room: Room) -> None:
    """R12: deleting a memory leaves no derived sentence that rests on it alone: not one of its words, anywhere."""
    night(room, "daily", "mantra", "relationship_questions")
    night(room, "weekly", at=WEEKLY)
    told = secrets(room)
    assert {"memories", "reflections", "saga_steps", "learnings"} <= set(told), told
    done = forgets(room)
    assert secrets(room) == []
    assert done.again == [("daily", "2026-11-22"), ("weekly", "2026-11-28"), ("mantra", "2026-11-22")]
    assert done.deleted["memories"] == done.deleted["events"] == 1
    # It is all made anew from what is left, and says nothing of it either.
    found = night(room, at=WEEKLY + timedelta(hours=1))
    assert [(one.on, one.outcome) for one in found["daily"]] == [(ON, "done")]
    assert [(one.on, one.outcome) for one in found["mantra"]] == [(ON, "done")]
    assert [one.outcome for one in found["weekly"]] == ["done"]
    assert secrets(room) == []
    (daily,) = versions(room.store)
    cited = {name for one in daily.insights for name in one["evidence"]}
    assert (daily.head, daily.version) == (True, 1)
    assert cited <= {"memory:m2", "memory:m3", "message:c1-0"}
    assert cited


def test_what_is_made_anew_asks_for_nothing_and_moves_nobody_twice(room: Room) -> None:
    night(room, "daily")
    moved, asked = values(room.store), len(room.rows())
    forgets(room)
    night(room, "daily", at=NOW + timedelta(hours=1))
    assert (values(room.store), len(room.rows())) == (moved, asked)


def test_a_day_of_which_nothing_is_left_is_not_made_anew(room: Room) -> None:
    night(room, "daily", "mantra")
    for memory_id in ("m1", "m2", "m3"):
        forgets(room, memory_id)
    with room.store.write() as connection:
        connection.execute(messages.delete())
    found = night(room, "daily", "mantra", at=NOW + timedelta(hours=1))
    assert [(one.outcome, one.reason) for one in found["daily"]] == [("skipped", "nothing_new")]
    assert (versions(room.store), rows(room.store, mantras)) == ([], [])


@pytest.mark.parametrize("importance", [0.4, 1.0])
def test_a_former_version_that_knew_nothing_of_it_holds_again(room: Room, importance: float) -> None:
    with room.store.write() as connection:
        connection.execute(memories.delete().where(memories.c.id == "m1"))
        connection.execute(events.delete().where(events.c.ref == "m1"))
    night(room, "daily")
    (first,) = versions(room.store)
    remember(room.store, "ana", "m1", "2026-11-22T10:06:00Z", M1, importance)
    place(room.store, DAILY, Wish("again", ("ana",), ON, force=True), NOW, 3)
    night(room, "daily")
    second = versions(room.store)[1]
    with room.store.read() as connection:
        read = set(
            connection.execute(
                select(reflection_sources.c.source_id).where(reflection_sources.c.reflection_id == second.id)
            ).scalars()
        )
    assert "m1" in read
    # Whether it holds or was held back, it was made with the memory before it.
    done = forgets(room)
    assert (done.again, heads(room.store), row_of(room.store).reflection_id) == ([], [1], first.id)
    assert (row_of(room.store).state, row_of(room.store).reason) == ("done", None)
    assert [(one.reason, one.former_id) for one in decided(room.store)] == (
        [("forgotten", second.id)] if second.head else []
    )
    assert secrets(room) == []


@pytest.fixture
def sunday(store: Store) -> Room:
    """Ana's, whose Sunday is due, and whose reflections say what a test chooses."""
    registry.cache_clear()
    process_settings.cache_clear()
    made = Room(store)
    for memory_id, text in TEXTS.items():
        remember(store, "ana", memory_id, "2026-11-22T10:00:00Z", text)
    look(store, DAILY, NOW, 3)
    return made


def made_with_a_fourth(room: Room) -> None:
    """Let the newest version know of a memory more, m4, and hold."""
    remember(room.store, "ana", "m4", "2026-11-22T11:00:00Z", "the tree", 0.9)
    again(room.store, saying(*ALL))


def waiting(room: Room) -> list[int]:
    """Return the versions that were held back and wait for somebody to decide."""
    with room.store.read() as connection:
        return [one["version"] for one in held_back(connection, 10)]


def merged_away(room: Room, memory_id: str) -> None:
    """Let a memory be merged into another, so that it is read no more."""
    report = Report(2, {}, (Merge("m1", (memory_id,), "same_content", 1.0),))
    with room.store.write() as connection:
        audit = store_audit(connection, user_id="ana", on=ON, report=report, now=NOW, new_id=lambda: uuid4().hex)
        assert apply(connection, audit, NOW) == [memory_id]


def test_a_version_that_was_held_back_does_not_hold_in_its_place(sunday: Room) -> None:
    reflect(sunday.store, saying(*ALL))
    again(sunday.store, saying(*TWO))
    made_with_a_fourth(sunday)
    assert heads(sunday.store) == [3]
    forgets(sunday, "m4")
    assert (heads(sunday.store), waiting(sunday)) == ([1], [])


def test_a_version_that_somebody_rolled_back_from_does_not_hold_in_its_place(sunday: Room) -> None:
    reflect(sunday.store, saying(*ALL))
    again(sunday.store, saying(*ALL))
    with sunday.store.write() as connection:
        roll_back(connection, user_id="ana", kind="daily", on=ON, version=1, actor="ben", because="cruel", now=NOW)
    made_with_a_fourth(sunday)
    assert heads(sunday.store) == [3]
    forgets(sunday, "m4")
    assert heads(sunday.store) == [1]
    assert row_of(sunday.store).reflection_id == versions(sunday.store)[0].id


def test_of_several_versions_that_held_the_last_one_holds_again(sunday: Room) -> None:
    reflect(sunday.store, saying(*ALL))
    again(sunday.store, saying(*ALL))
    made_with_a_fourth(sunday)
    assert heads(sunday.store) == [3]
    forgets(sunday, "m4")
    assert heads(sunday.store) == [2]


def test_a_version_that_was_held_back_holds_where_it_is_all_that_is_left(sunday: Room) -> None:
    remember(sunday.store, "ana", "m4", "2026-11-22T11:00:00Z", "the tree", 0.9)
    reflect(sunday.store, saying(*ALL))
    merged_away(sunday, "m4")
    again(sunday.store, saying(*TWO))
    assert (heads(sunday.store), waiting(sunday)) == ([1], [2])
    forgets(sunday, "m4")
    assert (heads(sunday.store), waiting(sunday)) == ([2], [])
    assert (row_of(sunday.store).state, row_of(sunday.store).reason) == ("done", None)


def test_what_was_held_back_still_waits_where_only_an_older_version_goes(sunday: Room) -> None:
    remember(sunday.store, "ana", "m4", "2026-11-22T11:00:00Z", "the tree", 0.9)
    reflect(sunday.store, saying(*ALL))
    merged_away(sunday, "m4")
    again(sunday.store, saying(*ALL))
    again(sunday.store, saying(*TWO))
    assert (heads(sunday.store), waiting(sunday)) == ([2], [3])
    forgets(sunday, "m4")
    assert [one.version for one in versions(sunday.store)] == [2, 3]
    assert (heads(sunday.store), waiting(sunday)) == ([2], [3])


def new_on_monday(room: Room, *said: tuple[str, str]) -> None:
    """Let there be new memories since Sunday's daily: an id and a text each."""
    for memory_id, text in said:
        remember(room.store, "ana", memory_id, MONDAY.isoformat(), text, 0.9)


def ask_what_is_new(room: Room, request: str) -> None:
    """Let an adaptive reflection be due, under a name of its own."""
    look(room.store, ADAPTIVE, MONDAY, 3)
    number = timedelta(minutes=len(rows(room.store, ledger)))
    assert place(room.store, ADAPTIVE, Wish(request, ("ana",), None), MONDAY + number, 3) == []


def what_is_new(room: Room) -> list[list[str]]:
    """Make the adaptive reflections that are due; returns what each was shown."""
    model = FakeModel(by_rules)
    found = run_cohort(room.store, model, kind=ADAPTIVE, run_id=uuid4().hex, clock=FixedClock(NOW + timedelta(days=1)))
    assert {one.outcome for one in found} <= {"done"}
    return [[source.text for source in asked.evidence] for asked in model.asked]


def test_a_reflection_on_what_was_new_is_made_anew_of_what_is_left_and_the_next_ones_come(room: Room) -> None:
    night(room, "daily")
    new_on_monday(room, ("n1", f"again {M1}"), ("n2", "Ana has a new garden by the sea"))
    ask_what_is_new(room, "first")
    assert what_is_new(room) == [[f"again {M1}", "Ana has a new garden by the sea"]]
    new_on_monday(room, ("n3", "Ana planted seven roses there"))
    ask_what_is_new(room, "second")
    assert what_is_new(room) == [["Ana planted seven roses there"]]
    done = forgets(room, "n1")
    assert [kind for kind, _ in done.again] == ["adaptive"]
    # Nothing of what another one has read since.
    assert what_is_new(room) == [["Ana has a new garden by the sea"]]
    new_on_monday(room, ("n4", "Ana waits for the first of them"))
    ask_what_is_new(room, "third")
    assert what_is_new(room) == [["Ana waits for the first of them"]]
    assert {row["state"] for row in rows(room.store, ledger) if row["kind"] == "adaptive"} == {"done"}


def test_what_was_new_is_read_by_the_next_one_where_that_is_due_already(room: Room) -> None:
    night(room, "daily")
    new_on_monday(room, ("n1", f"again {M1}"), ("n2", "Ana has a new garden by the sea"))
    ask_what_is_new(room, "first")
    what_is_new(room)
    new_on_monday(room, ("n3", "Ana planted seven roses there"))
    ask_what_is_new(room, "second")
    assert forgets(room, "n1").again == []
    assert what_is_new(room) == [["Ana has a new garden by the sea", "Ana planted seven roses there"]]
    told = [(row["state"], row["reason"]) for row in rows(room.store, ledger) if row["kind"] == "adaptive"]
    assert sorted(told, key=str) == [("done", None), ("skipped", "nothing_new")]


def test_where_nothing_new_is_left_no_reflection_on_it_is_made(room: Room) -> None:
    night(room, "daily")
    new_on_monday(room, ("n1", f"again {M1}"))
    ask_what_is_new(room, "first")
    what_is_new(room)
    new_on_monday(room, ("n2", "Ana has a new garden by the sea"))
    assert forgets(room, "n1").again == []
    (row,) = (row for row in rows(room.store, ledger) if row["kind"] == "adaptive")
    assert (row["state"], row["reason"]) == ("skipped", "nothing_new")
    ask_what_is_new(room, "second")
    assert what_is_new(room) == [["Ana has a new garden by the sea"]]


def test_what_was_made_later_is_marked_to_be_looked_at(room: Room) -> None:
    night(room, "daily")
    say(room.store, "ana", "2026-11-23T13:00:00Z", "The interview went well, I am so happy", prefix="c2")
    later = NOW + timedelta(days=1)
    night(room, "daily", at=later)
    monday = versions(room.store)[1]
    forgets(room)
    (mark,) = rows(room.store, stale_marks)
    assert (mark["user_id"], mark["derived"]) == ("ana", f"reflection:{monday.id}")
    assert mark["because"].startswith("forgotten:")
    assert "m1" not in mark["because"]
    # It was not made with the memory before it, and stays.
    assert [one.id for one in versions(room.store)] == [monday.id]


def test_sentences_with_sources_left_lose_this_one_and_stay(room: Room) -> None:
    question = {"user_id": "ana", "on": ON, "topic": "t", "priority": 1, "state": "pending", "available_at": NOW}
    question |= {"expires_at": NOW, "created_at": NOW, "model": "x"}
    with room.store.write() as connection:
        for number, evidence in enumerate((["memory:m1"], ["memory:m1", "memory:m2"], ["memory:m2"])):
            connection.execute(
                insert(learnings).values(
                    LEARNING
                    | {"id": f"l{number}", "content": f"{number}", "evidence": evidence}
                    | {"citations": [{"source": one, "quote": f"of {one}", "start": 0, "end": 1} for one in evidence]}
                )
            )
            connection.execute(
                insert(relationship_questions).values(
                    question | {"id": f"q{number}", "question": f"{number}?", "evidence": evidence}
                )
            )
        connection.execute(
            insert(learnings).values(LEARNING | {"id": "l3", "content": f"so {M1}!", "evidence": ["memory:m2"]})
        )
    done = forgets(room)
    left = {row["id"]: row["evidence"] for row in rows(room.store, learnings)}
    # What was quoted of it is its own words.
    assert all([one["source"] for one in row["citations"]] == row["evidence"] for row in rows(room.store, learnings))
    assert left == {"l1": ["memory:m2"], "l2": ["memory:m2"]}
    assert {row["id"]: row["evidence"] for row in rows(room.store, relationship_questions)} == {
        "q1": ["memory:m2"],
        "q2": ["memory:m2"],
    }
    assert (done.deleted["learnings"], done.changed["learnings"]) == (2, 1)


def learned(room: Room, *said: tuple[str, list[str]], **changes: Any) -> None:
    """Let something be learned: a text, and what it rests on. Their ids are l0, l1 and so on."""
    with room.store.write() as connection:
        for number, (text, evidence) in enumerate(said):
            row = LEARNING | {"id": f"l{number}", "content": text, "evidence": evidence} | changes
            connection.execute(insert(learnings).values(row))


def left(room: Room, table: Any) -> list[str]:
    """Return the ids in a table."""
    return [row["id"] for row in rows(room.store, table)]


def test_a_short_memory_takes_no_sentence_with_it_that_only_has_its_letters(room: Room) -> None:
    remember(room.store, "ana", "m9", "2026-11-22T10:20:00Z", "ok", 0.1)
    learned(
        room, ("Ana no longer smokes.", ["memory:m2"]), ("Ana is ok with it.", ["memory:m2"]), ("OK!", ["memory:m2"])
    )
    titles = ("Go look at the lake with Ana", "ok")
    with room.store.write() as connection:
        for number, title in enumerate(titles):
            goal = GOAL | {"id": f"g{number}", "title": title, "origin": "conversation:c", "evidence": []}
            connection.execute(insert(goals).values(goal))
    forgets(room, "m9")
    # Only what says nothing else repeats it.
    assert (left(room, learnings), left(room, goals)) == (["l0", "l1"], ["g0"])


@pytest.mark.parametrize(
    ("memory", "repeated"),
    [
        ("I moved\nto Porto  with Eva", "So: i moved to Porto with Eva."),
        ("Ana’s café is at the pier", "Ana's CAFE\u0301 is at the pier, she says"),
        ("Ana’s sea\u00adside room", "She loves Ana's seaside room"),
        ("seaside room of Ana", "She loves the sea\u00adside\ufe0f room of Ana"),
        ("我住在上海的外滩旁边", "她说我住在上海的外滩旁边"),
    ],
)
def test_a_sentence_that_repeats_it_goes_however_it_is_written(room: Room, memory: str, repeated: str) -> None:
    remember(room.store, "ana", "m9", "2026-11-22T10:20:00Z", memory, 0.1)
    learned(room, (repeated, ["memory:m9", "memory:m2"]), ("Ana loves Porto", ["memory:m9", "memory:m2"]))
    forgets(room, "m9")
    assert left(room, learnings) == ["l1"]


def test_a_saga_is_left_alone_whose_words_only_have_the_letters_of_a_short_memory(room: Room) -> None:
    night(room, "daily")
    before = {row["id"]: row["input"] for row in rows(room.store, sagas)}
    remember(room.store, "ana", "m9", "2026-11-23T10:20:00Z", "e", 0.1)
    done = forgets(room, "m9")
    assert before
    assert {row["id"]: row["input"] for row in rows(room.store, sagas)} == before
    assert done.changed["sagas"] == 0


def test_a_learning_without_evidence_goes_with_what_it_was_learned_from(room: Room) -> None:
    night(room, "daily")
    (daily,) = versions(room.store)
    with room.store.write() as connection:
        connection.execute(learnings.delete())
    learned(room, ("Ana sails.", []))
    with room.store.write() as connection:
        hers = LEARNING | {"id": "l1", "content": "Ana rows.", "evidence": [], "source": f"reflection:{daily.id}"}
        connection.execute(insert(learnings).values(hers))
    forgets(room)
    assert left(room, learnings) == ["l0"]


def test_an_audit_counts_the_tags_of_an_answer_no_more(room: Room) -> None:
    said = {"a1": ["Seropositive", "tea"], "a2": ["tea"], "a3": ["tea"]}
    with room.store.write() as connection:
        for number, (answer, tags) in enumerate(said.items()):
            row: dict[str, Any] = {
                "id": answer,
                "user_id": "ana",
                "kind": "relationship_answer",
                "content": f"{answer} " * 5,
            }
            # The last one was given long before.
            row |= {"importance": 0.5, "at": NOW - timedelta(days=number * 20), "tags": tags}
            connection.execute(insert(memories).values(row))
    saturday = NOW + timedelta(days=6)
    night(room, "relationship_answer_audit", at=saturday)
    assert [row["tags"] for row in rows(room.store, answer_audits)] == [{"seropositive": 1, "tea": 2}]
    forgets(room, "a3")
    assert [row["tags"] for row in rows(room.store, answer_audits)] == [{"seropositive": 1, "tea": 2}]
    assert forgets(room, "a1").changed["answer_audits"] == 1
    assert [row["tags"] for row in rows(room.store, answer_audits)] == [{"tea": 1}]


def test_a_goal_goes_with_the_last_that_asked_for_it(room: Room) -> None:
    night(room, "daily")
    (daily,) = versions(room.store)
    with room.store.write() as connection:
        connection.execute(goals.delete())
        hers = f"reflection:{daily.id}"
        for number, origins in enumerate(([hers], [hers, "conversation:c"], ["conversation:c"])):
            connection.execute(
                insert(goals).values(
                    GOAL | {"id": f"g{number}", "title": "t", "origin": origins[0], "evidence": origins[1:]}
                )
            )
        connection.execute(
            insert(goals).values(GOAL | {"id": "g3", "title": M1, "origin": "conversation:c", "evidence": []})
        )
    forgets(room)
    assert {one["id"]: (one["origin"], one["evidence"]) for one in rows(room.store, goals)} == {
        "g1": ("conversation:c", []),
        "g2": ("conversation:c", []),
    }


def test_a_story_that_was_shown_it_goes_whole(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    model_that(monkeypatch, episode=story())
    completed(room.store, EPISODE_GENERATION, {"since": "2026-11-22T09:00:00Z"})
    assert len(rows(room.store, episodes)) == 1
    forgets(room)
    assert (rows(room.store, episodes), secrets(room)) == ([], [])


def test_an_evolution_keeps_its_numbers_loses_its_words_and_can_be_taken_back(
    room: Room, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = values(room.store)
    night(room, "daily")
    moved = values(room.store)
    done = forgets(room)
    (evolution,) = done.evolutions
    assert moved != before
    assert {row["reason"] for row in rows(room.store, persona_changes)} == {""}
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    selo = Selo(capsys)
    assert selo.json("persona", "revert", evolution)[0] == 0
    carried(room)
    assert {name: value for name, value in values(room.store).items() if value != moved[name]}
    # What else it asked for can be undone as well, though its goal is gone; and nothing can be done again.
    goal = next(row for row in room.rows() if row.type == "goal_creation")
    assert selo.json("saga", "compensate", goal.id)[0] == 0
    carried(room)
    assert {row.state for row in room.rows()} == {"compensated"}
    assert selo.json("saga", "retry", goal.id)[0] == 0
    room.forward(GOAL_CREATION, "again")
    assert rows(room.store, goals) == []
    assert next(row.error for row in room.rows() if row.id == goal.id) is not None


def test_it_does_not_come_back_by_the_door(room: Room) -> None:
    forgets(room)
    line = {"type": "memory", "id": "m1", "user": "ana", "kind": "fact", "content": M1, "importance": 0.9}
    with room.store.write() as connection, pytest.raises(SeloError, match="was forgotten") as refused:
        write(connection, line | {"at": "2026-11-22T10:05:00Z"})
    assert refused.value.code == "forgotten"
    with room.store.write() as connection:
        assert write(connection, line | {"id": "m9", "at": "2026-11-22T10:05:00Z"}) == ["accepted"]
    assert "m1" not in str(rows(room.store, memories))
    assert not [one for one in rows(room.store, events) if one["ref"] == "m1"]


def test_twice_changes_nothing_and_what_never_was_is_unknown(room: Room) -> None:
    assert forgets(room).existing
    again = forgets(room)
    assert (again.existing, again.deleted.total(), again.again) == (False, 0, [])
    room.people(1)
    for memory_id, user_id in (("never", "ana"), ("m2", "p00"), ("m1", "p00")):
        with pytest.raises(SeloError) as refused:
            forgets(room, memory_id, user_id)
        assert refused.value.code == "unknown_memory"


def test_whoever_reflects_on_the_person_meanwhile_stores_nothing(room: Room) -> None:
    look(room.store, DAILY, NOW, 3)

    async def meanwhile(request: CompletionRequest) -> str:
        forgets(room)
        return await by_rules(request)

    model = FakeModel(meanwhile)
    (settled,) = run_cohort(room.store, model, run_id="late")
    # What was made of it found its claim gone, and the day was made anew from what is left.
    assert (settled.outcome, settled.attempts, len(model.asked)) == ("done", 2, 2)
    assert [SECRET in str(asked.evidence) for asked in model.asked] == [True, False]
    assert (heads(room.store), secrets(room)) == ([1], [])


def test_while_a_saga_has_its_words_in_hand_it_waits(room: Room) -> None:
    look(room.store, DAILY, NOW, 3)
    run_cohort(room.store, FakeModel(by_rules), on_made=asking())
    with pytest.raises(SeloError) as refused:
        forgets(room)
    assert refused.value.code == "under_way"
    assert "memories" in secrets(room)
    carried(room)
    forgets(room)
    assert secrets(room) == []


def test_a_rejected_answer_goes_too(room: Room) -> None:
    night(room, "daily")
    with room.store.write() as connection:
        connection.execute(update(reflection_attempts).values(answer=f"not JSON: {M1}"))
    forgets(room)
    assert secrets(room) == []


def test_the_command_says_what_went_and_what_is_made_anew(
    room: Room, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night(room, "daily", "mantra")
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    selo = Selo(capsys)
    for arguments, code in (
        (("ana", "m1"), "wrong_use"),
        (("ana", "m1", "--because", " "), "wrong_use"),
        (("ana", "m1", *WHY, "--by", "\x1b"), "wrong_use"),
        (("nobody", "m1", *WHY), "unknown_user"),
        (("ana", "m99", *WHY), "unknown_memory"),
    ):
        status, told = selo.json("forget", *arguments)
        assert (status, told["error"]["code"]) == (2, code), arguments
    status, told = selo.json("forget", "ana", "m1", *WHY)
    assert (status, told["user"], told["memory"], told["existing"]) == (0, "ana", "m1", True)
    assert {"kind": "daily", "key": "2026-11-22"} in told["again"]
    assert {"kind": "mantra", "key": "2026-11-22"} in told["again"]
    assert (told["deleted"]["memories"], told["deleted"]["reflections"]) == (1, 1)
    assert "was forgotten already" in selo("forget", "ana", "m1", *WHY)[1]
    status, printed = selo("forget", "ana", "m2", *WHY)
    assert (status, "m2 of ana is forgotten" in printed) == (0, True)
