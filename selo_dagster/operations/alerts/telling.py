"""Delivers notices: at least once to each address, with growing waits, whatever dies in between."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sqlalchemy import select, update

from selo_dagster.operations.alerts.tables import OPENED, RESOLVED, STILL, alert_notices, alerts
from selo_dagster.operations.problems import runbook_of
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now

log = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 15.0
LONGEST_WAIT_S: Final = 900.0
HELD_S: Final = 120.0
"""Seconds for which a notice that is being delivered is left alone by others."""

AT_ONCE: Final = 50
HEADLINES: Final = {OPENED: "needs a person", STILL: "still needs a person", RESOLVED: "is over"}

Send = Callable[[str, str, str], bool]
"""(address, title, body) -> whether it was taken."""


@dataclass(frozen=True)
class Told:
    """What one round of deliveries came to, in notices."""

    delivered: int = 0
    put_off: int = 0


def name_of(address: str) -> str:
    """Return what is kept of an address: it may hold a password."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def by_apprise(address: str, title: str, body: str) -> bool:
    """Send by Apprise: webhook, mail, chat. False where it was not taken; an address it cannot read is not taken."""
    import apprise

    # Its own words may hold parts of an address.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    sender = apprise.Apprise()
    return bool(sender.add(address) and sender.notify(title=title, body=body))


def tell(store: Store, addresses: Sequence[str], *, send: Send = by_apprise, random: Random) -> Told:
    """Deliver what is due. A notice is done when every address has it; one that has it is not told again.

    Without an address notices count as delivered: they stay readable in `selo alerts`.
    """
    delivered = put_off = 0
    while delivered + put_off < AT_ONCE and (notice := _next(store)) is not None:
        reached = set(notice.reached)
        for address in addresses:
            if name_of(address) not in reached and _sent(send, address, notice):
                reached.add(name_of(address))
                _keep(store, notice.id, reached)
        done = all(name_of(address) in reached for address in addresses)
        _settle(store, notice, done=done, random=random)
        delivered += done
        put_off += not done
    return Told(delivered, put_off)


def _next(store: Store) -> Any:
    """Take the notice that is due first for a while; whoever dies with it gives it back by doing nothing."""
    with store.write() as connection:
        row = connection.execute(
            select(alert_notices, alerts.c.code, alerts.c.subject)
            .join(alerts, alerts.c.id == alert_notices.c.alert_id)
            .where(alert_notices.c.delivered_at.is_(None), alert_notices.c.next_attempt_at <= database_now())
            .order_by(alert_notices.c.next_attempt_at, alert_notices.c.id)
            .limit(1)
            .with_for_update(of=alert_notices, skip_locked=True)
        ).one_or_none()
        if row is not None:
            connection.execute(
                update(alert_notices)
                .where(alert_notices.c.id == row.id)
                .values(next_attempt_at=database_now(HELD_S), attempts=alert_notices.c.attempts + 1)
            )
        return row


def _sent(send: Send, address: str, notice: Any) -> bool:
    about = f" ({notice.subject})" if notice.subject else ""
    title = f"selo: {notice.code}{about} {HEADLINES[notice.what]}"
    body = f"{notice.message}\n\nWhat to do: {runbook_of(notice.code)}"
    try:
        return send(address, title, body)
    except Exception as broken:  # noqa: BLE001 - whatever a sender raises, the notice stays and is tried again
        log.warning("an address of alerts (%s) failed with %s", name_of(address), type(broken).__name__)
        return False


def _keep(store: Store, notice_id: int, reached: set[str]) -> None:
    with store.write() as connection:
        connection.execute(update(alert_notices).where(alert_notices.c.id == notice_id).values(reached=sorted(reached)))


def _settle(store: Store, notice: Any, *, done: bool, random: Random) -> None:
    wait_s = random.uniform(0.5, 1.0) * min(FIRST_WAIT_S * 2**notice.attempts, LONGEST_WAIT_S)
    changes: dict[str, Any] = {"delivered_at": database_now()} if done else {"next_attempt_at": database_now(wait_s)}
    with store.write() as connection:
        connection.execute(update(alert_notices).where(alert_notices.c.id == notice.id).values(**changes))
