"""Calls under way, and how they end: counted by what they used, or given back where nobody heard of them again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select, tuple_, update

from selo_dagster.llm.budgets.bound import Bound
from selo_dagster.llm.budgets.caps import Amount
from selo_dagster.llm.budgets.money import Price
from selo_dagster.llm.budgets.tables import FLEET, KIND, spending_calls, spending_days, spending_people
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import Completion
from selo_dagster.store.types import database_now

days, people, calls = spending_days, spending_people, spending_calls
_SUMS: Final = ("calls", "tokens", "cost", "beyond", "unheard_tokens", "unheard_cost")

# Built once: every call passes through these.
_ADD_TO_DAY = (
    update(days)
    .where(days.c.day == bindparam("on"), days.c.scope == bindparam("whose"), days.c.subject == bindparam("what"))
    .values({name: days.c[name] + bindparam(f"more_{name}") for name in _SUMS})
)
_ADD_TO_PERSON = (
    update(people)
    .where(people.c.day == bindparam("on"), people.c.user_id == bindparam("who"))
    .values({name: people.c[name] + bindparam(f"more_{name}") for name in _SUMS})
)
_END = delete(calls).where(calls.c.owner == bindparam("whose"))


@dataclass(frozen=True)
class Call:
    """A call for which room is reserved. bound: in tokens; price: of the model that is asked.

    personal: whether the person's own spending is counted.
    """

    owner: str
    number: int
    day: date
    user_id: str
    kind: str
    bound: Bound
    price: Price
    personal: bool = False

    @property
    def most(self) -> Amount:
        """The most that it can use, as far as the server holds its bounds."""
        return self.amount(self.bound.input, self.bound.output)

    def amount(self, input_tokens: int, output_tokens: int) -> Amount:
        """Return tokens together with what they cost."""
        return Amount(input_tokens + output_tokens, self.price.cost(input_tokens, output_tokens))

    def used_by(self, completion: Completion) -> Amount:
        """Return what an answer used; where the server does not say, what it can have used at most."""
        return self.amount(completion.input_tokens or self.bound.input, completion.output_tokens or self.bound.output)


@dataclass
class Tab:
    """What one obligation, or one step, asks of models: its calls one after the other, until they are counted.

    model: which of the models that the budget allows is asked. Without a call it costs nothing.
    """

    model: int = 0
    calls: list[Call] = field(default_factory=list)
    _used: dict[int, Amount] = field(default_factory=dict)

    def answered(self, completion: Completion) -> None:
        """Hear what the call under way was answered with."""
        if self.calls:
            call = self.calls[-1]
            self._used[call.number] = call.used_by(completion)

    def broke(self, error: BaseException) -> None:
        """Hear that the call under way came to nothing: what may have been billed is counted, and no more."""
        if self.calls and isinstance(error, ModelError) and not error.billed:
            self._used.setdefault(self.calls[-1].number, Amount())

    def count(self, connection: Connection) -> None:
        """Count what was used instead of what was reserved; the last thing that a transaction does.

        A call of whose end nothing was heard counts as much as it can have used.
        """
        if not self.calls:
            return
        connection.execute(_END, {"whose": self.calls[0].owner})
        _add(
            connection,
            [(call, _ended(self._used.get(call.number, call.most), call.most)) for call in self.calls],
        )


def give_back(connection: Connection, owners: Collection[str] | None = None) -> int:
    """Give back what lost calls had reserved: those of `owners`, else all whose lease has ended; returns how many.

    What they used nobody knows; it is told beside what was spent. Whoever comes back after all is counted then.
    Like `Tab.count`, once in a transaction and at its end: two who add to sums in different orders wait for each other.
    """
    lost = calls.c.lost_at < database_now() if owners is None else calls.c.owner.in_(sorted(owners))
    rows = connection.execute(
        select(calls).where(lost).order_by(calls.c.owner, calls.c.number).with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return 0
    connection.execute(
        delete(calls).where(tuple_(calls.c.owner, calls.c.number).in_([(row.owner, row.number) for row in rows]))
    )
    _add(connection, [(row, {"unheard_tokens": row.tokens, "unheard_cost": row.cost}) for row in rows])
    return len(rows)


def _ended(used: Amount, most: Amount) -> dict[str, int]:
    return {"calls": 1, "tokens": used.tokens, "cost": used.cost, "beyond": max(0, used.tokens - most.tokens)}


def _add(connection: Connection, ended: Iterable[tuple[Any, dict[str, int]]]) -> None:
    """Add to the sums of the people, the kinds and the fleet, in this order and sorted, as everybody does."""
    persons: dict[tuple[str, date], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_SUMS, 0))
    others: dict[tuple[int, str, str, date], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_SUMS, 0))
    for call, amounts in ended:
        keys = [others[0, KIND, call.kind, call.day], others[1, FLEET, "", call.day]]
        keys += [persons[call.user_id, call.day]] if getattr(call, "personal", True) else []
        for sums in keys:
            for name, amount in amounts.items():
                sums[name] += amount
    if persons:
        connection.execute(
            _ADD_TO_PERSON,
            [{"who": who, "on": on, **_more(sums)} for (who, on), sums in sorted(persons.items(), key=_by_key)],
        )
    connection.execute(
        _ADD_TO_DAY,
        [
            {"whose": scope, "what": subject, "on": on, **_more(sums)}
            for (_, scope, subject, on), sums in sorted(others.items(), key=_by_key)
        ],
    )


def _by_key(item: tuple[tuple[Any, ...], Any]) -> tuple[Any, ...]:
    return item[0]


def _more(sums: dict[str, int]) -> dict[str, int]:
    return {f"more_{name}": number for name, number in sums.items()}
