"""Small sagas over the project's own tables that fail as they are told, and a room that carries them out here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, insert, select, update

from selo_dagster.clock import FixedClock
from selo_dagster.people.goals import ACTIVE, CANCELLED, goals
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.carrying import put_off
from selo_dagster.sagas.claim import claim, claimable_count, take_back_expired
from selo_dagster.sagas.definition import Compensation, Retry, Saga, Step
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.engine import Report, Tools
from selo_dagster.sagas.given import Done, Effect, Given, RefusedError, TransientError
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.start import Started, start
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import saga_alerts, saga_attempts, saga_interventions, saga_locks, saga_steps, sagas
from selo_dagster.sagas.undo import undo_step
from selo_dagster.sagas.verdict import verdict
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.support.fakes import NOW, add_person

SECRET = "xyzzy-planted-secret-4711"
ALWAYS = 99


class Model(BaseModel):
    """Frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Wanted(Model):
    """How a saga is to go wrong. fail_at: step → how; times: for how many tries; undo_fail_at: likewise, going back."""

    fail_at: dict[str, str] = {}
    times: int = ALWAYS
    undo_fail_at: dict[str, str] = {}
    undo_times: int = ALWAYS
    note: str = ""


class Seen(Model):
    """What a step saw of the one before it."""

    before: str = ""
    wanted: Wanted


class Made(Model):
    """The goal that a step made."""

    goal_id: str


class Kept(Model):
    """What a step leaves for its undo: its goal, and how that is to go."""

    goal_id: str
    fail: str = ""
    times: int = 0


class Looked(Model):
    """How many goals a person has."""

    goals: int


class Passed(Model):
    """Takes whatever comes before."""

    wanted: Wanted
    goals: int = 0


class Input(Model):
    """What a test saga is started with."""

    wanted: Wanted = Wanted()


class Stranger(Model):
    """What no step declares."""

    other: int = 0


def tries(given: Given, column: str) -> int:
    """Return how often a step was tried before: a savepoint takes back everything else that a handler could count."""
    found = given.connection.execute(
        select(saga_steps.c[column]).where(
            saga_steps.c.saga_id == given.saga_id,
            saga_steps.c.generation == given.generation,
            saga_steps.c.step == given.step,
        )
    ).scalar()
    return int(found or 0)


def go_wrong(how: str) -> None:
    """Raise what a word stands for."""
    if how == "refused":
        raise RefusedError(SECRET)
    if how == "transient":
        raise TransientError(SECRET)
    if how == "connection":
        raise ConnectionError(SECRET)
    if how == "error":
        raise ValueError(SECRET)


def look(given: Given, wanted: Passed) -> Looked:
    """Count a person's goals."""
    if "look" in wanted.wanted.fail_at and tries(given, "attempts") < wanted.wanted.times:
        go_wrong(wanted.wanted.fail_at["look"])
    found = given.connection.execute(select(func.count()).where(goals.c.user_id == given.user_id)).scalar_one()
    return Looked(goals=int(found))


def look_and_report(given: Given, wanted: Passed) -> Done:
    """Look, and claim to have changed something."""
    return Done(look(given, wanted), effects=(Effect("goals", 0, 1),))


def make(given: Given, seen: Seen) -> Any:
    """Insert a goal with a new id each time: what is done twice is there twice. Then fail as told."""
    goal_id = uuid4().hex
    given.connection.execute(
        insert(goals).values(
            id=goal_id,
            user_id=given.user_id,
            title=given.step,
            description=given.token,
            origin=given.saga_id,
            priority=0.5,
            state=ACTIVE,
            created_at=given.now,
        )
    )
    wanted = seen.wanted
    how = wanted.fail_at.get(given.step, "") if tries(given, "attempts") < wanted.times else ""
    go_wrong(how)
    made = Made(goal_id=goal_id)
    kept = Kept(goal_id=goal_id, fail=wanted.undo_fail_at.get(given.step, ""), times=wanted.undo_times)
    effect = Effect(f"goals:{goal_id}", seen.before or None, 1)
    answers: dict[str, Any] = {
        "mute": None,
        "stranger": Stranger(),
        "unrecorded": Done(made),
        "misrecorded": Done(made, undo=Stranger()),
        "unkept": Done(made, undo=kept, effects=(Effect("goals", given.now, None),)),
        "nul": Done(Made(goal_id=f"{goal_id[:8]}\x00"), undo=kept),
    }
    return answers.get(how, Done(made, undo=kept, effects=(effect,)))


