"""The deploy guard: a definition that an unfinished or still undoable saga needs must be there, unchanged. R13."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from selo_dagster.errors import SeloError
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.states import COMPLETED, ENDED
from selo_dagster.sagas.tables import saga_definitions, sagas


@dataclass(frozen=True)
class Missing:
    """A definition that is needed and is not there as it was. why: `gone` or `changed`; sagas: how many need it."""

    type: str
    version: int
    why: str
    sagas: int

    @property
    def sentence(self) -> str:
        """Say what to do."""
        mend = "bring it back" if self.why == "gone" else "bring it back, and give the changed one a new version"
        return f"{self.type} version {self.version} is {self.why} and {self.sagas} sagas still need it: {mend}"


def missing_definitions(connection: Connection, registry: Registry, now: datetime) -> list[Missing]:
    """Return the definitions that sagas need, for going on or for an undo, and that this code does not have."""
    found: list[Missing] = []
    for known in connection.execute(
        select(saga_definitions).order_by(saga_definitions.c.type, saga_definitions.c.version)
    ):
        saga = registry.by_version.get((known.type, known.version))
        if saga is not None and saga.fingerprint == known.fingerprint:
            continue
        days = int(known.document.get("undo_days", 0))
        needing = connection.execute(
            select(func.count()).where(
                sagas.c.type == known.type,
                sagas.c.version == known.version,
                sagas.c.state.not_in(ENDED)
                | ((sagas.c.state == COMPLETED) & (sagas.c.ended_at > now - timedelta(days=days))),
            )
        ).scalar_one()
        if needing:
            found.append(Missing(known.type, known.version, "gone" if saga is None else "changed", needing))
    return found


def require_definitions(connection: Connection, registry: Registry, now: datetime) -> None:
    """Raise SeloError `stranded_sagas` when a definition that a saga needs is gone or changed."""
    missing = missing_definitions(connection, registry, now)
    if missing:
        raise SeloError("stranded_sagas", "; ".join(one.sentence for one in missing))


def definition_of(registry: Registry, type_name: str, version: int) -> Saga:
    """Return the definition of a saga that is there. Raises SeloError `definition_gone`."""
    found = registry.by_version.get((type_name, version))
    if found is None:
        raise SeloError("definition_gone", f"{type_name} version {version} is not part of this code: bring it back")
    return found
