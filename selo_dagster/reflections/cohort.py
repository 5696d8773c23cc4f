"""Works through everything that one run may claim: many people at a time, each committed on its own."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from selo_dagster.llm.budgets.calls import Tab
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.claim import Claim, begin_attempts, claim, release, take_back_expired, unbegin
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.equipment import CohortLimits, Tools
from selo_dagster.reflections.generate import Generated, Paid, generate
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.outage import Gate, Parked, Pass, gate_of
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.ready import Gathered, Preparing, Ready
from selo_dagster.reflections.retry import Failure, failure_of
from selo_dagster.reflections.settle import Cost, Nothing, Settlement, settle_unbegun
from selo_dagster.reflections.settling import Settling
from selo_dagster.reflections.spending import Purse, purse_of
from selo_dagster.reflections.standing import SourceGoneError
from selo_dagster.reflections.states import DEFERRED, Reason
from selo_dagster.reflections.traced import CohortSpans, tell_settled
from selo_dagster.reflections.transactions import Transactions
from selo_dagster.reflections.turns import Turns
from selo_dagster.tracing.spans import span

T = TypeVar("T")
log = logging.getLogger(__name__)

DATABASE_THREADS: Final = {"postgresql": 4, "sqlite": 1}
"""SQLite has one writer: more threads would only wait for each other."""

BEATS_A_LEASE: Final = 3
STOP_POLL_S: Final = 0.5
TASKS_A_CALL: Final = 2
"""People in hand for each call under way: while one is stored, another may already be asked for."""

PREPARED_AT_ONCE: Final = 2
"""Prompts that are built before whoever stands ready may begin again, unless more slots are free: none must wait until
those of a whole chunk are built."""

_FLOWING: Final = "flowing"
_DRY: Final = "dry"
"""Nothing more to claim but people who have to be alone."""
_EMPTY: Final = "empty"


@dataclass(frozen=True)
class _Begun:
    """What became of those who were to begin.

    tabs: of those for whom a budget pays; waiting: those for whom there may be room soon; settled: those for whom there
    is none today.
    """

    begun: frozenset[int]
    tabs: Mapping[int, Tab] = field(default_factory=dict)
    waiting: frozenset[int] = frozenset()
    settled: tuple[Settlement, ...] = ()


@dataclass
class Cohort:
    """One run's work. `sink` is called with each settlement, from the engine's own thread.

    held_back: asked before each claim, in a thread; true ends the run as if nothing more were due. So does a server
    that is gone, and a budget without room; by_hand: somebody is waiting, who may find out at once whether it is back.
    """

    kind: Kind
    run_id: str
    limits: CohortLimits
    tools: Tools
    sink: Callable[[Settlement], None]
    request_id: str | None = None
    held_back: Callable[[], bool] = lambda: False
    by_hand: bool = False
    _queue: deque[Ready] = field(default_factory=deque)
    _gathered: deque[Gathered] = field(default_factory=deque)
    _held: dict[int, Claim] = field(default_factory=dict)
    _supply: str = _FLOWING
    _stopping: bool = False
    _calling: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _under_way: set[asyncio.Future[Any]] = field(default_factory=set, repr=False)
    _threads: ThreadPoolExecutor = field(init=False, repr=False)
    _first: ThreadPoolExecutor = field(init=False, repr=False)
    _beats: ThreadPoolExecutor = field(init=False, repr=False)
    _spans: CohortSpans = field(init=False, repr=False)
    _gate: Gate = field(init=False, repr=False)
    _turns: Turns = field(init=False, repr=False)
    _purse: Purse = field(init=False, repr=False)
    _transactions: Transactions = field(init=False, repr=False)
    _preparing: Preparing = field(init=False, repr=False)
    _settling: Settling = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open what is kept for one run."""
        # After so many seconds a call that nobody heard of again is lost.
        lost_s = self.limits.person.person_s + self.limits.lease_s
        self._spans = CohortSpans(self.run_id, self.kind.name, self.tools.model.name)
        self._gate = gate_of(
            self.tools.breaker,
            self.tools.store,
            self.kind,
            self.run_id,
            probe_s=lost_s,
            at_once=self.by_hand,
            acceptance=self.tools.acceptance,
        )
        self._turns = Turns(self.limits.per_person)
        self._purse = purse_of(self.tools.budget, self.kind, lost_s)
        self._transactions = Transactions(self.tools.store, self.run_id, self.limits.lease_s, shared=self._purse.counts)
        self._preparing = Preparing(self.kind, self.limits, self.tools)
        self._settling = Settling(self.kind, self.tools, self._gate, self._purse, self._transactions)

    async def run(self) -> None:
        """Claim, reflect and commit until nothing is due, the deadline is near, or `stop` was called.

        Whatever was claimed and not worked on is released. Raises what the database raises: then the rows
        stay claimed, and their lease gives them to the next run.
        """
        with self._spans.cohort():
            await self._run()

    async def _run(self) -> None:
        deadline = self.tools.monotonic() + self.limits.run_s - self.limits.person.person_s
        threads = DATABASE_THREADS[self.tools.store.dialect]
        with (
            ThreadPoolExecutor(threads, thread_name_prefix="selo-database") as self._threads,
            ThreadPoolExecutor(1, thread_name_prefix="selo-first") as first,
            # Whatever the others wait for, the leases of what is in hand do not.
            ThreadPoolExecutor(1, thread_name_prefix="selo-beat") as self._beats,
        ):
            # What lets the next call begin must not queue behind what stores the last ones; SQLite has one writer.
            self._first = self._threads if threads == 1 else first
            beating = asyncio.create_task(self._beat())
            try:
                await self._work(deadline)
                await self._in_thread(self._transactions.patiently, self._release_rest)
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
                await self.tools.model.aclose()
                if self.tools.cheaper is not None:
                    await self.tools.cheaper.aclose()

    def stop(self) -> None:
        """Ask the engine to end: nothing more is begun, what is under way is cancelled and released."""
        self._stopping = True

    async def _work(self, deadline: float) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            while not self._stopping:
                self._changed.clear()
                # Whoever ended before that says so no more.
                _reap(running)
                if self.tools.monotonic() < deadline and await self._go_on(running):
                    continue
                if not running and not self._queue and not self._gathered:
                    if self._supply == _EMPTY or self.tools.monotonic() >= deadline:
                        return
                    continue
                if not running and self.tools.monotonic() >= deadline:
                    return
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), STOP_POLL_S)
                _reap(running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._let_end()

    async def _go_on(self, running: set[asyncio.Task[None]]) -> bool:
        """Begin what is at hand, then see to it that more is; says whether more may begin at once.

        In this order: a slot that is free must not wait until others were claimed.
        """
        begun = await self._begin(self._may_begin(running))
        running |= begun
        queued = len(self._queue)
        await self._refill(busy=bool(running))
        if self._gate.parked or self._purse.spent is not None:
            # Whatever is in hand stays held until it is released at the end.
            self._queue.clear()
            self._gathered.clear()
            self._supply = _EMPTY
        if self._gathered and self._short:
            return True
        moved = bool(begun) or len(self._queue) > queued
        return moved and bool(self._queue) and self._may_begin(running) > 0

    @property
    def _short(self) -> bool:
        """Whether fewer stand ready than may begin at once."""
        return len(self._queue) < self.limits.concurrency

    def _may_begin(self, running: set[asyncio.Task[None]]) -> int:
        return min(self._room(), TASKS_A_CALL * self.limits.concurrency - len(running))

    async def _let_end(self) -> None:
        """Wait for what was broken off on its way into the database: what it counts must not be given back."""
        for ended in await asyncio.gather(*self._under_way, return_exceptions=True):
            if isinstance(ended, BaseException):
                # Rolled back: its claim is released with the others.
                log.warning("what was broken off was not stored: %s", type(ended).__name__)

    def _room(self) -> int:
        """Return how many calls may begin: a slot is free when its call has ended, not when it is stored."""
        capacity = self.tools.model.capacity
        most = self.limits.concurrency if capacity is None else min(capacity, self.limits.concurrency)
        return self._gate.room(most) - self._calling

    async def _refill(self, *, busy: bool) -> None:
        """Claim the next chunk when the queue runs low; whoever must be alone waits until nobody is busy."""
        if self._gathered:
            if self._short:
                await self._prepare_some()
            return
        idle = not busy and not self._queue
        if self._gate.probing:
            if not idle:
                return
            # What was claimed came to nothing before any call.
            await self._in_first_thread(self._gate.give_back)
        if self._gate.careful and self._queue:
            return
        if idle and self._supply == _DRY:
            await self._claim_chunk(alone=True)
            if not self._queue:
                self._supply = _EMPTY
        elif self._supply == _FLOWING and self._short:
            await self._claim_chunk(alone=False)

    async def _claim_chunk(self, *, alone: bool) -> None:
        if await self._in_first_thread(self.held_back):
            self._supply = _EMPTY
            return
        allowed = await self._in_first_thread(self._gate.look)
        if self._purse.counts:
            await self._in_first_thread(self._look_into_purse)
        if allowed is None or self._purse.spent is not None:
            self._supply = _EMPTY
            return
        claims = await self._in_first_thread(self._transactions.patiently, self._claim, alone, allowed)
        if not claims:
            await self._in_first_thread(self._gate.give_back)
            if not alone:
                self._supply = _DRY
            return
        self._held.update({one.id: one for one in claims})
        self._gathered.extend(await self._in_first_thread(self._preparing.gathered, claims))
        await self._prepare_some()

    async def _prepare_some(self) -> None:
        wanted = max(PREPARED_AT_ONCE, self._room() - len(self._queue))
        some = [self._gathered.popleft() for _ in range(min(wanted, len(self._gathered)))]
        self._queue.extend(await self._in_first_thread(self._preparing.ready, some))

    def _look_into_purse(self) -> None:
        with self.tools.store.read() as connection:
            self._purse.look(connection, self.tools.clock.now())

    def _claim(self, alone: bool, allowed: Pass) -> list[Claim]:
        now = self.tools.clock.now()
        most = 1 if alone else self.limits.chunk
        with self._transactions.write() as connection:
            take_back_expired(connection, self.kind, now)
            claims = claim(
                connection,
                self.kind,
                run_id=self.run_id,
                now=now,
                lease_s=self.limits.lease_s,
                limit=most if allowed.rows is None else min(most, allowed.rows),
                alone=alone,
                request_id=self.request_id,
                order=allowed.order,
                turns=self._turns,
            )
            self._spans.claimed(connection, claims)
            return claims

    async def _begin(self, room: int) -> set[asyncio.Task[None]]:
        batch = [self._queue.popleft() for _ in range(max(0, min(room, len(self._queue))))]
        if not batch:
            return set()
        self._calling += len(batch)
        begun = await self._in_first_thread(self._transactions.patiently, self._begun, batch)
        for settlement in begun.settled:
            self.sink(settlement)
        tasks = set()
        for one in batch:
            row = one.claim.id
            if row in begun.begun:
                tasks.add(asyncio.create_task(self._one(one, begun.tabs.get(row))))
            elif row in begun.waiting:
                # Without a word: nothing has changed, and whoever ends a call or half a second says when to look again.
                self._calling -= 1
                self._queue.append(one)
            else:
                self._call_ended()
                self._held.pop(row, None)
        return tasks

    def _begun(self, batch: list[Ready]) -> _Begun:
        now = self.tools.clock.now()
        with self._transactions.write() as connection:
            held = begin_attempts(connection, [one.claim for one in batch], self.run_id)
            still = frozenset(one.id for one in held)
            if not self._purse.counts:
                return _Begun(still)
            asking = [
                (one.claim, one.prompt) for one in batch if one.claim.id in still and isinstance(one.prompt, Prompt)
            ]
            admitted = self._purse.admit(connection, asking, now)
            settled = [
                settle_unbegun(connection, one, Reason.BUDGET, until=admitted.over[one.id].until)
                for one in held
                if one.id in admitted.over
            ]
            if admitted.waiting:
                unbegin(connection, [one for one in held if one.id in admitted.waiting], {})
        not_now = admitted.waiting | admitted.over.keys()
        return _Begun(
            still - not_now,
            admitted.tabs,
            admitted.waiting,
            tuple(one for one in settled if one is not None),
        )

    async def _one(self, ready: Ready, tab: Tab | None) -> None:
        one = ready.claim
        try:
            with self._spans.reflect(one, self.tools.clock.now()) as told:
                settlement = await self._settled(ready, tab)
                if isinstance(settlement, Parked):
                    told.tell(outcome="parked")
                else:
                    tell_settled(told, settlement)
        finally:
            self._changed.set()
        # Whoever is broken off keeps both: what it paid for may be on its way into the database.
        self._purse.forget(one)
        self._held.pop(one.id, None)
        if isinstance(settlement, Parked):
            return
        if settlement is None:
            log.warning("the claim of ledger row %d was lost: nothing was stored", one.id)
        else:
            self.sink(settlement)

    async def _settled(self, ready: Ready, tab: Tab | None) -> Settlement | Parked | None:
        one, found, prompt = ready.claim, ready.found, ready.prompt
        if isinstance(found, Context) and isinstance(prompt, Prompt):
            return await self._reflect(one, found, prompt, tab)
        self._call_ended()
        result = (prompt or self._computed(found)) if isinstance(found, Context) else found
        if isinstance(result, Generated):
            return await self._settle(one, result, "", None)
        if isinstance(result, Nothing):
            return await self._commit(self._settling.nothing, one, result, Cost(), result.read_upto)
        return await self._commit(self._settling.failed, one, result, "", Cost())

    def _call_ended(self) -> None:
        self._calling -= 1
        self._changed.set()

    def _computed(self, context: Context) -> Generated | Nothing | Failure:
        try:
            made = self.kind.shape.computed(context, self.tools.new_id)
        except Exception as broken:  # noqa: BLE001 - as for a prompt
            return failure_of(broken)
        return made if isinstance(made, Nothing) else Generated(made, Cost())

    async def _reflect(
        self, one: Claim, context: Context, prompt: Prompt, tab: Tab | None
    ) -> Settlement | Parked | None:
        started = self.tools.monotonic()
        limits = self.limits.person
        kind = self.kind.caused_by(one.cause)
        model, paid = self.tools.model, None
        if tab is not None:
            paid = Paid(tab, lambda request: self._in_thread(self._transactions.patiently, self._another, one, request))
            if tab.model and self.tools.cheaper is not None:
                model = self.tools.cheaper
        making = generate(model, context, kind, prompt, limits=limits, new_id=self.tools.new_id, paid=paid)
        try:
            try:
                generated = await asyncio.wait_for(making, limits.person_s)
            finally:
                self._call_ended()
        except Exception as broken:  # noqa: BLE001 - one person's failure is theirs alone, recorded by its class
            self._purse.broke(one, broken)
            failure = failure_of(broken)
            spent = Cost(seconds=self.tools.monotonic() - started, model_calls=failure.calls)
            if model.in_process:
                return await self._commit(self._settling.failed, one, failure, prompt.input_hash, spent)
            return await self._commit(self._settling.call_failed, one, broken, failure, prompt.input_hash, spent)
        # A lighter model stands on the same server; one in this process says nothing of it.
        if self._gate.listening and not model.in_process:
            await self._in_thread(self._gate.answered)
        return await self._settle(one, generated, prompt.input_hash, context.read_upto)

    def _another(self, one: Claim, request: CompletionRequest) -> bool:
        with self._transactions.write() as connection:
            return self._purse.another(connection, one, request, self.tools.clock.now())

    async def _settle(
        self, one: Claim, generated: Generated, input_hash: str, read_upto: int | None
    ) -> Settlement | None:
        try:
            return await self._commit(self._settling.generated, one, generated, input_hash, read_upto)
        except (OperationalError, InterfaceError):
            raise
        except SourceGoneError:
            # Nothing is stored that rests on what is no longer there: what is left is read anew.
            gone = Nothing(DEFERRED, Reason.SOURCE_GONE)
            return await self._commit(self._settling.nothing, one, gone, generated.cost, None)
        except Exception as broken:  # noqa: BLE001 - a row that the database refuses is this person's failure too
            return await self._commit(self._settling.failed, one, failure_of(broken), input_hash, generated.cost)

    def _release_rest(self) -> None:
        with self._transactions.write() as connection:
            release(connection, list(self._held.values()))
            self._purse.give_back(connection, list(self._held.values()))
        self._gate.give_back()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.limits.lease_s / BEATS_A_LEASE)
            try:
                await asyncio.get_running_loop().run_in_executor(self._beats, self._transactions.renew)
            except SQLAlchemyError as refused:
                # The fence protects the rows; the next beat may succeed before the lease runs out.
                log.warning("a heartbeat could not be written: %s", type(refused).__name__)

    async def _commit(self, work: Callable[..., T], *arguments: object) -> T:
        with span("selo.commit"):
            return await self._in_thread(self._transactions.patiently, work, *arguments)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Do work to its end, also if whoever waits for it is broken off."""
        loop = asyncio.get_running_loop()
        work_itself = loop.run_in_executor(self._threads, copy_context().run, work, *arguments)
        self._under_way.add(work_itself)
        work_itself.add_done_callback(self._under_way.discard)
        return await asyncio.shield(work_itself)

    async def _in_first_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._first, copy_context().run, work, *arguments)


def _reap(running: set[asyncio.Task[None]]) -> None:
    """Take out the tasks that ended; raises what one of them raised."""
    ended = {task for task in running if task.done()}
    running -= ended
    for task in ended:
        task.result()
