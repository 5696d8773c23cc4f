"""Evidence or nothing: what reaches storage rests on passages that are there; the rules R8 and R9 are among this."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, delete, select

from selo_dagster.clock import FixedClock
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.tables import memories
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.report import metadata_of
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import mantras, reflection_attempts, reflection_sources, reflections
from selo_dagster.store.engine import Store
from tests.support.fakes import (
    NOW,
    FakeModel,
    add_person,
    by_the_book,
    cited,
    good_answer,
    good_questions,
    remember,
    run_cohort,
    say,
)

QUESTIONS, MANTRA = KINDS["relationship_questions"], KINDS["mantra"]
SAID = "The interview at the  harbour – is tomorrow, at 9:15"


@pytest.fixture
def store(store: Store) -> Store:
    """Ana, who had a Sunday, and Ben, whose sources are his."""
    add_person(store, "ana", name="Ana")
    say(store, "ana", "2026-11-22T10:00:00Z", SAID, "I am so nervous about it", prefix="c")
    remember(store, "ana", "m1", "2026-11-22T10:05:00Z", "Ana has an interview", 0.9)
    add_person(store, "ben")
    remember(store, "ben", "b1", "2026-11-22T10:05:00Z", "Ben has a secret of his own", 0.9)
    return store


def answering(*insights: dict[str, Any]) -> FakeModel:
    """Return a model that answers well but for its insights."""

    async def answer(request: CompletionRequest) -> str:
        return good_answer(request, insights=list(insights))

    return FakeModel(answer)


def insight(text: str, *evidence: Any) -> dict[str, Any]:
    return {"text": text, "evidence": list(evidence)}


def quote(source: str, words: str) -> dict[str, str]:
    return {"source": source, "quote": words}


HOLDS = insight("She has an interview.", quote("m1", "interview at the harbour - is tomorrow"))


def daily(store: Store, model: FakeModel, **changes: Any) -> Settlement:
    """Reflect on Ana's Sunday."""
    enrol(store, DAILY, NOW, 3)
    return next(one for one in run_cohort(store, model, **changes) if one.user_id == "ana")


def rows(store: Store, table: Table, user_id: str = "ana") -> list[dict[str, Any]]:
    with store.read() as connection:
        return [dict(row) for row in connection.execute(select(table).where(table.c.user_id == user_id)).mappings()]


def test_a_citation_is_stored_as_the_sources_own_characters_with_their_place(store: Store) -> None:
    both = insight(
        "She has an interview, and is nervous.",
        quote("m1", "“Interview at the harbour — is TOMORROW…”"),
        quote("m2", "so nervous about it"),
        quote("m1", "the interview at the harbour"),
    )
    assert daily(store, answering(both)).outcome == "done"
    (made,) = rows(store, reflections)
    (kept,) = made["insights"]
    assert kept["evidence"] == ["message:c-0", "message:c-1"]
    assert kept["citations"] == [
        {"source": "message:c-0", "quote": "interview at the  harbour – is tomorrow", "start": 4, "end": 43},
        {"source": "message:c-1", "quote": "so nervous about it", "start": 5, "end": 24},
        {"source": "message:c-0", "quote": "The interview at the  harbour", "start": 0, "end": 29},
    ]
    assert all(SAID[one["start"] : one["end"]] == one["quote"] for one in kept["citations"][::2])


FAULTY = {
    "unknown_source": insight("x", quote("m9", "interview at the harbour")),
    "quote_missing": insight("x", "m1"),
    "quote_too_short": insight("x", quote("m1", "is tomorrow")),
    "quote_too_long": insight("x", quote("m1", SAID * 9)),
    "quote_not_found": insight("x", quote("m1", "interview at the … is tomorrow")),
    "evidence_missing": insight("x"),
    "unsourced_time": insight("It is at 10:15.", quote("m1", "interview at the harbour")),
    "unsourced_number": insight("She said it 7 times.", quote("m1", "interview at the harbour")),
}


@pytest.mark.parametrize("code", FAULTY)
def test_an_insight_that_does_not_hold_is_dropped_alone_and_its_code_kept_with_the_row(store: Store, code: str) -> None:
    settled = daily(store, answering(FAULTY[code], HOLDS, FAULTY[code]))
    assert (settled.outcome, settled.codes) == ("done", (code, code))
    assert metadata_of(settled)["dropped_claims"] == 2
    (made,) = rows(store, reflections)
    assert [one["text"] for one in made["insights"]] == [HOLDS["text"]]
    with store.read() as connection:
        row = connection.execute(select(ledger).where(ledger.c.user_id == "ana")).one()
        attempt = connection.execute(select(reflection_attempts).where(reflection_attempts.c.ledger_id == row.id)).one()
    assert (row.state, row.codes, attempt.codes, attempt.answer) == ("done", [code, code], [code, code], None)


