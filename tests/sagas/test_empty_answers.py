"""R9 for sagas: an answer that is empty, or of which nothing holds, changes nothing that is there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Table

from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.episodes import episodes
from selo_dagster.memory.learnings import learnings as learnings_table
from selo_dagster.memory.summaries import conversation_summaries
from selo_dagster.sagas import asking
from selo_dagster.sagas.catalogue.conversation_processing import CONVERSATION_PROCESSING
from selo_dagster.sagas.catalogue.episode_generation import EPISODE_GENERATION
from selo_dagster.store.engine import Store
from tests.sagas.minds import completed, drive, learning, learnings, model_that, rows, story, summary
from tests.support.fakes import FakeModel, add_person, say

TABLES: tuple[Table, ...] = (learnings_table, conversation_summaries, episodes)
INVENTED = [{"source": "m1", "quote": "what nobody ever said to anyone"}]
NOTHING = ("", "{}")
OF_FIELDS: dict[str, dict[str, Any]] = {
    "empty": {
        "learnings": {"learnings": [learning("", evidence=[])]},
        "summary": {"summary": "", "topics": []},
        "episode": {"title": "", "narrative": "", "emotion": "", "themes": [], "importance": 0, "evidence": []},
    },
    "white space": {
        "learnings": {"learnings": [learning(" \n ", evidence=[{"source": "m1", "quote": " "}])]},
        "summary": {"summary": " \n ", "topics": [" "]},
        "episode": {"title": " ", "narrative": " ", "emotion": " ", "themes": [" "], "importance": 0, "evidence": []},
    },
    "nothing that holds": {
        "learnings": {"learnings": [learning("Ana sails.", evidence=INVENTED), learning("So.", evidence=["m1"])]},
        "summary": {"summary": "", "topics": ["the sea"]},
        "episode": {"evidence": INVENTED},
    },
}


@pytest.fixture
def store(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Ana, of whom something is learned, summed up and told."""
    add_person(store, "ana", name="Ana")
    say(store, "ana", "2026-11-23T09:10:00Z", "My sister lives in Porto.", "I miss her.", prefix="c1")
    model_that(monkeypatch, learnings=learnings(learning()), summary=summary(), episode=story())
    completed(store, CONVERSATION_PROCESSING, {"conversation": "c1"})
    completed(store, EPISODE_GENERATION, {"since": "2026-11-23T09:00:00Z"})
    return store


@pytest.mark.parametrize("name", [*NOTHING, *OF_FIELDS])
def test_r9_an_empty_answer_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """R9: empty output never changes the head."""
    before = {table.name: rows(store, table) for table in TABLES}
    assert all(before.values())

    async def answer(request: CompletionRequest) -> str:
        if name not in OF_FIELDS:
            return name
        document = OF_FIELDS[name][request.task]
        return json.dumps(story()(request) | document if request.task == "episode" else document)

    monkeypatch.setattr(asking, "language_model", lambda *_: FakeModel(answer))
    for saga, given in (
        (CONVERSATION_PROCESSING, {"conversation": "c1"}),
        (EPISODE_GENERATION, {"since": "2026-11-23T09:00:00Z"}),
    ):
        driver = drive(store, saga, given)
        driver.require("nothing_to_undo" if saga is EPISODE_GENERATION else "compensated", driver.to_the_end())
    assert {table.name: rows(store, table) for table in TABLES} == before
