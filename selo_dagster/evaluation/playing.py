"""Plays cases through the real path: real ingest, ledger and cohorts, a clock that is set, a store of their own."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final

from sqlalchemy import Connection, delete, func, select

from selo_dagster.clock import FixedClock
from selo_dagster.errors import SeloError
from selo_dagster.evaluation.asked import Heard, Listening
from selo_dagster.evaluation.case import Case, Forget, Merge
from selo_dagster.evaluation.timeline import Tick, ticks
from selo_dagster.llm.breaker import breaker_of
from selo_dagster.llm.protocol import LanguageModel
from selo_dagster.memory.ingest import ingest
from selo_dagster.memory.tables import memories, messages
from selo_dagster.reflections.audits.audit import Merge as Proposed
from selo_dagster.reflections.audits.audit import Report
from selo_dagster.reflections.audits.store import apply, store_audit
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.due import lineage, ready_count
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.equipment import Tools
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.outage import asks, standing_now
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.states import DEFERRED, FAILED, REJECTED
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.reflections.tools import limits_for
from selo_dagster.sagas.forget import forget
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade

OpenModel = Callable[[Kind], LanguageModel]
"""Opens the model that serves a kind; it is closed at the end of each cohort."""

OnSettled = Callable[[Settlement], None]

PREFIX: Final = "selo-eval-"
SEED: Final = 20260301
ROUNDS: Final = 8
"""Runs of one kind at one look: an answer that was refused, a call that failed, are tried again like any other day."""

AGAIN_WITHIN: Final = timedelta(hours=6)
A_TICK: Final = timedelta(minutes=15)


@dataclass
class Played:
    """What was played. again: settlements of the second pass, for which nothing was new; gone: the server was."""

    store: Store
    heard: Heard
    settled: list[Settlement] = field(default_factory=list)
    again: list[Settlement] = field(default_factory=list)
    calls_again: int = 0
    gone: bool = False


@contextmanager
def temporary_store() -> Iterator[Store]:
    """Yield an empty store in a folder of its own, which is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        path = Path(folder) / "eval.db"
        path.write_bytes(_migrated())
        store = Store(f"sqlite:///{path}")
        try:
            yield store
        finally:
            store.close()