@pytest.mark.parametrize("code", FAULTY)
def test_a_model_that_can_mend_its_answer_is_told_once_what_was_wrong(store: Store, code: str) -> None:
    async def answer(request: CompletionRequest) -> str:
        return good_answer(request, insights=[FAULTY[code] if request.correction is None else HOLDS])

    model = FakeModel(answer, corrigible=True)
    settled = daily(store, model)
    assert (settled.outcome, settled.codes, settled.cost.model_calls) == ("done", (), 2)
    _, told = [one.correction for one in model.asked if one.subject == "Ana"]
    assert told is not None
    assert told.count(";") == 1
    assert SAID not in told


def test_a_theme_or_an_action_without_a_word_is_not_kept_beside_others(store: Store) -> None:
    async def answer(request: CompletionRequest) -> str:
        said = {"themes": ["🌊", "海", "…"], "actions": ["\u2800", "Ask about 9:15"]}
        feeling = {"primary": "радость", "intensity": 0.5, "secondary": ["🙂", "calm"]}
        return good_answer(request, insights=[HOLDS], emotional_state=feeling, **said)

    assert daily(store, FakeModel(answer)).outcome == "done"
    (made,) = rows(store, reflections)
    assert (made["themes"], made["actions"]) == (["海"], ["Ask about 9:15"])
    assert made["emotional_state"] == {"primary": "радость", "intensity": 0.5, "secondary": ["calm"]}


@pytest.mark.parametrize("without", ["content", "themes", "actions", "primary", "insight", "trait"])
def test_an_answer_with_a_field_without_a_word_is_refused(store: Store, without: str) -> None:
    changes: dict[str, Any] = {
        "content": {"content": "… " * 80},
        "themes": {"themes": ["."]},
        "actions": {"actions": ["🙂", "!"]},
        "primary": {"emotional_state": {"primary": "\u200b", "intensity": 0.5, "secondary": []}},
        "insight": {"insights": [HOLDS | {"text": "—"}]},
        "trait": {"trait_changes": [{"name": "-", "delta": 0.1, "reason": "it was so"}]},
    }

    async def answer(request: CompletionRequest) -> str:
        return good_answer(request, **{"insights": [HOLDS], **changes[without]})

    code = "schema_validation_failed" if without in {"insight", "trait"} else "missing_required_fields"
    settled = daily(store, FakeModel(answer))
    assert (settled.outcome, settled.codes) == ("rejected", (code,))
    assert rows(store, reflections) == []


def test_one_without_dropped_claims_says_nothing_of_any(store: Store) -> None:
    settled = daily(store, answering(HOLDS))
    assert (settled.outcome, settled.codes) == ("done", ())
    assert "dropped_claims" not in metadata_of(settled)


def test_what_was_shown_beside_a_text_may_be_told_too(store: Store) -> None:
    texts = [
        "Ana wrote at 10:00 on Sunday 22 November 2026.",
        "At 10 am she spoke of 9:15.",
        "On 2026-11-22 Ana wrote 1 message (m1).",
    ]
    told = [insight(text, quote("m1", "interview at the harbour")) for text in texts]
    assert daily(store, answering(*told)).codes == ()
    assert [one["text"] for one in rows(store, reflections)[0]["insights"]] == texts


