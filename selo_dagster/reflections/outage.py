"""What a cohort, a tick and a command make of a model that may not be asked: work is parked and loses nothing.

Its server is gone, or what is configured was not accepted by an evaluation.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from selo_dagster.llm.breaker import Breaker, Place, Standing, breaker_of, heard
from selo_dagster.llm.endpoint import endpoint_of
from selo_dagster.llm.tables import HALF_OPEN
from selo_dagster.reflections.acceptance import NOT_ACCEPTED, Acceptance, unaccepted_now
from selo_dagster.reflections.claim import Claim, OldestFirst, park
from selo_dagster.reflections.kind import Kind
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store

log = logging.getLogger(__name__)

NIGHTLY_SHARE: Final = 0.75
"""Of the slots, while the work of an outage drains: the rest is left to what somebody just asked for."""


class Parked:
    """Says that an obligation waits for its server."""


PARKED: Final = Parked()


@dataclass(frozen=True)
class Pass:
    """What may be claimed. rows: at most so many, None without a bound; order: None for the usual one."""

    rows: int | None = None
    order: OldestFirst | None = None


@dataclass
class Gate:
    """One cohort's view of its endpoint's breaker, and of what is accepted; without either everything may pass.

    acceptance: what has to be the accepted configuration, None: whatever is configured may be used. probe_s: seconds
    after which a probe of this cohort is taken for lost. at_once: the first look may probe without waiting for its
    time. Every method that takes no connection opens its own, so it belongs in a thread.
    """

    breaker: Breaker | None
    store: Store
    run_id: str
    probe_s: float
    interactive: bool
    at_once: bool = False
    acceptance: Acceptance | None = None
    probing: bool = False
    standing: Standing = field(default_factory=Standing)

    @property
    def parked(self) -> bool:
        """Whether nothing may be begun, as far as this cohort knows."""
        return self.standing.is_open and not self.probing

    @property
    def listening(self) -> bool:
        """Whether an answer changes anything."""
        return self.breaker is not None and not self.standing.quiet

    @property
    def careful(self) -> bool:
        """Whether no more may be claimed than can be begun: the server has only just come back."""
        return self.standing.state == HALF_OPEN

    def room(self, slots: int) -> int:
        """Return how many calls may be under way, of `slots`."""
        if self.standing.is_open:
            return 1 if self.probing else 0
        if self.standing.state == HALF_OPEN:
            return max(1, min(slots, self.standing.room))
        if self.standing.draining and not self.interactive:
            return max(1, int(slots * NIGHTLY_SHARE))
        return slots

    def look(self) -> Pass | None:
        """Return what may be claimed now, None while the server is gone: one look-up, and the probe if it is due.

        None also while what is configured is not the accepted one: what is due stays due, and no attempt is used.
        """
        if self.acceptance is not None:
            with self.store.read() as connection:
                if not self.acceptance.holds(connection):
                    log.warning(NOT_ACCEPTED)
                    return None
        return Pass() if self.breaker is None else self._passed(self.breaker)

    def _passed(self, breaker: Breaker) -> Pass | None:
        with self.store.read() as connection:
            self.standing = breaker.standing(connection)
        at_once, self.at_once = self.at_once, False
        if self.standing.is_open:
            if not (at_once or self.standing.probe_due):
                return None
            with self.store.write() as connection:
                self.probing = breaker.take_probe(connection, self.run_id, self.probe_s, at_once=at_once)
            return Pass(1, OldestFirst(self.standing.tried)) if self.probing else None
        if self.standing.state == HALF_OPEN:
            return Pass(self.room(self.standing.room), OldestFirst(self.standing.tried))
        return Pass(order=OldestFirst() if self.standing.draining else None)

    def give_back(self) -> None:
        """Leave the probe to somebody else, if this cohort has it still."""
        if self.breaker is not None and self.probing:
            with self.store.write() as connection:
                self.breaker.give_back(connection, self.run_id)
            self.probing = False

    def answered(self) -> None:
        """Hear that the server answered."""
        if self.breaker is not None:
            with self.store.write() as connection:
                self.standing = self.breaker.answered(connection)
            self.probing = False

    def failed(self, connection: Connection, one: Claim, broken: Exception, calls: int) -> bool:
        """Hear what a call ended with; true: its server is gone, and the claim was parked in this transaction."""
        said = heard(broken)
        if self.breaker is None or said == "nothing":
            return False
        if said == "answered":
            if self.listening:
                self.standing = self.breaker.answered(connection)
                self.probing = False
            return False
        self.standing = self.breaker.failed(connection, self.run_id, Place(one.since, one.id))
        self.probing = False
        if not self.standing.is_open:
            return False
        park(connection, one, calls)
        return True


def asks(kind: Kind) -> bool:
    """Tell whether a kind asks a model."""
    return kind.shape.task is not None


def interactive(kind: Kind) -> bool:
    """Tell whether somebody just asked for what a kind makes: it goes before the nightly ones."""
    return kind.priority > 0


def gate_of(
    breaker: Breaker | None,
    store: Store,
    kind: Kind,
    run_id: str,
    *,
    probe_s: float,
    at_once: bool = False,
    acceptance: Acceptance | None = None,
) -> Gate:
    """Return the gate of a cohort of `kind`; one that asks no model passes always."""
    if not asks(kind):
        breaker = acceptance = None
    return Gate(breaker, store, run_id, probe_s, interactive(kind), at_once, acceptance)


def standing_now(store: Store, settings: Settings) -> Standing:
    """Return how the endpoint stands that the settings name; closed without one."""
    breaker = breaker_of(settings)
    if breaker is None:
        return Standing()
    with store.read() as connection:
        return breaker.standing(connection)


def who_probes(waiting: Sequence[Kind], standing: Standing) -> Kind:
    """Return the kind of which a run is asked for while an endpoint recovers: what somebody just asked for first.

    Each probe that failed lets the next kind have its turn. waiting: those with something ready, at least one.
    """
    ordered = sorted(waiting, key=lambda kind: -kind.priority)
    return ordered[standing.probes % len(ordered)]


def parked_now(store: Store, settings: Settings, kind: Kind) -> str | None:
    """Say why what is left of a kind waits, None if its server is not gone and what is configured may be used."""
    if not asks(kind):
        return None
    if (unaccepted := unaccepted_now(store, settings)) is not None:
        return f"{unaccepted}; what is due waits and loses no attempt"
    standing = standing_now(store, settings)
    if not standing.is_open:
        return None
    return f"{sentence(settings, standing)}: what is due waits and loses no attempt"


def sentence(settings: Settings, standing: Standing) -> str:
    """Say since when the server has been gone, without its whole address."""
    endpoint = endpoint_of(settings)
    host = "the model's server" if endpoint is None else f"the model's server {endpoint.host}"
    since = "" if standing.opened_at is None else f" since {standing.opened_at:%Y-%m-%d %H:%M}Z"
    return f"{host} has been gone{since}"
