"""What the books say: how far a night is, what was taken over, and what must hold whoever was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import dagster as dg
from sqlalchemy import func, or_, select

from selo_dagster.people.evolution_tables import persona_evolutions
from selo_dagster.people.goals import goals
from selo_dagster.reflections.claim import LOST
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.states import CLAIMED, DONE, SETTLED
from selo_dagster.reflections.tables import mantras, reflection_attempts, reflection_ledger, reflections
from selo_dagster.sagas.notices import companion_notices
from selo_dagster.sagas.states import COMPLETED, ENDED
from selo_dagster.sagas.tables import saga_locks, sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.crash.saga_processes import NOTICE
from tests.hosts.installation import Installation
from tests.hosts.people import OLD

ledger = reflection_ledger
MADE: Final = ("daily", "mantra", "relationship_questions")
"""What everybody is owed for one day, with a row of its own for what was made."""

UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def counted(store: Store, counting: Any) -> int:
    """Return one number."""
    with store.read() as connection:
        return int(connection.execute(counting).scalar_one())


def rows(store: Store, *conditions: Any) -> int:
    """Return how many obligations are like that."""
    return counted(store, select(func.count()).select_from(ledger).where(*conditions))


def lost_attempts(store: Store) -> int:
    """Return how many attempts were taken from a run whose lease had ended."""
    return counted(store, select(func.count()).where(reflection_attempts.c.outcome == LOST))


def takeovers(store: Store) -> int:
    """Return how many claims on sagas were taken back."""
    return counted(store, select(func.coalesce(func.sum(sagas.c.takeovers), 0)))


def held(store: Store) -> tuple[int, int]:
    """Return how many obligations and how many sagas runs hold."""
    of_sagas = select(func.count()).select_from(sagas).where(sagas.c.lease_until.is_not(None))
    return rows(store, ledger.c.state == CLAIMED), counted(store, of_sagas)


def is_over(installation: Installation, people: int) -> bool:
    """Tell whether everybody has what they are owed and every saga has ended."""
    store = installation.store
    return (
        all(rows(store, ledger.c.kind == kind, ledger.c.state.in_(SETTLED)) == people for kind in MADE)
        and rows(store, ledger.c.state.not_in(SETTLED)) == 0
        and counted(store, select(func.count()).select_from(sagas).where(sagas.c.state.not_in(ENDED))) == 0
    )


def runs_under_way(installation: Installation) -> int:
    """Return how many runs Dagster takes for alive or waiting."""
    return installation.instance.get_runs_count(dg.RunsFilter(statuses=UNDER_WAY))


def late_leases(store: Store) -> int:
    """Return how many obligations and sagas are held under a lease that has ended."""
    late = counted(store, select(func.count()).select_from(sagas).where(sagas.c.lease_until < database_now()))
    return late + rows(store, ledger.c.state == CLAIMED, ledger.c.lease_until < database_now())


def how_far(installation: Installation) -> str:
    """Say what is there, for whoever reads why a test waited in vain."""
    with installation.store.read() as connection:
        states = connection.execute(
            select(ledger.c.kind, ledger.c.state, func.count()).group_by(*ledger.c["kind", "state"])
        )
        journal = connection.execute(
            select(sagas.c.type, sagas.c.state, func.count()).group_by(*sagas.c["type", "state"])
        )
        found = [tuple(row) for row in (*states, *journal)]
    runs = installation.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    return f"{found} {[(run.job_name, run.status.value) for run in runs]}"


def check_nothing_is_lost_or_doubled(installation: Installation, people: Sequence[str], notices: Sequence[str]) -> None:
    """Everybody has each of what they are owed once, with what follows from it once. notices: sagas that tell."""
    store = installation.store
    everybody = sorted(people)
    with store.read() as connection:

        def read(*what: Any, where: Any = None) -> list[Any]:
            chosen = select(*what) if where is None else select(*what).where(where)
            return list(connection.execute(chosen).all())

        for kind in MADE:
            done = read(ledger.c.user_id, where=(ledger.c.kind == kind) & (ledger.c.state == DONE))
            assert sorted(row.user_id for row in done) == everybody, kind
        made = read(reflections, where=(reflections.c.kind == "daily") & ~reflections.c.id.endswith(OLD))
        assert sorted((row.user_id, row.version) for row in made) == [(name, 1) for name in everybody]
        assert sorted(row.user_id for row in read(mantras.c.user_id)) == everybody
        asked = read(relationship_questions.c.user_id, where=relationship_questions.c.ledger_id.is_not(None))
        assert sorted(row.user_id for row in asked) == everybody
        ended_well = Counter(
            row.ledger_id for row in read(reflection_attempts.c.ledger_id, where=reflection_attempts.c.outcome == DONE)
        )
        assert set(ended_well.values()) == {1}, "one obligation was done by two attempts"
        tried = {row.outcome for row in read(reflection_attempts.c.outcome)}
        assert tried <= {DONE, "unchanged", LOST, "released", "failed"}
        # What follows from each daily: one evolution and one goal, each by one saga.
        journal = Counter((row.type, row.state) for row in read(sagas.c.type, sagas.c.state))
        assert {state for _, state in journal} == {COMPLETED}, journal
        assert journal[("persona_evolution", COMPLETED)] == journal[("goal_creation", COMPLETED)] == len(everybody)
        assert sorted(row.user_id for row in read(persona_evolutions.c.user_id)) == everybody
        assert sorted(row.user_id for row in read(goals.c.user_id)) == everybody
        tokens = sorted(f"{saga_id}/1/post_notice/forward" for saga_id in notices)
        assert journal[(NOTICE, COMPLETED)] == len(tokens)
        assert sorted(row.notice for row in read(companion_notices.c.notice)) == tokens
        held_still = read(sagas.c.id, where=sagas.c.lease_until.is_not(None))
        locked = read(saga_locks.c.user_id)
    assert sorted(installation.notices.told) == tokens, "told twice, or never"
    assert (held_still, locked) == ([], [])
    assert rows(store, or_(ledger.c.state == CLAIMED, ledger.c.lease_until > database_now())) == 0


def by_machine(installation: Installation) -> dict[str, int]:
    """Return how many calls of the model came from each machine."""
    names = {machine.address: machine.name for machine in (installation.a, installation.b)}
    return dict(Counter(names[one.client] for one in installation.model.requests))
