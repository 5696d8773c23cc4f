"""Reserves what calls may cost before they are made: all of it within every cap, or none of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, insert, select, update

from selo_dagster.llm.budgets.bound import Bound
from selo_dagster.llm.budgets.calls import Call
from selo_dagster.llm.budgets.caps import Amount, Budget, Over, Scope, day_of, next_day
from selo_dagster.llm.budgets.tables import FLEET, KIND, USER, spending_calls, spending_days, spending_people
from selo_dagster.store.types import database_now
from selo_dagster.store.upsert import insert_or_lock

days, people, calls = spending_days, spending_people, spending_calls


@dataclass(frozen=True)
class Asked:
    """A call that somebody would like to make. owner, number: name it; light: the lighter model is the usual one.

    interactive: somebody just asked for it.
    """

    owner: str
    user_id: str
    kind: str
    bound: Bound
    number: int = 1
    light: bool = False
    interactive: bool = False


@dataclass(frozen=True)
class Granted:
    """A call that may be made. model: place among `Budget.prices`; call: what is reserved, None where it is free."""

    model: int
    call: Call | None


@dataclass(frozen=True)
class Waits:
    """A call for which there is no room now, but will be if those under way take less than they might."""


Reply = Granted | Waits | Over
WAITS = Waits()


def reserve(
    connection: Connection, budget: Budget, asked: Sequence[Asked], now: datetime, lease_s: float
) -> list[Reply]:
    """Reserve what each call may cost, in their order; returns what became of each.

    lease_s: seconds after which a call that nobody ended is taken for lost. The rows of the day are locked from here
    to the end of the transaction, people's first and the fleet's last, as everywhere: the caller locks nothing
    afterwards that others hold while they wait for these. What is reserved are the calls under way themselves, so
    nothing can be left behind in a sum.
    """
    if not asked:
        return []
    book = _Book.opened(connection, budget, asked, day_of(now))
    replies = [book.entered(one) for one in asked]
    granted = [reply.call for reply in replies if isinstance(reply, Granted) and reply.call is not None]
    if granted:
        connection.execute(_entering(lease_s), [_row(call) for call in granted])
    book.close(connection)
    return replies


@lru_cache
def _entering(lease_s: float) -> Any:
    return insert(calls).values(lost_at=database_now(lease_s))


def _row(call: Call) -> dict[str, Any]:
    return {
        "owner": call.owner,
        "number": call.number,
        "day": call.day,
        "user_id": call.user_id,
        "kind": call.kind,
        "tokens": call.most.tokens,
        "cost": call.most.cost,
    }


Key = tuple[Scope, str]
"""Whose budget: a scope, and the kind or person."""


@dataclass
class _Refused:
    """Calls of one kind that were refused in a row, and the least that one of them needed."""

    number: int
    least: Amount | None
    changed: bool = False


@dataclass
class _Book:
    """What a day's budgets hold, under lock."""

    budget: Budget
    day: date
    spent: dict[Key, Amount]
    reserved: dict[Key, Amount]
    refused: dict[str, _Refused]

    @classmethod
    def opened(cls, connection: Connection, budget: Budget, asked: Sequence[Asked], day: date) -> _Book:
        """Lock the rows of the day, making those that are missing, and read what is reserved."""
        spent: dict[Key, Amount] = {}
        if budget.user.given:
            ids = sorted({one.user_id for one in asked})
            for row in _locked_people(connection, day, ids):
                spent[USER, row.user_id] = Amount(row.tokens, row.cost)
        kinds = sorted({one.kind for one in asked})
        refused = {}
        for row in _locked_days(connection, day, kinds):
            spent[row.scope, row.subject] = Amount(row.tokens, row.cost)
            if row.scope == KIND:
                least = None if row.refused_tokens is None else Amount(row.refused_tokens, row.refused_cost)
                refused[row.subject] = _Refused(row.refused, least)
        return cls(budget, day, spent, _under_way(connection, budget, day), refused)

    def entered(self, one: Asked) -> Reply:
        """Enter one call; by the first model with which it fits into every cap."""
        over: Over | None = None
        need = Amount()
        for model, price in enumerate(self.budget.prices(light=one.light)):
            if price is None:
                return Granted(model, None)
            call = Call(
                one.owner, one.number, self.day, one.user_id, one.kind, one.bound, price, self.budget.user.given
            )
            need = call.most
            found = self._without_room(one, need)
            if found is None:
                self._grant(one, need)
                return Granted(model, call)
            if isinstance(found, Waits):
                return found
            over = found
        assert over is not None  # noqa: S101 - there is at least one model
        if over.scope != USER:
            self._refuse(one.kind, need)
        return over

    def _without_room(self, one: Asked, need: Amount) -> Over | Waits | None:
        waits = False
        for key in _keys(one):
            scope, subject = key
            cap = self.budget.cap(scope, interactive=one.interactive)
            if not cap.given:
                continue
            spent = self.spent[key]
            unit = cap.exceeded_by(spent + need)
            if unit is not None:
                whose = "" if scope == USER else subject
                return Over(scope, whose, unit, cap.limit(unit), spent.of(unit), need.of(unit), next_day(self.day))
            waits = waits or cap.exceeded_by(spent + self.reserved.get(key, Amount()) + need) is not None
        return WAITS if waits else None

    def _grant(self, one: Asked, need: Amount) -> None:
        for key in _keys(one):
            self.reserved[key] = self.reserved.get(key, Amount()) + need
        refused = self.refused[one.kind]
        if refused.number:
            self.refused[one.kind] = _Refused(0, None, changed=True)

    def _refuse(self, kind: str, need: Amount) -> None:
        before = self.refused[kind]
        least = need if before.least is None else before.least.least(need)
        self.refused[kind] = _Refused(before.number + 1, least, changed=True)

    def close(self, connection: Connection) -> None:
        """Write down who was refused, so that no more are claimed in vain."""
        for kind, refused in sorted(self.refused.items()):
            if refused.changed:
                connection.execute(
                    update(days)
                    .where(days.c.day == self.day, days.c.scope == KIND, days.c.subject == kind)
                    .values(
                        refused=refused.number,
                        refused_tokens=None if refused.least is None else refused.least.tokens,
                        refused_cost=None if refused.least is None else refused.least.cost,
                    )
                )


