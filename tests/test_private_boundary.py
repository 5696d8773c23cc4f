"""A planted secret and every class of error: nowhere in Dagster's database, its logs or its compute logs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from selo_dagster.boundary import private_boundary
from selo_dagster.errors import SeloError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.assets import reflection_assets
from selo_dagster.reflections.definitions import jobs
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.support.dagster import execute, mind_with
from tests.support.fakes import NOW, FakeModel, add_person, by_the_book, good_answer, remember, say

SECRET = "xyzzy-planted-secret-4711"
ROOT = Path(__file__).parent.parent


async def secret_in_an_exception(request: CompletionRequest) -> str:
    """Raise what the person wrote."""
    raise RuntimeError(request.evidence[0].text)


async def secret_in_a_chained_exception(request: CompletionRequest) -> str:
    """Raise with a cause that holds what the person wrote."""
    raise ConnectionError(SECRET) from KeyError(request.evidence[0].text)


async def secret_in_a_malformed_answer(request: CompletionRequest) -> str:
    """Answer with something that is no JSON."""
    return f"{{{request.evidence[0].text}"


async def secret_in_a_rejected_answer(request: CompletionRequest) -> str:
    """Answer too briefly."""
    return good_answer(request, content=request.evidence[0].text)


async def secret_that_no_database_takes(request: CompletionRequest) -> str:
    """Answer with a name that is too long for its column, which the driver shows in its message."""
    return good_answer(request, emotional_state={"primary": SECRET, "intensity": 7, "secondary": []})


async def secret_in_a_time_out(_: CompletionRequest) -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return SECRET


FAULTS: list[Callable[[CompletionRequest], Awaitable[str]]] = [
    by_the_book,
    secret_in_an_exception,
    secret_in_a_chained_exception,
    secret_in_a_malformed_answer,
    secret_in_a_rejected_answer,
    secret_that_no_database_takes,
    secret_in_a_time_out,
]


@pytest.fixture
def store(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose people wrote a secret."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("REFLECTION_LLM_TIMEOUT_S", "1")
    process_settings.cache_clear()
    for index, _ in enumerate(FAULTS):
        add_person(store, f"p{index}", name=f"p{index}")
        say(store, f"p{index}", "2026-11-22T10:00:00Z", f"my password is {SECRET}")
        remember(store, f"p{index}", f"m{index}", "2026-11-22T10:00:00Z", f"their password is {SECRET}")
    return store


def leaks_in(folder: Path) -> list[str]:
    """Return the files below a folder that hold the secret, in UTF-8 or UTF-16."""
    needles = (SECRET.encode(), SECRET.encode("utf-16-le"))
    return [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


@pytest.mark.usefixtures("store")
def test_no_fault_of_a_model_or_an_answer_carries_words_into_dagster(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    by_person = {f"p{index}": fault for index, fault in enumerate(FAULTS)}

    async def answering(request: CompletionRequest) -> str:
        return await by_person[request.subject](request)

    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        instance.add_dynamic_partitions("users", sorted(by_person))
        assert not execute(jobs["daily"], instance, FakeModel(answering)).success
        for key in sorted(by_person):
            execute(jobs["daily"], instance, FakeModel(answering), partition_key=key, config={"force": True})
        dg.materialize(
            [reflection_assets["nightly_reflections"]],
            instance=instance,
            partition_key="p1",
            run_config={"ops": {"nightly_reflections": {"config": {"force": True, "now": NOW.isoformat()}}}},
            resources={"mind": mind_with(FakeModel(answering))},
            raise_on_error=False,
        )
    assert leaks_in(home) == []
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())


def test_a_database_that_breaks_in_the_middle_says_so_without_words(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    with store.write() as connection:
        connection.execute(text("DROP TABLE reflection_sources"))
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result = execute(jobs["daily"], instance)
    assert not result.success
    assert leaks_in(home) == []
    assert SECRET not in "".join(capfd.readouterr())


def wrapped(broken: Exception) -> dg.Failure:
    """Return the Failure that the boundary makes of an error."""
    with pytest.raises(dg.Failure) as caught, private_boundary("a test"):
        raise broken
    return caught.value


@pytest.mark.parametrize(
    "broken",
    [
        ValueError(SECRET),
        UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET),
        json.JSONDecodeError(SECRET, SECRET, 0),
        IntegrityError(SECRET, {"content": SECRET}, Exception(SECRET)),
        DataError(SECRET, {"content": SECRET}, Exception(SECRET)),
        OperationalError(SECRET, {"content": SECRET}, Exception(SECRET)),
    ],
)
def test_of_any_error_only_its_class_and_place_cross_the_boundary(broken: Exception) -> None:
    from dagster._utils.error import serializable_error_info_from_exc_info

    failure = wrapped(broken)
    try:
        raise failure
    except dg.Failure:
        stored = str(serializable_error_info_from_exc_info(sys.exc_info()))
    assert SECRET not in stored
    assert type(broken).__name__ in stored


def test_our_own_errors_cross_with_the_sentence_that_says_what_to_do() -> None:
    assert wrapped(SeloError("schema_behind", "run `selo db upgrade`")).description == (
        "schema_behind: run `selo db upgrade`"
    )


def test_an_interrupt_passes_as_it_is() -> None:
    with pytest.raises(KeyboardInterrupt), private_boundary("a test"):
        raise KeyboardInterrupt


@pytest.mark.usefixtures("store")
def test_a_run_in_a_process_of_its_own_leaves_no_word_in_its_compute_logs(tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dagster",
            "job",
            "execute",
            "-m",
            "selo_dagster.definitions",
            "-j",
            "daily_reflections",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(home), "SELO_CATCHUP_DAYS": "60"},
        check=False,
    )
    assert "daily: {'done': 7}" in done.stderr + done.stdout
    assert leaks_in(home) == []
    assert SECRET not in done.stdout + done.stderr
