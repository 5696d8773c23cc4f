"""The sensor that keeps and delivers the alerts. The HTTP application does so too: either is enough."""

from collections.abc import Callable, Iterator

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock
from selo_dagster.operations.alerts.round import make_round, problems_of
from selo_dagster.operations.alerts.telling import Send, by_apprise
from selo_dagster.operations.problems import HTTP
from selo_dagster.operations.self_check import Checked, missing_tables, switched_off
from selo_dagster.operations.status import status
from selo_dagster.settings import process_settings
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.opening import open_store

NAME = "alerts"
INTERVAL_S = 30
SEEN_FROM_OUTSIDE = ("not_ready", "self_check")


def alerts_sensor(clock: Callable[[], Clock] = SystemClock, send: Send = by_apprise) -> dg.SensorDefinition:
    """Build the sensor. It asks for no run."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Opens an alert for what needs a person, tells SELO_ALERT_URLS of it, repeats it quietly, and "
        "says when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
        settings = process_settings()
        with private_boundary(NAME), open_store(settings) as store:
            with store.read() as connection:
                checked = Checked(tuple(missing_tables(connection)), tuple(switched_off(context.instance)))
                found = status(connection, clock().now(), settings, checked)
            problems = problems_of(found)
            # What only the HTTP application can see is its to take back, while there is one.
            blind = SEEN_FROM_OUTSIDE if HTTP in found["heartbeats"] else ()
            done = make_round(store, problems, settings.alert_addresses, blind=blind, send=send)
            with store.write() as connection:
                beat(connection, NAME, {"problems": len(problems), **done.counts})
        said = ", ".join(f"{what} {number}" for what, number in done.counts.items() if number)
        yield dg.SkipReason(f"{len(problems)} problems{'; ' + said if said else ''}")

    return alerts
