"""What the client leaves alone: processes that need no model, other people's calls, the server after it has left."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import Completion, LanguageModel
from selo_dagster.reflections.answer import read_answer
from tests.llm.openai import ask, ask_at_once, model_for, question, using
from tests.support.fault_server import Exchange, FaultServer, flaky, slow


def test_it_is_a_language_model() -> None:
    model: LanguageModel = model_for("http://127.0.0.1:1/v1", model="a-name")
    assert (model.name, model.capacity, model.corrigible) == ("a-name", 8, True)


@pytest.mark.parametrize("module", ["selo_dagster.definitions", "selo_dagster.llm.openai_client"])
def test_loading_does_not_import_the_client_library(module: str) -> None:
    code = f"import sys, {module}; print([n for n in ('openai', 'json_repair') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_among_calls_at_once_only_those_that_meet_faults_fail() -> None:
    with FaultServer(flaky(seed=3)) as server:
        found = ask_at_once(model_for(server), 40)
        answers = [one for one in found if isinstance(one, Completion)]
        faults = [one for one in found if isinstance(one, ModelError)]
        assert len(answers) + len(faults) == 40
        assert len(answers) > 30
        assert all(read_answer(one.text).insights for one in answers)
        assert sum(one.calls for one in answers) + sum(one.calls for one in faults) == len(server.requests)


def test_a_cancelled_call_closes_its_connection() -> None:
    arrived, left = threading.Event(), threading.Event()

    def step(exchange: Exchange) -> None:
        arrived.set()
        try:
            exchange.head(200, None)
            while exchange.open:
                exchange.send(b" ")
                exchange.wait(0.005)
        except OSError:
            left.set()

    with FaultServer([step]) as server:
        model = model_for(server)

        async def cancel() -> None:
            task = asyncio.create_task(model.complete(question()))
            await asyncio.to_thread(arrived.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        using(model, cancel)
        assert left.wait(5)
        assert model.capacity == 8


def test_a_model_can_be_closed_before_and_after_use_and_used_again() -> None:
    with FaultServer() as server:
        model = model_for(server)
        asyncio.run(model.aclose())
        ask(model)
        ask(model)
        assert len(server.requests) == 2


def test_closing_the_server_ends_what_is_under_way() -> None:
    arrived = threading.Event()

    def step(exchange: Exchange) -> None:
        arrived.set()
        slow(60)(exchange)

    with FaultServer(lambda _: step) as server:
        model = model_for(server)

        async def leave() -> None:
            task = asyncio.create_task(model.complete(question()))
            await asyncio.to_thread(arrived.wait, 5)
            await asyncio.to_thread(server.close)
            with pytest.raises(ModelError, match="connection"):
                await task

        using(model, leave)


def test_the_server_runs_as_a_program_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "tests.support.fault_server", "--port", "0", "--scenario", "ok"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert read_answer(ask(model_for(url)).text).words >= 70
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