UNSEEN = {
    "unknown": "m99",
    "foreign": "memory:b1",
    "foreign, bare": "b1",
    "the writer's own": "message:c-0",
    "nothing": "",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_r8_an_unknown_or_foreign_id_never_reaches_storage(store: Store, name: str) -> None:
    """R8: an unknown, foreign, deleted or un-shown id never reaches storage."""
    for words in ("Ben has a secret of his own", "interview at the harbour"):
        settled = daily(store, answering(insight("x", quote(UNSEEN[name], words)), HOLDS), run_id=f"run {words}")
        assert settled.codes == ("unknown_source",)
        again(store, "daily")
    found = [source for one in rows(store, reflections) for kept in one["insights"] for source in kept["evidence"]]
    assert set(found) == {"message:c-0"}
    assert not {"b1", "memory:b1", "m99"} & stored_sources(store)


def test_r8_a_source_that_was_not_shown_for_want_of_room_never_reaches_storage(store: Store) -> None:
    """R8: what was dropped from the prompt has no alias, and its words are in nothing that has one."""
    hidden = insight("x", quote("m2", "so nervous about it"), quote("m3", "so nervous about it"))
    settled = daily(store, answering(hidden), context_characters=60)
    assert settled.outcome == "rejected"
    assert rows(store, reflections) == []


def stored_sources(store: Store) -> set[str]:
    """Return the ids of what any reflection of Ana's has read."""
    with store.read() as connection:
        return set(
            connection.execute(
                select(reflection_sources.c.source_id)
                .join(reflections, reflections.c.id == reflection_sources.c.reflection_id)
                .where(reflections.c.user_id == "ana")
            ).scalars()
        )


def deleting(store: Store, table: Table, source_id: str, then: Callable[[CompletionRequest], str]) -> FakeModel:
    """Return a model during whose first call something is deleted by another writer."""
    model = FakeModel()

    async def answer(request: CompletionRequest) -> str:
        if request.subject != "Ana":
            return await by_the_book(request)
        with store.write() as connection:
            connection.execute(delete(table).where(table.c.id == source_id))
        return then(request)

    model.answering = answer
    return model


def of_memory(request: CompletionRequest) -> str:
    """Answer with what rests on the memory."""
    remembered = next((one for one in request.evidence if one.source == "memory"), request.evidence[0])
    return good_answer(request, insights=[insight("x", *cited(remembered))])


def test_r8_what_is_deleted_between_reading_and_commit_never_reaches_storage(store: Store) -> None:
    """R8: nothing is stored that rests on what is gone; what is left is read anew."""
    settled = daily(store, deleting(store, memories, "m1", of_memory))
    assert (settled.outcome, settled.reason) == ("deferred", "source_gone")
    assert rows(store, reflections) == []
    assert stored_sources(store) == set()
    clock = FixedClock(NOW + timedelta(minutes=2))
    (anew,) = run_cohort(store, run_id="anew", clock=clock)
    assert (anew.user_id, anew.outcome) == ("ana", "done")
    assert stored_sources(store) == {"c-0", "c-1"}


def test_r8_what_was_only_read_may_be_deleted_meanwhile(store: Store) -> None:
    """R8: an insight that rests on what is still there is kept."""
    model = deleting(store, memories, "m1", lambda request: good_answer(request, insights=[HOLDS]))
    assert daily(store, model).outcome == "done"


def test_r8_a_question_that_rests_on_what_is_gone_is_not_queued(store: Store) -> None:
    """R8: the same for questions."""
    daily(store, FakeModel())
    look(store, QUESTIONS, NOW, 3)

    def asking(request: CompletionRequest) -> str:
        (remembered,) = [one for one in request.evidence if one.source == "memory"]
        document = json.loads(good_questions(request))
        document["questions"][0]["evidence"] = cited(remembered)
        return json.dumps(document)

    settled = run_cohort(store, deleting(store, memories, "m1", asking), kind=QUESTIONS, run_id="questions")
    assert {one.user_id: one.reason for one in settled}["ana"] == "source_gone"
    assert rows(store, relationship_questions) == []


def test_r8_a_mantra_whose_reflection_is_gone_is_not_stored(store: Store) -> None:
    """R8: the same for the mantra: the reflection that it comes from is held by the database itself."""
    daily(store, FakeModel())
    look(store, MANTRA, NOW, 3)
    (made,) = rows(store, reflections)
    line = json.dumps({"mantra": "I go on and stay kind to her."})
    model = deleting(store, reflections, made["id"], lambda _: line)
    settled = run_cohort(store, model, kind=MANTRA, run_id="mantra")
    assert {one.user_id: one.outcome for one in settled}["ana"] in {"failed", "deferred"}
    assert rows(store, mantras) == []


def again(store: Store, *kinds: str) -> None:
    """Let Ana's obligations of these kinds be made once more, as another version."""
    with store.write() as connection:
        connection.execute(
            ledger.update()
            .where(ledger.c.user_id == "ana", ledger.c.kind.in_(kinds))
            .values(state="due", ready_at=NOW, settled_at=None, version=ledger.c.version + 1)
        )


def wordless(sign: str) -> dict[str, Any]:
    """Return answers with a sign in each field, and as many of it as there must be words."""
    harbour = [quote("m1", "interview at the harbour")]
    return {
        "daily": {
            "content": " ".join([sign] * 80),
            "themes": [sign],
            "insights": [{"text": sign, "evidence": harbour}],
            "actions": [sign],
            "emotional_state": {"primary": sign, "intensity": 0, "secondary": [sign]},
            "trait_changes": [],
        },
        "mantra": {"mantra": " ".join([sign] * 8)},
        "relationship_questions": {
            "questions": [{"question": " ".join([sign] * 8), "topic": sign, "evidence": harbour}],
            "notes": sign,
        },
    }


EMPTY: dict[str, Any] = {
    "nothing": "",
    "white space": " \n\t ",
    "an empty object": "{}",
    "an empty list": "[]",
    "null": "null",
    "empty lists": {
        "daily": {
            "content": "",
            "themes": [],
            "insights": [],
            "actions": [],
            "emotional_state": {"primary": "", "intensity": 0, "secondary": []},
            "trait_changes": [],
        },
        "mantra": {"mantra": ""},
        "relationship_questions": {"questions": [], "notes": ""},
    },
    "white space in every field": {
        "daily": {
            "content": " \n ",
            "themes": [" "],
            "insights": [{"text": " ", "evidence": [quote("m1", " ")]}],
            "actions": [" "],
            "emotional_state": {"primary": " ", "intensity": 0, "secondary": [" "]},
            "trait_changes": [],
        },
        "mantra": {"mantra": " \n "},
        "relationship_questions": {"questions": [{"question": " ", "topic": " ", "evidence": []}], "notes": " "},
    },
    "points": wordless("."),
    "blanks that are letters": wordless("\u3164"),
    "emoji": wordless("🙂"),
    "nothing but what is refused": {
        "daily": None,
        "mantra": {"mantra": "The prompt of a language model."},
        "relationship_questions": {
            "questions": [
                {
                    "question": "What came of the harbour and of the boat there?",
                    "topic": "work",
                    "priority": 1,
                    "suggested_delay_days": 0,
                    "evidence": [quote("m1", "what nobody ever said to anyone")],
                }
            ],
            "notes": "",
        },
    },
}
HEADS: dict[str, tuple[Kind, Table]] = {
    "daily": (DAILY, reflections),
    "mantra": (MANTRA, mantras),
    "relationship_questions": (QUESTIONS, relationship_questions),
}


@pytest.mark.parametrize("name", EMPTY)
def test_r9_empty_output_never_changes_the_head_of_any_kind(store: Store, name: str) -> None:
    """R9: empty output never changes the head."""
    for made_by, _ in HEADS.values():
        look(store, made_by, NOW, 3)
        run_cohort(store, kind=made_by, run_id=f"good-{made_by.name}")
    before = {kind: rows(store, table) for kind, (_, table) in HEADS.items()}
    assert all(before.values())
    again(store, *HEADS)
    for kind, (made_by, table) in HEADS.items():

        async def answer(request: CompletionRequest, kind: str = kind) -> str:
            output = EMPTY[name]
            if isinstance(output, str):
                return output
            if output[kind] is None:
                return good_answer(request, insights=[FAULTY["quote_not_found"], FAULTY["unknown_source"]])
            return json.dumps(output[kind])

        settled = run_cohort(store, FakeModel(answer), kind=made_by, run_id=f"empty-{kind}")
        assert {one.outcome for one in settled if one.user_id == "ana"} <= {"rejected", "unchanged"}
        assert rows(store, table) == before[kind], kind


def test_a_night_of_invented_quotes_is_no_night_without_a_question(store: Store) -> None:
    daily(store, FakeModel())
    look(store, QUESTIONS, NOW, 3)

    async def answer(request: CompletionRequest) -> str:
        invented = EMPTY["nothing but what is refused"]["relationship_questions"]
        good = json.loads(good_questions(request))
        # Asked before: dropped for that alone.
        return json.dumps(invented if request.subject == "Ana" else good | {"questions": []})

    settled = run_cohort(store, FakeModel(answer), kind=QUESTIONS, run_id="questions")
    assert {one.user_id: (one.outcome, one.codes) for one in settled} == {
        "ana": ("rejected", ("quote_not_found",)),
        "ben": ("unchanged", ()),
    }


def test_a_question_keeps_its_quotes_and_one_that_is_refused_takes_no_other_with_it(store: Store) -> None:
    daily(store, FakeModel())
    look(store, QUESTIONS, NOW, 3)

    async def answer(request: CompletionRequest) -> str:
        document = json.loads(good_questions(request))
        invented = EMPTY["nothing but what is refused"]["relationship_questions"]["questions"]
        return json.dumps(document | {"questions": [*invented, *document["questions"]]})

    settled = run_cohort(store, FakeModel(answer), kind=QUESTIONS, run_id="questions")
    assert {one.user_id: one.codes for one in settled}["ana"] == ("quote_not_found",)
    (queued,) = rows(store, relationship_questions)
    (quoted,) = queued["citations"]
    assert queued["evidence"] == [quoted["source"]]
    assert quoted["quote"]
    assert quoted["start"] == 0