def _keys(one: Asked) -> tuple[Key, ...]:
    return (FLEET, ""), (KIND, one.kind), (USER, one.user_id)


def _locked_people(connection: Connection, day: date, ids: Sequence[str]) -> Sequence[Row[Any]]:
    return insert_or_lock(connection, people, [{"day": day, "user_id": user_id} for user_id in ids])


def _locked_days(connection: Connection, day: date, kinds: Sequence[str]) -> Sequence[Row[Any]]:
    of_kinds = [{"day": day, "scope": KIND, "subject": kind} for kind in kinds]
    return insert_or_lock(connection, days, [*of_kinds, {"day": day, "scope": FLEET, "subject": ""}])


def _reserved(*whose: ColumnElement[Any]) -> Select[Any]:
    sums = [func.sum(calls.c[name]).label(name) for name in ("tokens", "cost")]
    held = and_(calls.c.day == bindparam("on"), calls.c.lost_at >= database_now())
    return select(*sums, *whose).where(held).group_by(*whose)


# Built once: every call passes through these.
_RESERVED = {False: _reserved(calls.c.kind), True: _reserved(calls.c.kind, calls.c.user_id)}


def _under_way(connection: Connection, budget: Budget, day: date) -> dict[Key, Amount]:
    """Return what calls of the day that are under way have reserved, lost ones left out."""
    found: dict[Key, Amount] = {}
    for row in connection.execute(_RESERVED[budget.user.given], {"on": day}):
        amount = Amount(int(row.tokens), int(row.cost))
        keys: list[Key] = [(FLEET, ""), (KIND, row.kind)]
        keys += [(USER, row.user_id)] if budget.user.given else []
        for key in keys:
            found[key] = found.get(key, Amount()) + amount
    return found