def cancel(given: Given, kept: Kept) -> None:
    """Cancel the goal and number it in the order of the saga's undos. Then fail as told."""
    before = given.connection.execute(
        select(func.count()).where(goals.c.origin == given.saga_id, goals.c.state == CANCELLED)
    ).scalar_one()
    given.connection.execute(
        update(goals)
        .where(goals.c.id == kept.goal_id, goals.c.state == ACTIVE)
        .values(state=CANCELLED, version=int(before) + 2)
    )
    if tries(given, "undo_attempts") < kept.times:
        go_wrong(kept.fail)


def turn(given: Given, seen: Seen) -> Done:
    """Make a goal, with no way back."""
    done = make(given, seen)
    return Done(done.output, effects=done.effects) if isinstance(done, Done) else Done(done)


RETRY = Retry(attempts=3, base_s=2.0, cap_s=60.0)
UNDO_RETRY = Retry(attempts=3, base_s=4.0, cap_s=60.0)


def effect(name: str, *, before: str = "", after: tuple[str, ...] = (), **changes: Any) -> Step:
    """Return a step that makes a goal and can cancel it. before: the step whose goal it is given."""
    takes = {"wanted": "input.wanted"} | ({"before": f"{before}.goal_id"} if before else {})
    values: dict[str, Any] = {
        "name": name,
        "says": f"makes the goal {name}",
        "kind": "effect",
        "action": make,
        "input": Seen,
        "output": Made,
        "takes": takes,
        "after": after,
        "records": Kept,
        "compensation": Compensation(handler=cancel, accepts=Kept, retry=UNDO_RETRY),
        "retry": RETRY,
    }
    return Step(**{**values, **changes})


def one_way(name: str, kind: str, *, before: str = "", after: tuple[str, ...] = (), **changes: Any) -> Step:
    """Return a pivot or a retriable step."""
    return effect(
        name,
        before=before,
        after=after,
        **{"kind": kind, "action": turn, "records": None, "compensation": None, **changes},
    )


def reading(name: str = "look", **changes: Any) -> Step:
    """Return a step that looks."""
    values: dict[str, Any] = {
        "name": name,
        "says": "counts goals",
        "kind": "read",
        "action": look,
        "input": Passed,
        "output": Looked,
        "takes": {"wanted": "input.wanted"},
        "retry": RETRY,
    }
    return Step(**{**values, **changes})


def saga_of(name: str, *steps: Step, **changes: Any) -> Saga:
    """Return a test saga of these steps."""
    values: dict[str, Any] = {
        "name": name,
        "version": 1,
        "says": "Is tried out.",
        "input": Input,
        "steps": steps,
        "deadline_s": 86_400.0,
    }
    return Saga(**{**values, **changes})


LINE = saga_of(
    "test_line", reading(), effect("one", after=("look",)), effect("two", before="one"), effect("three", before="two")
)
DIAMOND = saga_of(
    "test_diamond",
    effect("root"),
    effect("left", before="root"),
    effect("right", before="root"),
    effect("tip", before="left", after=("right",)),
)
FORKED = saga_of("test_forked", effect("root"), effect("left", before="root"), effect("right", before="root"))
PIVOTED = saga_of(
    "test_pivoted", effect("one"), one_way("turn", "pivot", before="one"), one_way("last", "retriable", before="turn")
)
STRICT = saga_of("test_strict", effect("one"), duplicates="reject")
AGAIN = saga_of("test_again", effect("one"), effect("two", before="one"), generations=3)
ALL = (LINE, DIAMOND, FORKED, PIVOTED, STRICT, AGAIN)
REGISTRY = Registry({(saga.name, saga.version): saga for saga in ALL})


