"""Which version of a reflection holds: its head. It is moved only by whoever saw the one that it takes the place of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from selo_dagster.errors import SeloError
from selo_dagster.reflections.claim import Claim, ledger
from selo_dagster.reflections.loss import Compared, Insight, compared
from selo_dagster.reflections.settle import Held
from selo_dagster.reflections.states import DONE, Reason
from selo_dagster.reflections.tables import reflection_head_moves as moves
from selo_dagster.reflections.tables import reflections

NEW_VERSION: Final = "new_version"
ROLLBACK: Final = "rollback"
"""Why a head moved; `loss_guard` is why one did not."""


@dataclass(frozen=True)
class Place:
    """Where a reflection belongs among its versions. former: the one that holds until now; loss: what it would lose."""

    version: int
    former: str | None = None
    loss: Compared | None = field(default=None, repr=False)

    @property
    def holds(self) -> bool:
        """Whether it takes the place of the present one."""
        return self.loss is None or not self.loss.too_much

    @property
    def parents(self) -> list[str]:
        """The versions that it was made to replace."""
        return [] if self.former is None else [self.former]

    @property
    def held(self) -> Held | None:
        """What keeps it from holding."""
        return None if self.holds or self.former is None else Held(self.former, Reason.LOSS_GUARD)

    def make_way(self, connection: Connection) -> None:
        """Let the present one hold no more, if this one is to. Raises SeloError `moved_meanwhile`."""
        if self.former is not None and self.holds:
            _take_down(connection, self.former)

    def record(self, connection: Connection, claim: Claim, reflection_id: str, now: datetime) -> None:
        """Write down what was decided, for whoever asks why; of a first version there is nothing to say."""
        if self.former is None or self.loss is None:
            return
        run_id = connection.execute(select(ledger.c.run_id).where(ledger.c.id == claim.id)).scalar()
        connection.execute(
            insert(moves).values(
                user_id=claim.user_id,
                reflection_id=reflection_id,
                former_id=self.former,
                moved=self.holds,
                reason=NEW_VERSION if self.holds else Reason.LOSS_GUARD,
                live=self.loss.live,
                lost=len(self.loss.lost),
                actor=f"run {run_id}",
                at=now,
            )
        )


FIRST: Final = Place(1)


def next_place(connection: Connection, claim: Claim, insights: Sequence[Insight]) -> Place:
    """Return the place of a new version with these insights; the others stay locked until the transaction ends."""
    there = versions_locked(connection, claim.user_id, claim.kind, claim.key)
    if not there:
        return FIRST
    present = _head(there)
    return Place(there[-1].version + 1, present.id, compared(connection, claim.user_id, present.insights, insights))


def versions_locked(connection: Connection, user_id: str, kind: str, key: str) -> Sequence[Any]:
    """Return every version of a reflection, oldest first, locked until the transaction ends."""
    wanted = (
        select(reflections.c.id, reflections.c.version, reflections.c.head, reflections.c.insights)
        .where(reflections.c.user_id == user_id, reflections.c.kind == kind, reflections.c.key == key)
        .order_by(reflections.c.version)
        .with_for_update()
    )
    found: Sequence[Any] = connection.execute(wanted).all()
    if found and not any(one.head for one in found):
        # Whoever held them until now has added the one that holds.
        found = connection.execute(wanted).all()
    return found


@dataclass(frozen=True)
class Left:
    """What is left of a reflection once some versions are gone. present: the id of the version that is to hold.

    undecided: whether the newest of them was held back and still waits for somebody to decide.
    """

    present: str
    undecided: bool


def left_without(connection: Connection, user_id: str, kind: str, key: str, gone: Collection[str]) -> Left | None:
    """Say which version holds once these are gone, before they are: what was decided of them goes with them.

    The one that holds, or else the last that did. One that was held back holds only where none is left that ever did,
    and one that somebody rolled back from only where there is no other. None: none is left.
    """
    there = versions_locked(connection, user_id, kind, key)
    left = [one for one in there if one.id not in gone]
    if not left:
        return None
    decided = connection.execute(
        select(moves.c.id, moves.c.reflection_id, moves.c.former_id, moves.c.moved, moves.c.reason)
        .where(moves.c.user_id == user_id, moves.c.reflection_id.in_([one.id for one in there]))
        .order_by(moves.c.id)
    ).all()
    since = {one.reflection_id: one.id for one in decided if one.moved}
    held_back = {one.reflection_id for one in decided if not one.moved} - since.keys()
    unwanted = {one.former_id for one in decided if one.reason == ROLLBACK and one.id > since.get(one.former_id, 0)}

    def standing(one: Any) -> tuple[bool, bool, bool, int, int]:
        # Of a first version it is not written down since when it held: it was before all the others.
        return one.head, one.id not in unwanted, one.id not in held_back, since.get(one.id, 0), one.version

    present = max(left, key=standing)
    return Left(present.id, undecided=left[-1].id in held_back and left[-1] is not present)


def _head(there: Sequence[Any]) -> Any:
    return next(one for one in there if one.head)


def _take_down(connection: Connection, reflection_id: str) -> None:
    taken = connection.execute(
        update(reflections).where(reflections.c.id == reflection_id, reflections.c.head).values(head=False)
    )
    if not taken.rowcount:
        raise SeloError("moved_meanwhile", f"{reflection_id} does not hold any more: look again, then decide")


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did. former, present: (version, id) that held until then, and that holds now."""

    former: tuple[int, str]
    present: tuple[int, str]

    @property
    def changed(self) -> bool:
        """Whether another version holds now."""
        return self.former != self.present


def roll_back(
    connection: Connection,
    *,
    user_id: str,
    kind: str,
    on: date,
    version: int,
    actor: str,
    because: str,
    now: datetime,
) -> RolledBack:
    """Let any version hold, an earlier one or one that was held back; the one that holds already stays.

    Raises SeloError `no_versions` where there is no reflection on that date, `unknown_version` for one that is not.
    """
    key = on.isoformat()
    # First the row of the ledger, as whoever settles it does: else two would wait for each other.
    mine = (ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.key == key)
    connection.execute(select(ledger.c.id).where(*mine).with_for_update())
    there = versions_locked(connection, user_id, kind, key)
    if not there:
        raise SeloError("no_versions", f"there is no {kind} of {on}: `selo versions` lists what there is")
    wanted = next((one for one in there if one.version == version), None)
    if wanted is None:
        known = ", ".join(str(one.version) for one in there)
        raise SeloError("unknown_version", f"there is no version {version} of the {kind} of {on}: there is {known}")
    present = _head(there)
    done = RolledBack((present.version, present.id), (wanted.version, wanted.id))
    if not done.changed:
        return done
    _take_down(connection, present.id)
    connection.execute(update(reflections).where(reflections.c.id == wanted.id).values(head=True))
    connection.execute(update(ledger).where(*mine).values(reflection_id=wanted.id))
    # Somebody has decided: what held the new version back is over.
    connection.execute(
        update(ledger).where(*mine, ledger.c.reason == Reason.LOSS_GUARD).values(state=DONE, reason=None)
    )
    connection.execute(
        insert(moves).values(
            user_id=user_id,
            reflection_id=wanted.id,
            former_id=present.id,
            moved=True,
            reason=ROLLBACK,
            actor=actor,
            because=because,
            at=now,
        )
    )
    return done
