"""Asks for erasures and carries them out step by step, as runs of Dagster would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from selo_dagster.clock import FixedClock, SystemClock
from selo_dagster.people.erased import Erased
from selo_dagster.people.erasure_key import ErasureKey, made_erasure_key
from selo_dagster.people.footprint import Footprint
from selo_dagster.people.tables import users
from selo_dagster.sagas.catalogue.user_erasure import USER_ERASURE
from selo_dagster.sagas.erasure.asking import Asked, ask
from selo_dagster.sagas.erasure.proving import Proof, prove
from selo_dagster.sagas.journal import Token
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.sagas.builders import REGISTRY, Room

STEPS = tuple(step.name for step in USER_ERASURE.order)


class Furnished(Room):
    """A room in which everybody is already."""

    def __post_init__(self) -> None:
        """Add nobody."""


@dataclass
class Erasing:
    """A room with Ana in it, and what forgets people."""

    store: Store
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        """Let Ana be there. Where she is, whoever is tested goes by the machine's clock."""
        there = self.person() is not None
        self.room = Furnished(self.store, FixedClock(SystemClock().now())) if there else Room(self.store)

    @property
    def key(self) -> ErasureKey:
        """This installation's key."""
        return made_erasure_key(process_settings())

    def ask(self, who: str = "ana") -> Asked | Erased:
        """Ask for an erasure."""
        known = {**REGISTRY.by_version, ("user_erasure", 1): USER_ERASURE}
        with self.store.write() as connection:
            return ask(
                connection,
                who,
                definition=lambda name, version: known[name, version],
                version=1,
                actor="a test",
                now=self.room.clock.now(),
            )

    def claim(self, *saga_ids: str) -> tuple[list[Token], str]:
        """Claim erasures for a run of their own."""
        run_id = uuid4().hex
        return self.room.claim(USER_ERASURE, run_id=run_id, ids=saga_ids), run_id

    def carry(self, tokens: Sequence[Token], run_id: str, *steps: str) -> None:
        """Carry claimed erasures through some steps, or all."""
        for name in steps or STEPS:
            self.room.step(USER_ERASURE, name, tokens, run_id)

    def erase(self, *people: str) -> list[str]:
        """Erase people in one run; returns the sagas. Fails unless all of them are completed."""
        ids = [self.ask(who).saga_id for who in people or ("ana",)]
        tokens, run_id = self.claim(*ids)
        self.carry(tokens, run_id)
        assert [self.room.state(saga_id) for saga_id in ids] == ["completed"] * len(ids)
        return ids

    def prove(self, user_id: str = "ana") -> Proof:
        """Look from outside."""
        with self.store.read() as connection:
            return prove(connection, self.key, user_id)

    def rows(self, user_id: str = "ana") -> dict[str, int]:
        """Return how many rows of somebody there are, by table."""
        with self.store.read() as connection:
            return Footprint.of(connection).count(connection, user_id)

    def person(self, user_id: str = "ana") -> Any:
        """Return somebody's state; None: nobody is there."""
        with self.store.read() as connection:
            return connection.execute(select(users.c.state).where(users.c.id == user_id)).scalar()
