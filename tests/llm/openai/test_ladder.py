"""The ladder of structured output: climbed down once per server, and JSON found whatever stands around it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.json_text import json_object_in
from selo_dagster.llm.ladder import Footing
from selo_dagster.reflections.answer import read_answer
from tests.llm.openai import ask, ask_at_once, model_for, new_name, question
from tests.support.fault_server import (
    FaultServer,
    Received,
    Step,
    good,
    ignores_response_format,
    ok,
    refusing,
    status,
)


def test_a_server_that_knows_schemas_gets_the_schema_and_nothing_of_it_in_the_prompt() -> None:
    request = question()
    with FaultServer() as server:
        ask(model_for(server), request)
    (sent,) = server.requests
    assert sent.path == "/v1/chat/completions"
    assert sent.body["response_format"]["json_schema"]["schema"] == request.schema
    assert sent.body["response_format"]["json_schema"]["strict"] is True
    assert "trait_changes" not in sent.prompt
    assert (sent.body["max_tokens"], sent.body["temperature"]) == (1200, 0.35)


@pytest.mark.parametrize("code", [400, 404, 422, 501])
def test_the_ladder_is_climbed_down_once_and_remembered_for_the_process(code: int) -> None:
    name = new_name()
    with FaultServer(refusing("json_schema", "json_object", code=code)) as server:
        assert ask(model_for(server, model=name)).calls == 3
        assert ask(model_for(server, model=name)).calls == 1
        assert [one.format for one in server.requests] == ["json_schema", "json_object", "text", "text"]
        for one in server.requests[1:]:
            assert "trait_changes" in one.prompt
        assert ask(model_for(server, model=new_name())).calls == 3


def test_a_server_with_json_mode_only_is_left_on_the_middle_rung() -> None:
    name = new_name()
    with FaultServer(refusing("json_schema")) as server:
        for calls in (2, 1):
            done = ask(model_for(server, model=name))
            assert done.calls == calls
            assert read_answer(done.text).insights
        assert server.requests[-1].format == "json_object"


def test_many_first_calls_at_once_agree_on_the_rung() -> None:
    name = new_name()
    with FaultServer(refusing("json_schema", "json_object")) as server:
        found = ask_at_once(model_for(server, model=name), 10)
        assert not [one for one in found if isinstance(one, BaseException)]
        assert ask(model_for(server, model=name)).calls == 1


def test_a_refusal_that_no_rung_helps_against_is_not_remembered() -> None:
    name = new_name()
    with FaultServer([status(400)] * 3) as server:
        with pytest.raises(Exception, match="bad_request"):
            ask(model_for(server, model=name))
        ask(model_for(server, model=name))
        assert server.requests[-1].format == "json_schema"


def test_a_fault_on_the_way_down_does_not_start_at_the_top_again() -> None:
    with FaultServer([status(400), status(503)]) as server:
        assert ask(model_for(server)).calls == 3
        assert [one.format for one in server.requests] == ["json_schema", "json_object", "json_object"]


def test_a_server_that_ignores_the_parameter_is_told_in_the_prompt_from_then_on() -> None:
    name = new_name()
    with FaultServer(lambda _: ignores_response_format()) as server:
        for _ in range(3):
            assert read_answer(ask(model_for(server, model=name)).text).words >= 70
        assert [one.format for one in server.requests] == ["json_schema", "json_object", "text"]


def test_json_of_another_shape_under_a_strict_schema_means_that_the_schema_was_ignored() -> None:
    name = new_name()
    with FaultServer([ok('{"reflection": "a fine day"}')]) as server:
        assert ask(model_for(server, model=name)).text == '{"reflection": "a fine day"}'
        ask(model_for(server, model=name))
        assert server.requests[-1].format == "json_object"


def _newer_hosted(received: Received) -> Step:
    if "max_tokens" in received.body:
        return status(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    if "temperature" in received.body:
        return status(400, "Unsupported value", param="temperature")
    return ok()


def test_parameters_that_newer_hosted_models_refuse_are_given_up_without_leaving_the_rung() -> None:
    name = new_name()
    with FaultServer(_newer_hosted) as server:
        assert ask(model_for(server, model=name)).calls == 3
        assert ask(model_for(server, model=name)).calls == 1
        assert server.requests[-1].format == "json_schema"
        assert server.requests[-1].body["max_completion_tokens"] == 1200


def test_every_refusal_ends_after_a_few_steps() -> None:
    for refused in ("response_format", "max_tokens", "temperature"):
        footing: Footing | None = Footing()
        for _ in range(6):
            footing = footing.after(refused) if footing else None
        assert footing is None


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2]}',
        '  {"a": [1, 2]}\n',
        '```json\n{"a": [1, 2]}\n```',
        '```\n{"a": [1, 2]}\n```\nThere!',
        'Sure: {"a": [1, 2]} and {"b": 3}',
        '<think>{"no": 1} maybe</think>{"a": [1, 2]}',
        '{"a": [1, 2]',
        "{'a': [1, 2]}",
        "{a: [1, 2,],}",
        '{"a": [1, 2]}}}',
        'Here {"a": [1, 2],} you are',
    ],
)
def test_the_object_is_found_and_mended(text: str) -> None:
    found = json_object_in(text)
    assert found is not None
    assert json.loads(found) == {"a": [1, 2]}


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "[1, 2]", "12", '"{"', "{", "{}{" * 30_000, "{'" * 30_000, "[" * 9_999]
)
def test_what_holds_no_object_is_left_alone(text: str) -> None:
    assert json_object_in(text) in (None, "{}")


@given(st.text(alphabet="{}[]\",:'ab1 \\\n`", max_size=200))
def test_nothing_makes_the_search_fail(text: str) -> None:
    found = json_object_in(text)
    assert found is None or isinstance(json.loads(found), dict)


def test_prose_is_handed_on_as_it_is_for_the_callers_checks() -> None:
    with FaultServer([ok("I had a lovely day.")]) as server:
        assert ask(model_for(server)).text == "I had a lovely day."


def test_a_correction_is_the_last_thing_said() -> None:
    with FaultServer() as server:
        done = ask(model_for(server), question(correction="it cited nothing"))
    assert server.requests[0].body["messages"][-1] == {"role": "user", "content": "it cited nothing"}
    assert read_answer(done.text).insights == read_answer(good(server.requests[0])).insights


def test_the_smaller_limit_of_tokens_holds() -> None:
    with FaultServer() as server:
        ask(model_for(server, max_tokens=100))
    assert server.requests[0].body["max_tokens"] == 100
