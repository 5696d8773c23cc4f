"""What a cohort, a tick and a command make of budgets: what has no room waits for the next day and loses no attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from selo_dagster.llm.budgets.bound import bound_of
from selo_dagster.llm.budgets.calls import Tab, give_back
from selo_dagster.llm.budgets.caps import Budget, Over, budget_of
from selo_dagster.llm.budgets.reserving import Asked, Granted, reserve
from selo_dagster.llm.budgets.standing import REFUSED_TO_CLOSE, gone, personal
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.claim import Claim, ledger, owner_of
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.outage import asks, interactive, parked_now
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.states import DEFERRED, DUE, Reason
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store


@dataclass(frozen=True)
class Admitted:
    """Who may ask: row of the ledger -> tab. waiting: rows for which there may be room soon; over: for which not."""

    tabs: dict[int, Tab]
    waiting: frozenset[int] = frozenset()
    over: dict[int, Over] = field(default_factory=dict)


@dataclass
class Purse:
    """One cohort's view of the budgets; without one everybody may ask, and nothing is counted.

    lease_s: seconds after which a call is taken for lost. `spent`: no call of this kind has room any more today.
    """

    budget: Budget | None
    kind: Kind
    lease_s: float
    spent: Over | None = None
    _tabs: dict[int, Tab] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether anything is reserved and counted."""
        return self.budget is not None

    def look(self, connection: Connection, now: datetime) -> None:
        """Find out whether there is room for any call."""
        self.spent = None if self.budget is None else over_now(connection, self.budget, self.kind, now)

    def admit(self, connection: Connection, asked: Sequence[tuple[Claim, Prompt]], now: datetime) -> Admitted:
        """Reserve a call for each claim that has room for it, as the last thing of the transaction that begins it."""
        assert self.budget is not None  # noqa: S101 - whoever has none asks nobody
        replies = reserve(
            connection, self.budget, [self._asked(one, prompt.request) for one, prompt in asked], now, self.lease_s
        )
        tabs: dict[int, Tab] = {}
        waiting = set()
        over = {}
        for (one, _), reply in zip(asked, replies, strict=True):
            if isinstance(reply, Granted):
                tabs[one.id] = self._tabs[one.id] = Tab(reply.model, [] if reply.call is None else [reply.call])
            elif isinstance(reply, Over):
                over[one.id] = reply
            else:
                waiting.add(one.id)
        if over:
            self.look(connection, now)
        return Admitted(tabs, frozenset(waiting), over)

    def another(self, connection: Connection, one: Claim, request: CompletionRequest, now: datetime) -> bool:
        """Reserve one more call of the same model for a claim; false: there is no room for it."""
        tab = self._tabs.get(one.id)
        if self.budget is None or tab is None or not tab.calls:
            return True
        asked = self._asked(one, request, number=len(tab.calls) + 1)
        same = replace(self.budget, policy="defer")
        (reply,) = reserve(connection, same, [replace(asked, light=asked.light or tab.model > 0)], now, self.lease_s)
        if not isinstance(reply, Granted) or reply.call is None:
            return False
        tab.calls.append(reply.call)
        return True

    def count(self, connection: Connection, one: Claim) -> None:
        """Count what a claim's calls used, as the last thing of the transaction that settles it."""
        tab = self._tabs.get(one.id)
        if tab is not None:
            tab.count(connection)

    def broke(self, one: Claim, error: BaseException) -> None:
        """Hear that a claim's call came to nothing."""
        tab = self._tabs.get(one.id)
        if tab is not None:
            tab.broke(error)

    def forget(self, one: Claim) -> None:
        """Leave a claim that is settled, or will be given back."""
        self._tabs.pop(one.id, None)

    def give_back(self, connection: Connection, claims: Sequence[Claim]) -> None:
        """Give back what calls have reserved that were broken off."""
        if self.counts and claims:
            give_back(connection, [owner_of(one.id, one.epoch) for one in claims])

    def _asked(self, one: Claim, request: CompletionRequest, number: int = 1) -> Asked:
        assert self.budget is not None  # noqa: S101 - as above
        return Asked(
            owner=owner_of(one.id, one.epoch),
            user_id=one.user_id,
            kind=self.kind.name,
            bound=bound_of(request, self.budget.max_tokens),
            number=number,
            light=self.kind.lane == "light",
            interactive=interactive(self.kind),
        )


def purse_of(budget: Budget | None, kind: Kind, lease_s: float) -> Purse:
    """Return the purse of a cohort of `kind`; one that asks no model needs none."""
    return Purse(budget if asks(kind) else None, kind, lease_s)


def over_now(
    connection: Connection, budget: Budget, kind: Kind, now: datetime, *, refusals: int = REFUSED_TO_CLOSE
) -> Over | None:
    """Return the cap of the fleet or of the kind that leaves no room for any call of it today.

    refusals: calls in a row from which on the least that one of them needed counts as what any needs.
    """
    light, asked = kind.lane == "light", interactive(kind)
    return gone(connection, budget, kind.name, now, light=light, interactive=asked, refusals=refusals)


def over_budget(store: Store, settings: Settings, kinds: Mapping[str, Kind], now: datetime) -> dict[str, Over]:
    """Return the kinds of which nothing has room today, and why; empty without a budget."""
    budget = budget_of(settings)
    if budget is None:
        return {}
    with store.read() as connection:
        found = {name: over_now(connection, budget, kind, now) for name, kind in kinds.items() if asks(kind)}
    return {name: over for name, over in found.items() if over is not None}


def give_back_lost(store: Store, settings: Settings) -> int:
    """Give back what calls have reserved whose lease has ended; returns how many. Nothing without a budget."""
    if budget_of(settings) is None:
        return 0
    with store.write() as connection:
        return give_back(connection)


def what_holds(connection: Connection, budget: Budget, kind: Kind, user_id: str, now: datetime) -> Over | None:
    """Return the cap that holds a row of somebody back which was put off for want of room."""
    return over_now(connection, budget, kind, now, refusals=1) or personal(connection, budget, user_id, now)


def why_left(store: Store, settings: Settings, kind: Kind, now: datetime) -> str | None:
    """Say why what is left of a kind waits: for its server, or for room in a budget; None if for neither."""
    parked = parked_now(store, settings, kind)
    if parked is not None:
        return parked
    over = over_budget(store, settings, {kind.name: kind}, now)
    return waits(over[kind.name]) if over else None


def put_off_for_room(connection: Connection) -> dict[str, int]:
    """Return how many rows of each kind were put off for want of room."""
    rows = connection.execute(
        select(ledger.c.kind, func.count().label("n")).where(*_PUT_OFF).group_by(ledger.c.kind).order_by(ledger.c.kind)
    )
    return {row.kind: row.n for row in rows}


def try_again(connection: Connection, now: datetime, *, kind: str | None = None, user: str | None = None) -> int:
    """Make what was put off for want of room due at once, for whoever has made room; returns how many."""
    chosen = [
        *([] if kind is None else [ledger.c.kind == kind]),
        *([] if user is None else [ledger.c.user_id == user]),
    ]
    return connection.execute(
        update(ledger).where(*_PUT_OFF, ledger.c.ready_at > now, *chosen).values(state=DUE, reason=None, ready_at=now)
    ).rowcount


_PUT_OFF = (ledger.c.state == DEFERRED, ledger.c.reason == Reason.BUDGET)


def waits(over: Over) -> str:
    """Say that what has no room waits, and until when."""
    return f"{over.sentence}; what is due waits until {over.until:%Y-%m-%d %H:%M}Z and loses no attempt"
