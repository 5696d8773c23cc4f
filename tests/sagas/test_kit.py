"""Every definition that there is comes through every scenario of the kit, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.testing import check
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.sagas.kit_cases import CASES, MORE, add_reflection, add_words
from tests.support.fakes import add_person
from tests.support.notice_server import NoticeServer

SAGAS = sorted(registry().by_version)


@pytest.fixture
def server(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[NoticeServer]:
    """The companion's own server, named in the settings beside the database."""
    with NoticeServer() as running:
        monkeypatch.setenv("SELO_NOTICE_URL", running.url)
        monkeypatch.setenv("DATABASE_URL", store_url)
        process_settings.cache_clear()
        yield running


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key", SAGAS, ids=[f"{name}-{version}" for name, version in SAGAS])
def test_every_definition_comes_through_every_scenario(
    store: Store, server: NoticeServer, key: tuple[str, int]
) -> None:
    add_person(store, "ana")
    add_reflection(store, "ana")
    add_words(store, "ana")
    world = CASES[key[0]](server)
    found = check(registry().by_version[key], store, "ana", world.pop("given"), **world)
    scenarios = {one.scenario for one in found}
    undoable = set() if registry().by_version[key].pivot else {"undo without do", "do after undo"}
    assert {"failure", "duplicate delivery", "paused zombie"} | undoable <= scenarios
    # The last trial of each row comes to no write any more; before it, every one was a death.
    writes = [one.write or 0 for one in found if one.scenario == "crash forward, before a write"]
    assert writes == list(range(1, len(writes) + 1))
    assert len(writes) > len(registry().by_version[key].steps) + 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("world", MORE)
def test_a_definition_comes_through_every_scenario_in_each_of_its_worlds(
    store: Store, server: NoticeServer, world: str
) -> None:
    add_person(store, "ana")
    name, case = MORE[world]
    given = case(server)
    assert check(registry().type(name), store, "ana", given.pop("given"), **given)
