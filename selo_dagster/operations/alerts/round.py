"""One round of the alerts: keep and tell. The sensor and the HTTP application both make them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from selo_dagster.operations.alerts.keeping import Kept, keep
from selo_dagster.operations.alerts.telling import Send, Told, by_apprise, tell
from selo_dagster.operations.problems import Problem
from selo_dagster.store.engine import Store


@dataclass(frozen=True)
class Round:
    """What a round did."""

    kept: Kept
    told: Told

    @property
    def counts(self) -> dict[str, int]:
        """Return it in numbers, by name."""
        return {
            "opened": self.kept.opened,
            "repeated": self.kept.repeated,
            "resolved": self.kept.resolved,
            "delivered": self.told.delivered,
            "put_off": self.told.put_off,
        }


def problems_of(status: Mapping[str, Any]) -> list[Problem]:
    """Return the problems that a status names."""
    return [Problem(one["code"], one["message"], one["subject"]) for one in status["problems"]]


def make_round(
    store: Store,
    problems: Sequence[Problem],
    addresses: Sequence[str],
    *,
    blind: Collection[str] = (),
    send: Send = by_apprise,
) -> Round:
    """Keep the alerts in step with what needs a person now, and deliver what is due. blind: as for `keep`."""
    with store.write() as connection:
        kept = keep(connection, problems, blind=blind)
    return Round(kept, tell(store, addresses, send=send, random=SystemRandom()))
