"""Settles a cohort's claims, each in a transaction of its own: what was made, refused, failed, or not needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.equipment import Tools
from selo_dagster.reflections.generate import Generated
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.outage import PARKED, Gate, Parked
from selo_dagster.reflections.retry import Failure, look_again_at, may_try_again, next_attempt_at
from selo_dagster.reflections.settle import (
    Before,
    Cost,
    Nothing,
    OnSettled,
    Rejected,
    Settlement,
    settle_deferred,
    settle_done,
    settle_failed,
    settle_rejected,
    settle_skipped,
    settle_unchanged,
    tried_before,
)
from selo_dagster.reflections.spending import Purse
from selo_dagster.reflections.states import DEFERRED, DONE, FAILED, REJECTED, SKIPPED
from selo_dagster.reflections.transactions import Transactions


@dataclass(frozen=True)
class Settling:
    """Settles the claims of one cohort. Every method is one transaction; None: the claim was lost, nothing is stored.

    gate: hears of calls that failed. purse: counts what a claim used, at the end of the transaction that settles it.
    """

    kind: Kind
    tools: Tools
    gate: Gate
    purse: Purse
    transactions: Transactions

    @contextmanager
    def _counted(self, one: Claim) -> Iterator[Connection]:
        # What it used is counted at its end: everybody adds to the same rows.
        with self.transactions.write() as connection:
            yield connection
            self.purse.count(connection, one)

    def generated(self, one: Claim, generated: Generated, input_hash: str, read_upto: int | None) -> Settlement | None:
        """Store what was made, or keep the answer that was refused. read_upto: place in the stream, where it counts.

        Raises SourceGoneError where a source is gone: nothing is stored.
        """
        now = self.tools.clock.now()
        result = generated.result
        if isinstance(result, Nothing):
            return self.nothing(one, result, generated.cost, read_upto)
        with self._counted(one) as connection:
            if not isinstance(result, Rejected):
                also = self._also(one, read_upto)
                settled = settle_done(connection, one, result, cost=generated.cost, now=now, also=also)
                if settled is not None and settled.outcome == DONE and self.tools.on_made is not None:
                    self.tools.on_made(connection, one, result, now)
                return settled
            before = tried_before(connection, one, input_hash, REJECTED, None)
            return settle_rejected(
                connection,
                one,
                result.codes,
                answer=result.answer,
                input_hash=input_hash,
                retry_at=self._retry_at(now, before, transient=False),
                cost=generated.cost,
                now=now,
            )

    def _also(self, one: Claim, read_upto: int | None) -> OnSettled | None:
        on_settled = self.kind.on_settled
        if on_settled is None:
            return None
        return lambda connection: on_settled(connection, one, read_upto)

    def call_failed(
        self, one: Claim, broken: Exception, failure: Failure, input_hash: str, spent: Cost
    ) -> Settlement | Parked | None:
        """Record that a call failed; where its server is gone, the claim is parked instead."""
        with self._counted(one) as connection:
            if self.gate.failed(connection, one, broken, failure.calls):
                return PARKED
            return self._fail(connection, one, failure, input_hash, spent)

    def failed(self, one: Claim, failure: Failure, input_hash: str, spent: Cost) -> Settlement | None:
        """Record a failure, and when it is tried again."""
        with self._counted(one) as connection:
            return self._fail(connection, one, failure, input_hash, spent)

    def _fail(
        self, connection: Connection, one: Claim, failure: Failure, input_hash: str, spent: Cost
    ) -> Settlement | None:
        now = self.tools.clock.now()
        before = tried_before(connection, one, input_hash, FAILED, failure.error_class)
        return settle_failed(
            connection,
            one,
            failure.error_class,
            input_hash=input_hash,
            retry_at=self._retry_at(now, before, transient=failure.transient, retry_after_s=failure.retry_after_s),
            cost=spent,
            now=now,
        )

    def _retry_at(
        self, now: datetime, before: Before, *, transient: bool, retry_after_s: float | None = None
    ) -> datetime | None:
        tries = before.tries + 1
        if not may_try_again(transient=transient, tries=tries, same_before=before.same):
            return None
        return next_attempt_at(now, tries, self.tools.random, retry_after_s=retry_after_s)

    def nothing(self, one: Claim, nothing: Nothing, cost: Cost, read_upto: int | None) -> Settlement | None:
        """Finish what needs nothing, or put off what could not be looked at."""
        now = self.tools.clock.now()
        reason = nothing.reason
        with self._counted(one) as connection:
            if nothing.outcome == DEFERRED:
                return settle_deferred(connection, one, reason, until=look_again_at(now), cost=cost, now=now)
            if nothing.outcome == SKIPPED:
                return settle_skipped(connection, one, reason, cost=cost, now=now)
            also = self._also(one, read_upto)
            return settle_unchanged(connection, one, reason, cost=cost, now=now, also=also)
