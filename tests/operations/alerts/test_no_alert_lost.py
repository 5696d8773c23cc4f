"""An alert is written with the change of state that it is about: both happen, or neither does."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, func, select

from selo_dagster.operations.alerts.keeping import keep
from selo_dagster.operations.alerts.tables import alerts
from selo_dagster.sagas.tables import saga_alerts
from selo_dagster.store.alert_signals import alert_signals
from selo_dagster.store.engine import Store
from tests.operations.alerts.changes import CHANGES


def left(connection: Connection) -> int:
    """Return how many signals and untold alerts of sagas there are."""
    return sum(
        connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (alert_signals, saga_alerts)
    )


@pytest.mark.parametrize("name", CHANGES)
def test_the_alert_is_there_with_the_change_and_gone_without_it(store: Store, name: str) -> None:
    prepare, code = CHANGES[name]
    change = prepare(store)
    with store.read() as connection:
        before = left(connection)

    class KilledError(Exception):
        pass

    with pytest.raises(KilledError), store.write() as connection:
        change(connection)
        raise KilledError
    with store.read() as connection:
        assert left(connection) == before
    with store.write() as connection:
        change(connection)
    with store.write() as connection:
        keep(connection, [])
        assert code in connection.execute(select(alerts.c.code)).scalars().all()