@lru_cache(maxsize=1)
def _migrated() -> bytes:
    """Return an empty database of this schema: an evaluation takes several, and a migration costs half a second."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        path = Path(folder) / "empty.db"
        store = Store(f"sqlite:///{path}")
        try:
            upgrade(store)
        finally:
            # The last connection that is closed leaves everything in the one file.
            store.close()
        return path.read_bytes()


def kinds_for(cases: Sequence[Case], *, every: bool = False) -> list[Kind]:
    """Return the kinds that these cases ask for, with those that they wait for, in the order of a night."""
    if every:
        return list(KINDS.values())
    wanted = {one.name for case in cases for expected in case.expects for one in lineage(KINDS[expected.kind])}
    return [kind for kind in KINDS.values() if kind.name in wanted]


@dataclass(frozen=True)
class Playing:
    """What is played with. settings: limits and slots as a run of this installation has them."""

    settings: Settings
    open_model: OpenModel
    on_settled: OnSettled


@dataclass
class Player:
    """Plays on one store."""

    store: Store
    given: Playing
    _chance: Random = field(default_factory=lambda: Random(SEED))  # noqa: S311 - ids and waits of what is thrown away
    _runs: int = 0

    def play(self, cases: Sequence[Case], kinds: Sequence[Kind]) -> Played:
        """Live through the cases day by day, then look a second time although nothing is new."""
        played = Played(self.store, Heard())
        days = ticks(cases)
        for day in days:
            self._arrive(day)
            if not self._night(kinds, day.at, played.heard, played.settled):
                played.gone = True
                return played
        if days:
            before = played.heard.calls
            # The next tick of a schedule: later, a week might end and rightly ask for its own.
            played.gone = not self._night(kinds, days[-1].at + A_TICK, played.heard, played.again)
            played.calls_again = played.heard.calls - before
        return played

    def _arrive(self, day: Tick) -> None:
        report = ingest(self.store, BytesIO(day.file))
        if report.rejected:
            number, reason = report.rejected[0]
            raise SeloError("bad_case", f"the store refuses a line of a case ({number} of {day.at:%Y-%m-%d}): {reason}")
        for case, deed in day.deeds:
            self._do(case, deed)

    def _do(self, case: Case, deed: Forget | Merge) -> None:
        with self.store.write() as connection:
            if isinstance(deed, Forget):
                if not _forgotten(connection, case, deed):
                    raise SeloError("bad_case", f"{case.id}: {deed.source} is deleted before it is there")
                return
            merge = Proposed(case.full(deed.keep), (case.full(deed.retire),), "same_content", 1.0)
            user_id = connection.execute(select(memories.c.user_id).where(memories.c.id == merge.keep)).scalar_one()
            report = Report(answers=2, tags={}, merges=(merge,))
            on = deed.at.date()
            audit = store_audit(connection, user_id=user_id, on=on, report=report, now=deed.at, new_id=self._new_id)
            apply(connection, audit, deed.at)

    def _night(self, kinds: Sequence[Kind], now: datetime, heard: Heard, settled: list[Settlement]) -> bool:
        """Do what is due, kind by kind; false: the model's server is gone."""
        for kind in kinds:
            clock = FixedClock(now)
            for _ in range(ROUNDS):
                look(self.store, kind, clock.now(), self.given.settings.catchup_days)
                if not self._ready(kind, clock):
                    break
                self._cohort(kind, clock, heard, settled)
                if asks(kind) and standing_now(self.store, self.given.settings).is_open:
                    return False
        return True

    def _ready(self, kind: Kind, clock: FixedClock) -> bool:
        """Tell whether there is something to do, now or once what failed is due again: then the clock is set to it."""
        with self.store.read() as connection:
            if ready_count(connection, kind, clock.now()):
                return True
            ledger = reflection_ledger.c
            again = connection.execute(
                select(func.max(ledger.ready_at)).where(
                    ledger.kind == kind.name,
                    ledger.state.in_((FAILED, REJECTED, DEFERRED)),
                    ledger.ready_at <= clock.now() + AGAIN_WITHIN,
                )
            ).scalar()
        if again is None:
            return False
        clock.instant = again
        return True

    def _cohort(self, kind: Kind, clock: FixedClock, heard: Heard, settled: list[Settlement]) -> None:
        self._runs += 1
        tools = Tools(
            store=self.store,
            model=Listening(self.given.open_model(kind), heard),
            clock=clock,
            random=self._chance,
            new_id=self._new_id,
            breaker=breaker_of(self.given.settings),
            redaction=self.given.settings.redact,
        )
        cohort = Cohort(
            kind, f"eval-{self._runs}", limits_for(self.given.settings, kind), tools, lambda _: None, by_hand=True
        )
        for batch in settlements(cohort):
            for one in batch:
                settled.append(one)
                self.given.on_settled(one)

    def _new_id(self) -> str:
        return f"{self._chance.getrandbits(128):032x}"


def _forgotten(connection: Connection, case: Case, deed: Forget) -> bool:
    """Delete a memory as `selo forget` does, a message as a companion's own program may; tells whether it was there."""
    what, _, name = deed.source.partition(":")
    if what == "message":
        return bool(connection.execute(delete(messages).where(messages.c.id == case.full(name))).rowcount)
    whose = select(memories.c.user_id).where(memories.c.id == case.full(name))
    user_id = connection.execute(whose).scalar()
    if user_id is None:
        return False
    forget(connection, user_id, case.full(name), actor="evaluation", because=f"the case {case.id}", now=deed.at)
    return True


def case_of(user_id: str) -> str:
    """Return the id of the case that somebody belongs to."""
    return user_id.partition(".")[0]


def refusals(played: Sequence[Played]) -> Counter[str]:
    """Return how often an answer was refused, by the codes."""
    return Counter(code for one in played for settled in one.settled for code in settled.codes)
