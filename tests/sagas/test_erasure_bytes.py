"""Whatever was done for a person, through Dagster and every command: not a byte of it is left in files or in a dump."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

import selo_dagster.definitions
from selo_dagster.home import prepare_home
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade
from tests.support.command import Selo
from tests.support.postgres import find_binaries

assert selo_dagster.definitions.defs is not None
WHO = "zqx-4711-ana"
SECRET = "xyzzyplanted"
NOW = ("--now", "2026-11-23T12:00:00Z")


def lines(who: str, secret: str) -> list[dict[str, Any]]:
    """Return what is ingested of a person: a secret in every field that takes words."""
    mine = {"user": who, "at": "2026-11-22T20:00:00Z"}
    said = [
        f"I am so happy about my {secret} garden and the concert tomorrow!",
        f"I feel anxious about the {secret} interview on Friday, it matters so much to me.",
        f"My {secret} sister lives in Porto and I love her dearly.",
    ]
    return [
        {"type": "user", "id": who, "name": f"Ana {secret}", "timezone": "Europe/Lisbon"},
        *(
            {"type": "message", "id": f"{who}-{n}", "conversation": f"c-{who}", "role": "user", "content": one, **mine}
            for n, one in enumerate(said)
        ),
        {
            "type": "memory",
            "id": f"m-{who}",
            "kind": f"k.{secret}",
            "content": f"{who} has a {secret} interview",
            "importance": 0.95,
            "confidence": 0.9,
            "tags": [secret],
            "message": f"{who}-1",
            **mine,
        },
        {"type": "event", "id": f"e-{who}", "event": f"x.{secret}", "payload": {"emotion": secret}, **mine},
    ]


def lived(selo: Selo, tmp_path: Path) -> None:
    """Let two people live through a day, a night and an operator."""
    file = tmp_path / "people.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in (*lines(WHO, SECRET), *lines("ben", "quiet"))))
    done(selo, "ingest", str(file))
    done(
        selo,
        "schedule",
        WHO,
        "one_off",
        "--in",
        "1s",
        "--context",
        json.dumps({"why": SECRET}),
        "--now",
        "2026-11-23T11:00:00Z",
    )
    done(selo, "pause", "weekly", "--user", WHO, "--because", f"{SECRET} is away")
    done(selo, "night", *NOW)
    _, asked = selo.json("question", "list", WHO)
    for one in asked["questions"][:1]:
        selo.json("question", "answer", one["id"], "--text", f"the {SECRET} answer", *NOW)
    goal = tmp_path / "goal.json"
    goal.write_text(json.dumps({"title": SECRET, "description": SECRET, "origin": "reflection:r1", "steps": [SECRET]}))
    done(selo, "saga", "start", "goal_creation", "--user", WHO, "--input", str(goal))


def done(selo: Selo, *arguments: str) -> Any:
    status, document = selo.json(*arguments)
    assert status == 0, (arguments, document)
    return document


def holding(folder: Path, word: str) -> list[str]:
    """Return the files below a folder that hold a word, in UTF-8 or UTF-16, in any case of its letters."""
    needles = (word.lower().encode(), word.lower().encode("utf-16-le"))
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes().lower() for needle in needles)
    )


@pytest.fixture
def selo(capsys: pytest.CaptureFixture[str]) -> Iterator[Selo]:
    """The command; its database and Dagster's are what the settings say."""
    registry.cache_clear()
    process_settings.cache_clear()
    yield Selo(capsys)
    registry.cache_clear()


def open_home(monkeypatch: pytest.MonkeyPatch, *, pseudonymous: bool) -> Path:
    monkeypatch.setenv("SELO_PSEUDONYMOUS_KEYS", str(int(pseudonymous)))
    process_settings.cache_clear()
    settings = process_settings()
    prepare_home(settings)
    store = Store(settings.store_url)
    upgrade(store)
    store.close()
    return settings.home


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pseudonymous", [True, False])
def test_no_byte_of_the_secret_is_left_in_any_file_and_with_pseudonymous_keys_none_of_the_id(
    selo: Selo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pseudonymous: bool
) -> None:
    home = open_home(monkeypatch, pseudonymous=pseudonymous)
    lived(selo, tmp_path)
    assert "selo.db" in holding(home, SECRET)
    assert "selo.db" in holding(home, WHO)
    ran = [path for path in (home / "dagster" / "history" / "runs").glob("*.db") if path.name != "index.db"]
    assert len(ran) > 5, "Dagster has run nothing"
    document = done(selo, "erase", WHO)
    assert document["verified"] is True
    expected = {"messages", "memories", "reflections", "mantras", "goals", "reflection_one_offs", "reflection_pauses"}
    assert expected <= document["deleted"].keys()
    assert holding(home, SECRET) == []
    with_the_id = holding(home, WHO)
    if pseudonymous:
        assert with_the_id == []
    else:
        assert all(path.startswith("dagster/") for path in with_the_id)
        assert json.loads(document["report"])["report"]["id_is_partition_key"] is True
    assert "selo.db" in holding(home, "quiet")
    assert done(selo, "show", "ben")["reflections"]
    # Neither a look that goes wrong nor a second ingest brings anything back.
    assert selo.json("why", WHO)[0] == 2
    assert selo.json("ingest", str(tmp_path / "people.jsonl"))[1]["rejected_total"] == 6
    done(selo, "night", *NOW)
    assert holding(home, SECRET) == []
    assert not pseudonymous or holding(home, WHO) == []


@pytest.mark.timeout(300)
@pytest.mark.postgres
def test_no_byte_of_the_secret_or_the_id_is_left_in_a_dump(
    selo: Selo, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    home = open_home(monkeypatch, pseudonymous=True)
    lived(selo, tmp_path)
    before = dump(postgres_url)
    assert SECRET in before
    assert WHO in before
    document = done(selo, "erase", WHO)
    assert document["verified"] is True
    after = dump(postgres_url)
    assert SECRET not in after
    assert WHO not in after
    assert "quiet" in after
    assert json.loads(document["report"])["report"]["person"] in after
    assert holding(home, SECRET) == holding(home, WHO) == []


def dump(address: str) -> str:
    """Return what pg_dump writes, in lower case."""
    url = make_url(address)
    where = ("-h", str(url.host), "-p", str(url.port), "-U", str(url.username), str(url.database))
    ran = subprocess.run([find_binaries() / "pg_dump", *where], capture_output=True, check=True, text=True)
    return ran.stdout.lower()
