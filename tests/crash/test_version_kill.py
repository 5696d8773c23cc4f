"""Kill -9 while reflections are made again: either no new version or exactly one, and one that holds."""

from __future__ import annotations

import itertools
import time
from random import Random

import pytest
from sqlalchemy import select

from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.tables import reflection_head_moves, reflection_sources, reflections
from selo_dagster.store.engine import Store
from tests.crash.ledger import due_people, until_leases_end
from tests.crash.processes import FULL, Calls, worker
from tests.support.fakes import NOW, run_cohort

pytestmark = [pytest.mark.crash, pytest.mark.postgres]

KILLS = 20 if FULL else 2
PEOPLE = 24
SLOW_S = 0.02
TAKES_S = PEOPLE * SLOW_S / 4
"""About as long as a worker needs for everybody, four at a time."""


@pytest.mark.timeout(600 if FULL else 120)
def test_r2_whoever_is_killed_while_versions_are_made_leaves_no_half_of_one(
    store: Store, postgres_url: str, calls: Calls
) -> None:
    """R2: kill at any point: either no new version or exactly one, and the head is the one that the ledger names."""
    random = Random(7)
    names = due_people(store, (f"p{number:02}" for number in range(PEOPLE)))
    run_cohort(store)
    for version in range(2, 2 + KILLS):
        place(store, DAILY, Wish(f"again-{version}", tuple(names), NOW.replace(day=22).date(), force=True), NOW, 3)
        with worker(postgres_url, f"victim-{version}", calls, slow_s=SLOW_S) as victim:
            victim.said("READY")
            time.sleep(random.uniform(0, TAKES_S))  # not a wait for anything: the moment of the kill
            victim.kill()
        _check(store, names, {version - 1, version})
        until_leases_end(store)
        with worker(postgres_url, f"next-{version}", calls) as last:
            last.settled()
        _check(store, names, {version})


def _check(store: Store, names: list[str], newest: set[int]) -> None:
    """Everybody has all versions up to one of `newest`, that one holds, and what was decided says so."""
    with store.read() as connection:
        rows = {row.user_id: row for row in connection.execute(select(ledger))}
        made = connection.execute(select(reflections).order_by(reflections.c.user_id, reflections.c.version)).all()
        moves = connection.execute(select(reflection_head_moves).order_by(reflection_head_moves.c.id)).all()
        read = set(connection.execute(select(reflection_sources.c.reflection_id)).scalars())
    assert read == {one.id for one in made}
    for name in names:
        theirs = [one for one in made if one.user_id == name]
        assert [one.version for one in theirs] == list(range(1, len(theirs) + 1))
        assert len(theirs) in newest
        assert [one.head for one in theirs] == [False] * (len(theirs) - 1) + [True]
        assert [one.parents for one in theirs[1:]] == [[one.id] for one in theirs[:-1]]
        assert rows[name].reflection_id == theirs[-1].id
        decided = [(one.reflection_id, one.former_id) for one in moves if one.user_id == name]
        assert decided == [(after.id, before.id) for before, after in itertools.pairwise(theirs)]
