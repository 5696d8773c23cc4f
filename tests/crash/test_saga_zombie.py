"""Two executors forced onto the same sagas: the one that slept past its lease commits nothing any more."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.store.engine import Store
from tests.crash.processes import FULL
from tests.crash.saga_processes import (
    ask_for,
    check_compensated,
    check_completed,
    finish,
    saga_worker,
    turn,
    until_free,
)

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(600)]

ROUNDS = 10 if FULL else 2
SAGAS = 20 if FULL else 5
"""Rounds by sagas: 200 times two executors on one saga in the full form, half of them on the way back."""


@pytest.mark.parametrize("direction", [FORWARD, COMPENSATE])
def test_whoever_slept_past_its_lease_commits_nothing(
    store: Store, postgres_url: str, tmp_path: Path, direction: str
) -> None:
    ids: list[str] = []
    for number in range(ROUNDS // 2 if FULL else ROUNDS):
        new = ask_for(store, [f"p{number}-{one}" for one in range(SAGAS)])
        ids += new
        if direction == COMPENSATE:
            assert finish(postgres_url, FORWARD, tmp_path) == SAGAS
            turn(store, new)
        # After the claim, or after one of the steps: outside any transaction, so that nobody has to wait for it.
        place = str(1 + number % 3)
        with saga_worker(postgres_url, direction, "--sleep-at", place, folder=tmp_path) as sleeper:
            if place != "1":
                sleeper.said("READY")
            sleeper.said("ASLEEP")
            until_free(store)
            assert finish(postgres_url, direction, tmp_path) == SAGAS
            sleeper.signal(signal.SIGCONT)
            if place == "1":
                sleeper.said("READY")
            assert int(sleeper.said("ENDED")) == 0
        if direction == FORWARD:
            check_completed(store, ids)
        else:
            check_compensated(store, ids)
