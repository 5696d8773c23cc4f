"""No alert is lost: whoever changed the state is killed right afterwards, and somebody else tells of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from random import Random

import pytest
from sqlalchemy import select

from selo_dagster.operations.alerts.keeping import keep
from selo_dagster.operations.alerts.tables import alerts
from selo_dagster.operations.alerts.telling import tell
from selo_dagster.store.engine import Store
from tests.crash.processes import FULL, ROOT
from tests.operations.alerts.changes import CHANGES
from tests.support.alert_server import AlertServer

pytestmark = pytest.mark.crash
SOME = ("dead", "saga_parked")


@pytest.mark.parametrize("name", CHANGES if FULL else SOME)
def test_the_alert_of_a_process_that_was_killed_reaches_its_address(store: Store, postgres_url: str, name: str) -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "tests.crash.alert_worker", postgres_url, name], cwd=ROOT, check=False, timeout=100
    )
    assert worker.returncode == -signal.SIGKILL
    with AlertServer() as server:
        with store.write() as connection:
            keep(connection, [])
        with store.read() as connection:
            codes = connection.execute(select(alerts.c.code)).scalars().all()
        tell(store, [server.address], random=Random(0))
    assert CHANGES[name][1] in codes
    assert sorted(one["title"] for one in server.taken) == sorted(f"{_title(store, code)}" for code in codes)


def _title(store: Store, code: str) -> str:
    with store.read() as connection:
        subject = connection.execute(select(alerts.c.subject).where(alerts.c.code == code)).scalar_one()
    about = f" ({subject})" if subject else ""
    return f"selo: {code}{about} needs a person"
