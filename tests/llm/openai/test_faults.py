"""Each fault of a server alone, over real HTTP."""

from __future__ import annotations

import json
import logging
import socket
import time
import traceback
from itertools import repeat
from typing import Any

import pytest

from selo_dagster.llm.chat_reply import MOST_TOKENS
from selo_dagster.llm.errors import BACK_OFF, ModelError
from tests.llm.openai import KEY, SECRET, ask, model_for, question
from tests.support.fault_server import (
    FaultServer,
    Step,
    completion,
    cut_after_headers,
    cut_mid_body,
    endless,
    garbage,
    no_http,
    ok,
    slow,
    status,
    wrong_shape,
)

LIMIT_S = 0.4
TRANSIENT: dict[str, tuple[Step, str]] = {
    "429": (status(429), "rate_limited"),
    "503": (status(503), "overloaded"),
    "529": (status(529), "overloaded"),
    "500": (status(500), "server_error"),
    "502": (status(502), "server_error"),
    "cut after the headers": (cut_after_headers(), "connection"),
    "cut in the body": (cut_mid_body(), "connection"),
    "no HTTP": (no_http(), "connection"),
    "garbage": (garbage(), "empty_answer"),
    "wrong shape": (wrong_shape(), "empty_answer"),
    "a list": (wrong_shape([1]), "empty_answer"),
    "no choices": (wrong_shape({"choices": []}), "empty_answer"),
    "an error inside a 200": (wrong_shape({"error": {"message": "no"}}), "empty_answer"),
    "white space": (ok("  \n "), "empty_answer"),
    "no content": (lambda exchange: exchange.reply(200, completion(None)), "empty_answer"),
}
FINAL: dict[str, tuple[Step, str]] = {
    "401": (status(401), "auth"),
    "403": (status(403), "auth"),
    "a redirect": (status(307, headers={"Location": "http://127.0.0.1:1/v1"}), "bad_request"),
    "llama.cpp's context": (status(400, "the request exceeds the available context size"), "context_too_long"),
    "OpenAI's context": (status(400, "This model's maximum context length is 8 tokens"), "context_too_long"),
    "413": (status(413), "context_too_long"),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_fault_that_may_pass_is_tried_three_times_and_named(name: str) -> None:
    step, fault = TRANSIENT[name]
    with FaultServer(lambda _: step) as server:
        model = model_for(server)
        with pytest.raises(ModelError) as caught:
            ask(model)
    assert (caught.value.fault, caught.value.calls, len(server.requests)) == (fault, 3, 3)
    # What broke on the way back may have to be paid for, each time.
    assert caught.value.billed == (0 if fault in {"rate_limited", "overloaded"} else 3)
    assert caught.value.transient
    assert (model.capacity < 8) == (fault in BACK_OFF)


@pytest.mark.parametrize("name", FINAL)
def test_a_fault_that_stays_is_named_at_once(name: str) -> None:
    step, fault = FINAL[name]
    with FaultServer(lambda _: step) as server, pytest.raises(ModelError) as caught:
        ask(model_for(server))
    assert (caught.value.fault, caught.value.calls, len(server.requests)) == (fault, 1, 1)
    assert (caught.value.transient, caught.value.billed) == (False, 0)


@pytest.mark.parametrize("code", [400, 404, 422])
def test_a_refusal_on_every_rung_is_a_bad_request(code: int) -> None:
    with FaultServer(lambda _: status(code)) as server, pytest.raises(ModelError) as caught:
        ask(model_for(server))
    assert (caught.value.fault, caught.value.calls) == ("bad_request", 3)


@pytest.mark.parametrize("step", [slow(60), endless()], ids=["silent", "endless"])
def test_a_server_that_does_not_come_to_an_end_is_left_at_the_deadline(step: Step) -> None:
    with FaultServer(lambda _: step) as server:
        model = model_for(server)
        begun = time.monotonic()
        with pytest.raises(ModelError) as caught:
            ask(model, question(deadline_s=LIMIT_S))
        assert time.monotonic() - begun < LIMIT_S + 1.0
        assert (caught.value.fault, caught.value.calls, len(server.requests)) == ("timeout", 1, 1)
        assert caught.value.billed == 1


def test_nobody_listening_is_a_connection_fault() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ModelError) as caught:
            ask(model_for(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"))
    assert (caught.value.fault, caught.value.billed) == ("connection", 0)


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    with FaultServer(lambda _: ok("x" * 5_000_000)) as server, pytest.raises(ModelError) as caught:
        ask(model_for(server))
    assert caught.value.fault == "empty_answer"


def test_neither_key_nor_text_nor_address_appears_in_an_exception_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    echo = status(400, f"bad: {SECRET}", detail=SECRET)
    steps = [*repeat(status(500, SECRET), 3), *repeat(cut_mid_body(), 3), *repeat(garbage(), 3), *repeat(echo, 3)]
    shown = []
    with FaultServer(steps) as server, caplog.at_level(logging.DEBUG):
        for _ in range(4):
            with pytest.raises(ModelError) as caught:
                ask(model_for(server))
            assert caught.value.__suppress_context__
            shown.append("".join(traceback.format_exception(caught.value)))
        ask(model_for(server))
    everything = "\n".join(shown) + caplog.text
    for secret in (KEY, SECRET, "thought", server.url, server.url.split("/")[2]):
        assert secret not in everything


def test_a_good_answer_comes_with_its_counts() -> None:
    with FaultServer() as server:
        model = model_for(server)
        done = ask(model)
    assert json.loads(done.text)["insights"][0]["evidence"] == [{"source": "m1", "quote": SECRET}]
    assert (done.model, done.input_tokens, done.output_tokens) == (model.name, 100, 50)
    assert (done.finish_reason, done.calls) == ("stop", 1)
    assert 0 < done.seconds < 10


def test_counts_are_zero_where_the_server_gives_none() -> None:
    with FaultServer([ok(usage=False)]) as server:
        done = ask(model_for(server))
    assert (done.input_tokens, done.output_tokens) == (0, 0)


@pytest.mark.parametrize("counted", [-1, 0.5, True, "many", None, MOST_TOKENS + 1, 2**31, 2**63, 10**400])
def test_a_count_that_cannot_be_is_taken_for_none(counted: Any) -> None:
    with FaultServer([ok(counted=counted)]) as server:
        done = ask(model_for(server))
    assert (done.input_tokens, done.output_tokens) == (0, 50)


def test_an_answer_that_was_cut_off_says_so_and_is_not_mended() -> None:
    with FaultServer([ok('{"content": "I thou', finish_reason="length")]) as server:
        done = ask(model_for(server))
    assert (done.finish_reason, done.text) == ("length", '{"content": "I thou')


def test_the_key_goes_to_the_server_and_without_one_nothing_of_the_environment_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(variable, "foreign-secret")
    with FaultServer() as server:
        ask(model_for(server))
        ask(model_for(server, api_key=None))
    first, second = (one.headers for one in server.requests)
    assert first["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in second
    assert "foreign-secret" not in str(first) + str(second)
