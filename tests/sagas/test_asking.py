"""What a generate step asks a model for: one question, one checked answer, and nothing of it in an error."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from itertools import count
from typing import Any

import pytest

from selo_dagster.llm.answers import Answer, Episode, Learnings, Summary
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest, Evidence, LanguageModel, Task
from selo_dagster.sagas import asking
from selo_dagster.sagas.asking import HINTS, Question, ask
from selo_dagster.sagas.given import RefusedError, TransientError
from selo_dagster.settings import process_settings
from tests.support.fakes import FakeModel
from tests.support.fault_server import FaultServer, Script, Step, ok, slow, status

SECRET = "the harbour at Porto was foggy"
EVIDENCE = tuple(
    Evidence(f"m{number}", "message", "user", text, datetime(2026, 11, 22, 21, number, tzinfo=timezone.utc), "21:04")
    for number, text in enumerate((SECRET, "I like the sea in winter."), start=1)
)
QUOTED = {"source": "m2", "quote": "I like the sea in winter."}
LIMIT_S = 0.5

Env = pytest.MonkeyPatch
_names = count()


def learning(**changes: Any) -> dict[str, Any]:
    """Return one learning that fits, but for the changes."""
    fits = {"text": "Ana likes the sea.", "domain": "preferences", "confidence": 0.8, "importance": 0.5}
    return fits | {"evidence": [QUOTED]} | changes


def answer(*learnings: dict[str, Any], **more: Any) -> str:
    """Return an answer as text."""
    return json.dumps({"learnings": list(learnings or [learning()])} | more)


def question(
    evidence: tuple[Evidence, ...] = EVIDENCE, checks: Sequence[Callable[[Learnings], str | None]] = ()
) -> Question[Learnings]:
    """Return the question that most tests ask."""
    return Question(
        task="learnings",
        kind="persona_evolution",
        instructions="Say what is to be learned.",
        subject="Ana",
        covers="a talk",
        evidence=evidence,
        answer=Learnings,
        words=(1, 60),
        persona={"empathy": 0.8},
        checks=checks,
    )


def serve(env: Env, script: Sequence[Step] | Script, **settings: str) -> FaultServer:
    """Return a server that the settings name from now on."""
    server = FaultServer(script)
    env.setenv("SELO_LLM_URL", server.url)
    # What is learnt of a server is kept per name.
    env.setenv("SELO_LLM_MODEL", f"asked-{next(_names)}")
    for name, value in settings.items():
        env.setenv(name, value)
    process_settings.cache_clear()
    return server


class TestAServer:
    def test_a_good_answer_comes_with_the_models_name(self, monkeypatch: Env) -> None:
        with serve(monkeypatch, [ok(answer())]) as server:
            answered = ask(question())
        (one,) = answered.answer.learnings
        assert (one.text, one.domain) == ("Ana likes the sea.", "preferences")
        assert [cited.model_dump() for cited in one.evidence] == [QUOTED]
        assert answered.model == process_settings().llm_model
        (request,) = server.requests
        assert "Each learning has 1 to 60 words." in request.prompt
        assert "Say what is to be learned." in request.prompt
        assert "m2 | 21:04 | user said | I like the sea in winter." in request.prompt
        assert "empathy 0.80" in request.prompt

    def test_only_the_aliases_that_are_shown_may_be_cited(self, monkeypatch: Env) -> None:
        with serve(monkeypatch, [ok(answer())]) as server:
            ask(question())
        schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
        (learnings,) = schema["properties"].values()
        cited = learnings["items"]["properties"]["evidence"]["items"]["properties"]
        assert cited["source"] == {"type": "string", "enum": ["m1", "m2"]}
        assert cited["quote"]["maxLength"] == 200
        assert "$ref" not in json.dumps(schema)

    def test_nothing_learned_is_an_answer(self, monkeypatch: Env) -> None:
        with serve(monkeypatch, [ok('{"learnings": []}')]):
            assert ask(question()).answer.learnings == []

    @pytest.mark.parametrize(
        "around",
        [
            "{}",
            "```json\n{}\n```",
            "Sure! Here you are:\n```\n{}\n```\nAnything else?",
            "<think>What did Ana say? {{nothing}}</think>\n{}",
            "Here is what I learned: {} I hope this helps.",
        ],
    )
    def test_an_answer_is_found_in_whatever_stands_around_it(self, monkeypatch: Env, around: str) -> None:
        with serve(monkeypatch, [ok(around.format(answer()))]) as server:
            assert [one.text for one in ask(question()).answer.learnings] == ["Ana likes the sea."]
        assert len(server.requests) == 1

    def test_a_small_fault_in_the_json_is_mended(self, monkeypatch: Env) -> None:
        with serve(monkeypatch, [ok(f"Here: {answer()[:-1]},}}")]) as server:
            assert len(ask(question()).answer.learnings) == 1
        assert len(server.requests) == 1


WRONG: dict[str, tuple[str, str]] = {
    "no JSON": (f"I think that {SECRET}.", "answer: json_invalid"),
    "half a character": ('{"learnings": ["\\ud83d"]}', "answer: json_invalid"),
    "half a character, unescaped": (f'{{"learnings": ["\ud83d{SECRET}"]}}', "answer: string_unicode"),
    "no object": (json.dumps([SECRET]), "answer: model_type"),
    "another shape": (json.dumps({"summary": SECRET}), "learnings: missing, answer: extra_forbidden"),
    "a field of its own": (answer(**{SECRET: 1}), "answer: extra_forbidden"),
    "a field inside": (answer(learning(**{SECRET: 1})), "learnings.0: extra_forbidden"),
    "an unknown domain": (answer(learning(domain=SECRET)), "learnings.0.domain: literal_error"),
    "too sure": (answer(learning(confidence=7, text=SECRET)), "learnings.0.confidence: less_than_equal"),
    "a number as text": (answer(learning(confidence="0.5", text=SECRET)), "learnings.0.confidence: float_type"),
    "a character that cannot be stored": (
        answer(learning(text=f"\x00{SECRET}")),
        "learnings.0.text: string_pattern_mismatch",
    ),
    "too many": (answer(*[learning(text=SECRET)] * 6), "learnings: too_long"),
    "nothing cited": (answer(learning(evidence=[], text=SECRET)), "learnings.0.evidence: too_short"),
    "an alias that was not shown": (
        answer(learning(evidence=[QUOTED, QUOTED | {"source": "m3"}], text=SECRET)),
        "unknown_source",
    ),
    "an alias without a quote": (answer(learning(evidence=["m2"], text=SECRET)), "quote_missing"),
    "a quote that is nowhere": (
        answer(learning(evidence=[{"source": "m2", "quote": SECRET}], text="So it was.")),
        "quote_not_found",
    ),
    "a number of its own": (answer(learning(text="Ana swam 12 times.")), "unsourced_number"),
}


class TestAnAnswerThatDoesNotFit:
    @pytest.mark.parametrize("name", WRONG)
    def test_it_is_corrected_once(self, monkeypatch: Env, name: str) -> None:
        text, code = WRONG[name]
        with serve(monkeypatch, [ok(text), ok(answer())]) as server:
            assert len(ask(question()).answer.learnings) == 1
        first, second = server.requests
        assert "did not fit" not in first.prompt
        told = second.body["messages"][-1]["content"]
        assert (
            told == f"Your answer did not fit: {HINTS.get(code, code)}. Answer again with one JSON document that fits."
        )

    @pytest.mark.parametrize("name", WRONG)
    def test_wrong_twice_may_be_tried_again_and_says_nothing_of_the_answer(
        self, monkeypatch: Env, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        text, code = WRONG[name]
        server = serve(monkeypatch, lambda _: ok(text))
        with server, caplog.at_level(logging.DEBUG), pytest.raises(TransientError) as caught:
            ask(question())
        assert str(caught.value) == f"the answer does not fit: {code}"
        assert len(server.requests) == 2
        shown = "".join(traceback.format_exception(caught.value)) + caplog.text
        assert SECRET not in shown
        assert "\x00" not in shown

    def test_all_that_is_wrong_is_told_up_to_five(self, monkeypatch: Env) -> None:
        wrong = learning(domain=SECRET, confidence=2, importance=-1)
        server = serve(monkeypatch, lambda _: ok(answer(*[wrong] * 5)))
        with server, pytest.raises(TransientError) as caught:
            ask(question())
        assert str(caught.value).count("learnings.") == 5

    def test_an_answer_that_was_cut_off_is_asked_for_again(self, monkeypatch: Env) -> None:
        with serve(monkeypatch, [ok(answer()[:40], finish_reason="length"), ok(answer())]) as server:
            assert len(ask(question()).answer.learnings) == 1
        assert "answer_cut_off" in server.requests[1].prompt

    def test_cut_off_twice_is_no_answer_even_where_it_reads_as_one(self, monkeypatch: Env) -> None:
        server = serve(monkeypatch, lambda _: ok(answer(), finish_reason="length"))
        with server, pytest.raises(TransientError, match=r"^the answer does not fit: answer_cut_off$"):
            ask(question())

    def test_a_check_that_refuses_is_told_by_its_code(self, monkeypatch: Env) -> None:
        def wants_two(found: Learnings) -> str | None:
            return None if len(found.learnings) == 2 else "not_two"

        with serve(monkeypatch, [ok(answer()), ok(answer(learning(), learning()))]) as server:
            answered = ask(question(checks=[wants_two, lambda _: None]))
        assert len(answered.answer.learnings) == 2
        assert "not_two" in server.requests[1].prompt
        server = serve(monkeypatch, lambda _: ok(answer()))
        with server, pytest.raises(TransientError, match=r"^the answer does not fit: not_two, never$"):
            ask(question(checks=[wants_two, lambda _: "never"]))


class TestAServerThatFails:
    @pytest.mark.parametrize(
        ("code", "fault", "transient"),
        [(429, "rate_limited", True), (500, "server_error", True), (503, "overloaded", True), (401, "auth", False)],
    )
    def test_its_fault_says_whether_it_may_pass(
        self, monkeypatch: Env, code: int, fault: str, *, transient: bool
    ) -> None:
        server = serve(monkeypatch, lambda _: status(code, SECRET))
        with server, pytest.raises(ModelError) as caught:
            ask(question())
        assert (caught.value.fault, caught.value.transient) == (fault, transient)
        assert SECRET not in "".join(traceback.format_exception(caught.value))

    def test_a_fault_of_the_second_call_is_that_of_the_question(self, monkeypatch: Env) -> None:
        server = serve(monkeypatch, [ok("no"), status(401)])
        with server, pytest.raises(ModelError) as caught:
            ask(question())
        assert caught.value.fault == "auth"

    def test_the_limit_of_a_call_holds(self, monkeypatch: Env) -> None:
        server = serve(monkeypatch, lambda _: slow(60), REFLECTION_LLM_TIMEOUT_S=str(LIMIT_S))
        with server:
            begun = time.monotonic()
            with pytest.raises(ModelError) as caught:
                ask(question())
            assert time.monotonic() - begun < LIMIT_S + 1.5
        assert (caught.value.fault, caught.value.transient) == ("timeout", True)

    def test_nothing_to_ask_about_is_refused_without_a_call(self, monkeypatch: Env) -> None:
        with serve(monkeypatch, [ok(answer())]) as server, pytest.raises(RefusedError):
            ask(question(evidence=()))
        assert server.requests == []


class TestAnyModel:
    def given(self, env: Env, model: LanguageModel) -> None:
        env.setattr(asking, "language_model", lambda *_: model)

    def test_a_model_that_forgets_its_time_is_left_and_closed(self, monkeypatch: Env) -> None:
        async def hangs(_: CompletionRequest) -> str:
            await asyncio.sleep(60)
            return answer()

        model = FakeModel(hangs)
        self.given(monkeypatch, model)
        monkeypatch.setenv("REFLECTION_LLM_TIMEOUT_S", str(LIMIT_S))
        process_settings.cache_clear()
        with pytest.raises(ModelError) as caught:
            ask(question())
        assert caught.value.fault == "timeout"
        assert model.closed

    @pytest.mark.parametrize("corrigible", [False, True])
    def test_only_a_model_that_can_mend_its_answer_is_told(self, monkeypatch: Env, *, corrigible: bool) -> None:
        async def wrong(_: CompletionRequest) -> str:
            return answer(learning(evidence=[QUOTED | {"source": "m9"}]))

        model = FakeModel(wrong, corrigible=corrigible)
        self.given(monkeypatch, model)
        with pytest.raises(TransientError, match="unknown_source"):
            ask(question())
        assert [one.correction is None for one in model.asked] == ([True, False] if corrigible else [True])
        assert model.closed

    def test_an_answer_is_closed_after(self, monkeypatch: Env) -> None:
        async def right(_: CompletionRequest) -> str:
            return answer()

        model = FakeModel(right)
        self.given(monkeypatch, model)
        assert ask(question()).model == "fake"
        assert model.closed


class TestTheExtractiveModel:
    @pytest.mark.parametrize(
        ("task", "wanted", "words"),
        [("learnings", Learnings, (1, 60)), ("summary", Summary, (5, 80)), ("episode", Episode, (15, 315))],
    )
    def test_it_answers_every_question_at_once(self, task: Task, wanted: type[Answer], words: tuple[int, int]) -> None:
        answered = ask(
            Question(
                task=task,
                kind="test",
                instructions="",
                subject="Ana",
                covers="Sunday 22 November 2026",
                evidence=EVIDENCE,
                answer=wanted,
                words=words,
            )
        )
        assert answered.model == "extractive"
        assert isinstance(answered.answer, wanted)

    def test_it_learns_what_the_person_stated(self) -> None:
        (one,) = ask(question()).answer.learnings
        assert (one.domain, [cited.source for cited in one.evidence]) == ("preferences", ["m2"])
        assert "“I like the sea in winter.”" in one.text

    def test_a_check_that_refuses_it_is_not_answered_by_the_same_answer(self) -> None:
        with pytest.raises(TransientError, match=r"^the answer does not fit: not_this$"):
            ask(question(checks=[lambda _: "not_this"]))