@dataclass
class Room:
    """Starts, claims and carries out sagas of people, as runs of Dagster would."""

    store: Store
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    random: Random = field(default_factory=lambda: Random(7))
    chunk: int = 50

    def __post_init__(self) -> None:
        """Let Ana be there."""
        add_person(self.store, "ana")

    @property
    def tools(self) -> Tools:
        """What the engine is given."""
        return Tools(self.store, self.clock, self.random, chunk=self.chunk)

    def people(self, number: int) -> list[str]:
        """Add p00, p01 …"""
        names = [f"p{index:02}" for index in range(number)]
        for name in names:
            add_person(self.store, name)
        return names

    def ask(self, saga: Saga, user: str = "ana", key: str | None = None, **wanted: Any) -> Started:
        """Ask for a saga that goes wrong as wanted."""
        with self.store.write() as connection:
            return start(
                connection,
                saga,
                user_id=user,
                key=key or uuid4().hex,
                given={"wanted": wanted},
                now=self.clock.now(),
                new_id=lambda: uuid4().hex,
            )

    def start(self, saga: Saga, user: str = "ana", **wanted: Any) -> str:
        """Ask for a saga; returns its id."""
        return self.ask(saga, user, **wanted).id

    def claim(
        self,
        saga: Saga,
        direction: str = FORWARD,
        run_id: str = "run-1",
        *,
        limit: int = 100,
        lease_s: float = 60.0,
        alone: bool = False,
        ids: Sequence[str] | None = None,
    ) -> list[Token]:
        """Claim what a run would."""
        with self.store.write() as connection:
            return claim(
                connection,
                saga,
                direction,
                run_id=run_id,
                now=self.clock.now(),
                lease_s=lease_s,
                limit=limit,
                ids=ids,
                alone=alone,
            )

    def claimable(self, saga: Saga, direction: str = FORWARD) -> int:
        """Return how many could be claimed."""
        with self.store.read() as connection:
            return claimable_count(connection, saga, direction, self.clock.now())

    def step(self, saga: Saga, name: str, tokens: Sequence[Token], run_id: str = "run-1") -> Report:
        """Carry one step out, and let those wait that failed for a passing reason."""
        report = forward_step(self.tools, saga, saga.step(name), tokens, run_id)
        put_off(self.tools, tokens, run_id, report)
        return report

    def forward(self, saga: Saga, run_id: str = "run-1", *, limit: int = 100) -> dict[str, Report]:
        """Claim a cohort and carry it forward, as the ops of a run do."""
        tokens = self.claim(saga, FORWARD, run_id, limit=limit)
        return {step.name: self.step(saga, step.name, tokens, run_id) for step in saga.order}

    def undo(self, saga: Saga, name: str, tokens: Sequence[Token], run_id: str = "run-1") -> Report:
        """Undo one step."""
        return undo_step(self.tools, saga, saga.step(name), tokens, run_id)

    def judge(self, saga: Saga, tokens: Sequence[Token], run_id: str = "run-1") -> dict[str, int]:
        """Say what the way back came to."""
        return dict(verdict(self.tools, saga, tokens, run_id))

    def back(self, saga: Saga, run_id: str = "run-back", *, limit: int = 100) -> dict[str, int]:
        """Claim a cohort and carry it back, as the ops of a run do; returns the verdict."""
        tokens = self.claim(saga, COMPENSATE, run_id, limit=limit)
        for step in reversed(saga.order):
            self.undo(saga, step.name, tokens, run_id)
        return self.judge(saga, tokens, run_id)

    def work_off(self, saga: Saga, rounds: int = 50) -> int:
        """Run both directions until nothing is left to be claimed, however late; returns the number of runs."""
        for number in range(rounds):
            if self.claimable(saga, COMPENSATE):
                self.back(saga, f"run-{number}-back")
            elif self.claimable(saga):
                self.forward(saga, f"run-{number}")
            else:
                waiting = [row.next_attempt_at for row in self.rows() if row.next_attempt_at is not None]
                if not waiting or max(waiting) <= self.clock.now():
                    return number
                self.clock.instant = max(waiting)
        raise AssertionError("it does not come to an end")

    def expire(self) -> int:
        """Let every lease run out and take the sagas back."""
        with self.store.write() as connection:
            connection.execute(
                update(sagas).where(sagas.c.lease_until.is_not(None)).values(lease_until=database_now(-1))
            )
            return take_back_expired(connection)

    def desk(self, connection: Any, actor: str = "olga", because: str = "it is right") -> Desk:
        """Return the operator's desk."""
        return Desk(
            connection, self.clock.now(), lambda name, version: REGISTRY.by_version[name, version], actor, because
        )

    def act(self, action: str, saga_id: str, *more: str) -> tuple[str, bool]:
        """Do one act at the desk; returns (state, whether anything changed)."""
        with self.store.write() as connection:
            acted = getattr(self.desk(connection), action)(saga_id, *more)
        return acted.state, acted.changed

    def rows(self) -> list[Any]:
        """Return all sagas in the order of their places."""
        with self.store.read() as connection:
            return list(connection.execute(select(sagas).order_by(sagas.c.place)))

    def row(self, saga_id: str) -> Any:
        """Return one saga."""
        with self.store.read() as connection:
            return connection.execute(select(sagas).where(sagas.c.id == saga_id)).one()

    def state(self, saga_id: str) -> str:
        """Return a saga's state."""
        return str(self.row(saga_id).state)

    def steps(self, saga_id: str, generation: int | None = None) -> dict[str, str]:
        """Return the state of each step of the present generation."""
        return {name: row.state for name, row in self.step_rows(saga_id, generation).items()}

    def step_rows(self, saga_id: str, generation: int | None = None) -> dict[str, Any]:
        """Return the row of each step of the present generation."""
        wanted = self.row(saga_id).generation if generation is None else generation
        with self.store.read() as connection:
            rows = connection.execute(
                select(saga_steps).where(saga_steps.c.saga_id == saga_id, saga_steps.c.generation == wanted)
            )
            return {row.step: row for row in rows}

    def effects(self, saga_id: str, state: str = ACTIVE) -> list[str]:
        """Return the titles of the goals that a saga made and that are in a state."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(goals.c.title).where(goals.c.origin == saga_id, goals.c.state == state).order_by(goals.c.title)
            )
            return list(rows.scalars())

    def undone(self, saga_id: str) -> list[str]:
        """Return the steps whose goals were cancelled, in the order in which they were."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(goals.c.title)
                .where(goals.c.origin == saga_id, goals.c.state == CANCELLED)
                .order_by(goals.c.version)
            )
            return list(rows.scalars())

    def tokens(self, saga_id: str) -> list[str]:
        """Return the tokens under which a saga's goals were made."""
        with self.store.read() as connection:
            rows = connection.execute(select(goals.c.description).where(goals.c.origin == saga_id))
            return sorted(rows.scalars())

    def attempts(self, saga_id: str) -> list[tuple[str, str, str]]:
        """Return what is remembered of tries that did not end well: (step, direction, outcome)."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(saga_attempts).where(saga_attempts.c.saga_id == saga_id).order_by(saga_attempts.c.id)
            )
            return [(row.step, row.direction, row.outcome) for row in rows]

    def alerts(self, saga_id: str, *, resolved: bool = False) -> list[str]:
        """Return the codes of a saga's alerts that are open, or of those that are settled."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(saga_alerts.c.code)
                .where(
                    saga_alerts.c.saga_id == saga_id,
                    saga_alerts.c.resolved_at.is_not(None) if resolved else saga_alerts.c.resolved_at.is_(None),
                )
                .order_by(saga_alerts.c.id)
            )
            return list(rows.scalars())

    def interventions(self, saga_id: str) -> list[tuple[str, str, str, str, str]]:
        """Return what people did to a saga: (action, actor, because, before, after)."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(saga_interventions)
                .where(saga_interventions.c.saga_id == saga_id)
                .order_by(saga_interventions.c.id)
            )
            return [(row.action, row.actor, row.because, row.before, row.after) for row in rows]

    def locks(self) -> dict[str, str]:
        """Return whose saga is under way: person → saga."""
        with self.store.read() as connection:
            return {row.user_id: row.saga_id for row in connection.execute(select(saga_locks))}

    def later(self, **time: float) -> None:
        """Let the domain's time pass."""
        self.clock.advance(timedelta(**time))


def dump(store: Store) -> Iterator[str]:
    """Yield every value that the journal shows: all but the private columns."""
    private = {"input", "output", "undo"}
    with store.read() as connection:
        for table in (sagas, saga_steps, saga_attempts, saga_alerts, saga_interventions):
            for row in connection.execute(select(*[column for column in table.c if column.name not in private])):
                yield repr(tuple(row))
