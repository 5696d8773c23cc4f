"""Kill -9 at every journal write of a saga, forward and back: nothing lost, nothing doubled, no untrue end."""

from __future__ import annotations

import logging
from itertools import count
from pathlib import Path

import pytest

from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.store.engine import Store
from tests.crash.processes import FULL
from tests.crash.saga_processes import (
    ask_for,
    check_compensated,
    check_completed,
    died,
    finish,
    saga_worker,
    turn,
    until_free,
)

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(600)]
log = logging.getLogger(__name__)

SAGAS = 3
"""In one cohort: the others must not suffer either."""


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_at_each_commit_on_the_way_forward_every_effect_is_there_once(
    store: Store, postgres_url: str, tmp_path: Path, where: str
) -> None:
    ids: list[str] = []
    for number in count(1):
        new = ask_for(store, [f"{where}-{number}-{one}" for one in range(SAGAS)])
        ids += new
        with saga_worker(postgres_url, FORWARD, "--kill-at", str(number), "--where", where, folder=tmp_path) as worker:
            killed = died(worker)
        until_free(store)
        if killed and finish(postgres_url, FORWARD, tmp_path) == 0:
            # Killed after the commit that ended them: there was nothing left to do.
            log.info("killed %s commit %d, which was the last", where, number)
        check_completed(store, ids)
        if not killed:
            break
    assert number == 5, "claim and three steps are four commits"


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_at_each_commit_on_the_way_back_everything_is_undone_once(
    store: Store, postgres_url: str, tmp_path: Path, where: str
) -> None:
    ids: list[str] = []
    for number in count(1):
        new = ask_for(store, [f"{where}-{number}-{one}" for one in range(SAGAS)])
        ids += new
        assert finish(postgres_url, FORWARD, tmp_path) == SAGAS
        turn(store, new)
        with saga_worker(
            postgres_url, COMPENSATE, "--kill-at", str(number), "--where", where, folder=tmp_path
        ) as worker:
            killed = died(worker)
        until_free(store)
        if killed:
            finish(postgres_url, COMPENSATE, tmp_path)
        check_compensated(store, ids)
        if not killed:
            break
        if not FULL and number == 3:
            return
    assert number == 6, "claim, three undos and the verdict are five commits"
