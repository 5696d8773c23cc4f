"""Against a real, small model (opt-in: make test-llm): schema, tokens and limits, not the beauty of what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import select

from selo_dagster.llm.budgets.bound import bound_of
from selo_dagster.llm.rendering import messages_for
from selo_dagster.reflections.tables import reflection_ledger, reflections
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.llm.openai import ask, model_for, question
from tests.support.command import Selo
from tests.support.fakes import add_person, remember, say
from tests.support.small_model import NAME

pytestmark = [
    pytest.mark.llm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("SELO_TEST_LLM"), reason="a real model: make test-llm"),
]

NOW = "2026-11-23T12:00:00Z"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a real model's server."""
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-m", "tests.support.small_model"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http"), address
            yield f"{address}/v1"
        finally:
            process.terminate()


@pytest.fixture
def selo(
    server: str,
    store: Store,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Selo:
    """The command, with the real model and two people who had a Sunday."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("SELO_LLM_URL", server)
    monkeypatch.setenv("SELO_LLM_MODEL", NAME)
    monkeypatch.setenv("SELO_LLM_SLOTS", "1")
    # A machine that does other work beside it needs minutes for an answer.
    monkeypatch.setenv("REFLECTION_LLM_TIMEOUT_S", "300")
    monkeypatch.setenv("REFLECTION_SYNC_TIMEOUT_S", "600")
    process_settings.cache_clear()
    for name in ("ana", "ben"):
        add_person(store, name)
        say(store, name, "2026-11-22T10:00:00Z", "The interview is tomorrow and I am nervous", prefix=f"{name}-c")
        remember(store, name, f"{name}-m", "2026-11-22T10:05:00Z", "They have an interview at the lake trust", 0.9)
    return Selo(capsys)


def test_people_are_reflected_on_by_a_real_model_within_its_limits(selo: Selo, store: Store) -> None:
    status, told = selo.json("reflect", "daily", "--now", NOW)
    assert status in {0, 1}
    assert [one["user"] for one in told["outcomes"]] == ["ana", "ben"]
    assert {one["outcome"] for one in told["outcomes"]} <= {"done", "rejected"}, told["outcomes"]
    assert 2 <= told["model_calls"] <= 8
    assert all(0 < one["seconds"] < 600 for one in told["outcomes"])
    with store.read() as connection:
        rows = connection.execute(select(reflection_ledger)).all()
        made = connection.execute(select(reflections)).all()
    assert all(row.input_tokens > 100 and row.output_tokens > 20 for row in rows)
    for one in made:
        assert one.model == NAME
        cited = {item for insight in one.insights for item in insight["evidence"]}
        assert cited <= {f"message:{one.user_id}-c-0", f"memory:{one.user_id}-m"}


def test_a_call_that_has_too_little_time_ends_in_time(selo: Selo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLECTION_LLM_TIMEOUT_S", "0.5")
    monkeypatch.setenv("REFLECTION_SYNC_TIMEOUT_S", "5")
    process_settings.cache_clear()
    status, told = selo.json("reflect", "daily", "--user", "ana", "--now", NOW)
    assert status == 1
    (one,) = told["outcomes"]
    assert (one["outcome"], one["reason"]) == ("failed", "timeout")
    assert one["seconds"] < 2


@pytest.mark.parametrize(
    "text",
    [
        "I was at the lake with my sister and we talked about the interview. " * 12,
        "Мы долго говорили о море и о зиме, и мне стало легче. " * 8,
        "昨日は海辺を歩いて、昔の友達のことを考えていた。" * 10,
        "🙂🌊🏔️👩‍👩‍👧" * 30,
        "x9!~q7#Zz%k2^&*()_+=-0" * 20,
    ],
    ids=["english", "russian", "japanese", "emoji", "noise"],
)
def test_r11_a_real_vocabulary_makes_no_more_tokens_of_a_request_than_are_reserved(server: str, text: str) -> None:
    request = question(text, "Good night.")
    bound = bound_of(request, 24)
    for schema_in_prompt in (True, False):
        messages = messages_for(request, "f" * 16, schema_in_prompt=schema_in_prompt)
        prompt = _post(server, "/apply-template", {"messages": messages})["prompt"]
        tokens = _post(server, "/tokenize", {"content": prompt, "add_special": True})["tokens"]
        assert 0 < len(tokens) <= bound.input


def test_r11_a_real_server_uses_no_more_than_is_reserved(server: str) -> None:
    request = question("I was at the lake.", deadline_s=300.0)
    answered = ask(model_for(server, model=NAME, slots=1, max_tokens=24), request)
    bound = bound_of(request, 24)
    assert 0 < answered.input_tokens <= bound.input
    assert 0 < answered.output_tokens <= bound.output


def _post(server: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
    address = f"{server.removesuffix('/v1')}{path}"
    body = json.dumps(document).encode()
    asked = Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - our own server
    with urlopen(asked, timeout=120) as answered:  # noqa: S310 - our own server
        found: dict[str, Any] = json.load(answered)
    return found
