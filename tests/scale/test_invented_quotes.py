"""What is stored of many answers that quote truly, nearly, or not at all."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert, select

from selo_dagster.clock import BEGINNING, parse_instant
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.tables import conversations, messages
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import reflection_sources, reflections
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, good_answer, run_cohort
from tests.support.quoting import Quoted, citation, texts

FULL = os.environ.get("SELO_TEST_SCALE") == "full"
ANSWERS = 10_000 if FULL else 150
SUNDAY = parse_instant("2026-11-22T10:00:00Z")
CLAIMS = ("Alpha was said.", "Beta was said.", "Gamma was said.")

Plan = list[list[Quoted]]
"""The citations of each insight of an answer."""


def people(store: Store, random: Random) -> dict[str, dict[str, str]]:
    """Add people with a day each; returns what each said, by the alias under which it will be shown."""
    said: dict[str, dict[str, str]] = {}
    rows: dict[Any, list[dict[str, Any]]] = {users: [], user_statements: [], conversations: [], messages: []}
    for number in range(ANSWERS):
        name = f"p{number:05}"
        said[name] = {f"m{place}": text for place, text in enumerate(texts(random, random.randint(2, 4)), start=1)}
        rows[users].append({"id": name, "key": name, "name": name, "zone": "UTC"})
        rows[user_statements].append({"user_id": name, "since": BEGINNING, "name": name, "zone": "UTC"})
        rows[conversations].append({"id": name, "user_id": name})
        rows[messages] += [
            {
                "id": f"{name}-{alias}",
                "user_id": name,
                "conversation_id": name,
                "role": "user",
                "content": text,
                "at": SUNDAY + timedelta(minutes=place),
            }
            for place, (alias, text) in enumerate(said[name].items())
        ]
    for table, some in rows.items():
        for start in range(0, len(some), 1_000):
            with store.write() as connection:
                connection.execute(insert(table), some[start : start + 1_000])
    return said


def plan_of(random: Random, sources: dict[str, str]) -> Plan:
    """Return what one answer cites."""
    return [[citation(random, sources) for _ in range(random.randint(1, 3))] for _ in range(random.randint(1, 3))]


def letters(text: str) -> str:
    """Return what a quote and its passage have in common, told otherwise than the code under test tells it."""
    plain = unicodedata.normalize("NFKD", text).upper().casefold()
    return "".join(sign for sign in plain if sign.isascii() and sign.isalnum())


@pytest.mark.scale
def test_a_quote_that_is_not_in_its_source_never_reaches_storage_and_one_that_is_always_does(store: Store) -> None:
    random = Random(20_261_130)
    said = people(store, random)
    plans = {name: plan_of(random, sources) for name, sources in said.items()}

    async def answering(request: CompletionRequest) -> str:
        assert {one.alias: one.text for one in request.evidence} == said[request.subject]
        insights = [
            {"text": text, "evidence": [one.document for one in cited]}
            for text, cited in zip(CLAIMS, plans[request.subject], strict=False)
        ]
        return good_answer(request, insights=insights)

    enrol(store, DAILY, NOW, 3)
    settled = run_cohort(store, FakeModel(answering), chunk=50, concurrency=32, run_s=3_000.0)
    assert len(settled) == ANSWERS

    expected = {
        name: [text for text, cited in zip(CLAIMS, plan, strict=False) if all(one.holds for one in cited)]
        for name, plan in plans.items()
    }
    outcomes = Counter(one.outcome for one in settled)
    assert outcomes["done"] == sum(map(bool, expected.values()))
    assert outcomes["rejected"] == ANSWERS - outcomes["done"]
    with store.read() as connection:
        made = {row.user_id: row for row in connection.execute(select(reflections.c.user_id, reflections.c.insights))}
        stored = {
            row.id: row.content
            for part in chunked([f"{name}-{alias}" for name in made for alias in said[name]])
            for row in connection.execute(select(messages.c.id, messages.c.content).where(messages.c.id.in_(part)))
        }
        used = set(
            connection.execute(
                select(reflection_sources.c.source_id).where(reflection_sources.c.use == "cited")
            ).scalars()
        )
    # Nothing that holds is lost, and nothing that does not is there.
    assert {name: [one["text"] for one in row.insights] for name, row in made.items()} == {
        name: texts for name, texts in expected.items() if texts
    }
    checked = 0
    for name, row in made.items():
        for insight in row.insights:
            given = plans[name][CLAIMS.index(insight["text"])]
            wanted = [(f"message:{name}-{one.source}", letters(one.quote or "")) for one in given]
            told = [(one["source"], letters(one["quote"])) for one in insight["citations"]]
            # Two may have the same words, and marks around one of them only.
            assert list(dict.fromkeys(told)) == list(dict.fromkeys(wanted))
            assert insight["evidence"] == list(dict.fromkeys(source for source, _ in wanted))
            for one in insight["citations"]:
                text = stored[one["source"].removeprefix("message:")]
                assert text[one["start"] : one["end"]] == one["quote"]
                assert one["source"].removeprefix("message:") in used
                checked += 1
    assert checked >= ANSWERS // 4
