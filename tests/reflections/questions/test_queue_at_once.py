"""Several callers who ask for a person's next question at the same moment, on PostgreSQL: they take turns."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from selo_dagster.reflections.questions.queue import listed, next_question, skip
from selo_dagster.store.engine import Store
from tests.crash.processes import until
from tests.reflections.questions.test_queue import delivered, distinct, queue
from tests.support.fakes import NOW, add_person
from tests.support.locks import waiting_for_a_lock

pytestmark = pytest.mark.postgres

LATER = NOW + timedelta(days=3)


@pytest.fixture
def ana(postgres_url: str) -> Iterator[Store]:
    """Ana, without a question."""
    store = Store(postgres_url)
    add_person(store, "ana")
    yield store
    store.close()


def test_two_callers_at_once_get_one_question(ana: Store) -> None:
    queue(ana, distinct(0), distinct(1))
    with ThreadPoolExecutor(1) as other:
        with ana.write() as connection:
            first = next_question(connection, "ana", LATER)
            second = other.submit(delivered, ana, 3)
            until(lambda: waiting_for_a_lock(ana) == 1, "the second waits for its turn")
        assert first is not None
        assert second.result(30) == first
    with ana.read() as connection:
        assert [one["state"] for one in listed(connection, "ana", limit=9)] == ["delivered", "pending"]


def test_whoever_asks_while_the_first_is_being_skipped_gets_the_one_behind_it(ana: Store) -> None:
    first, second = queue(ana, distinct(0), distinct(1))
    with ThreadPoolExecutor(1) as other:
        with ana.write() as connection:
            skip(connection, first, LATER)
            asked = other.submit(delivered, ana, 3)
            until(lambda: waiting_for_a_lock(ana) == 1, "the other waits for the skipped one")
        given = asked.result(30)
    assert given is not None
    assert given.id == second
