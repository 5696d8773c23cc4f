"""What needs a person, and why: one rule each, with its heading in the runbook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from selo_dagster.llm.breaker import Standing
from selo_dagster.llm.tables import CLOSED
from selo_dagster.operations.self_check import SENSORS
from selo_dagster.output import instant
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import DEAD
from selo_dagster.resources.guard import Verdict
from selo_dagster.sagas.check import Missing
from selo_dagster.settings import Settings
from selo_dagster.store.heartbeats import Heartbeat

SILENT_AFTER_S: Final = 300
"""Seconds without a sign of life from a sensor that ticks every few seconds, while there is work for it."""

SCHEDULE_SILENT_AFTER_S: Final = 2_400
"""Seconds without a tick of a schedule that ticks every quarter of an hour."""

SCHEDULE: Final = "_schedule"
HTTP: Final = "http"
"""Whose heartbeat is the HTTP application's."""

TICKING: Final = frozenset({*SENSORS, *(kind.schedule for kind in KINDS.values())})
"""What leaves a heartbeat with each tick."""

CANARY_PEOPLE: Final = 3
"""People in a run from which on it means something that every one of them failed."""

RUNBOOK: Final = "docs/runbook.md"


def runbook_of(code: str) -> str:
    """Return the place in the runbook that says what to do."""
    return f"{RUNBOOK}#{code}"


@dataclass(frozen=True)
class Problem:
    """Something that needs a person. code: its heading in the runbook; subject: what it is about, never a person."""

    code: str
    message: str
    subject: str = ""

    @property
    def runbook(self) -> str:
        """Return the place in the runbook."""
        return runbook_of(self.code)

    @property
    def shown(self) -> dict[str, str]:
        """Return it ready for JSON."""
        return {"code": self.code, "subject": self.subject, "message": self.message, "runbook": self.runbook}


def zone_problems(zones: Iterable[str]) -> list[Problem]:
    """Return a problem for each name that is no time zone."""
    return [
        Problem("bad_zone", f"people live in {zone!r}, which is no time zone: they are not reflected on", zone[:80])
        for zone in zones
    ]


def silent_ones(beats: Sequence[Heartbeat], has_work: Mapping[str, bool]) -> list[Problem]:
    """Return what leaves no sign of life: everything, one sensor that has work, one schedule, the HTTP application.

    Without work, a sensor that was stopped on purpose needs nobody.
    """
    ages = {one.name: one.age_s for one in beats}
    found = []
    if ages.get(HTTP, 0.0) > SILENT_AFTER_S:
        found.append(Problem("http_silent", f"the HTTP application has been silent for {ages[HTTP]:.0f} s", HTTP))
    ticking = {name: age_s for name, age_s in ages.items() if name in TICKING}
    if ticking and (newest := min(ticking.values())) > SILENT_AFTER_S:
        return [*found, Problem("daemon_silent", f"no sensor and no schedule has ticked for {newest:.0f} s")]
    for name, age_s in ticking.items():
        if name.endswith(SCHEDULE):
            if age_s > SCHEDULE_SILENT_AFTER_S:
                found.append(Problem("schedule_silent", f"{name} has not ticked for {age_s:.0f} s, or it fails", name))
        elif age_s > SILENT_AFTER_S and has_work.get(name, any(has_work.values())):
            said = f"{name} has been silent for {age_s:.0f} s while there is work for it"
            found.append(Problem("sensor_silent", said, name))
    return found


SAGA_PROBLEMS: Final = {
    "parked": ("saga_parked", "parked: somebody has to decide"),
    "in_doubt": ("saga_in_doubt", "in doubt whether an effect outside happened"),
    "compensation_incomplete": ("saga_undo_incomplete", "not undone whole"),
    "late": ("saga_late", "past the deadline, without a way back"),
    "untaken": ("sagas_untaken", "ready, and nothing takes them"),
}
"""Condition of a saga -> code and what is said of such sagas."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return "1 saga" or "2 sagas"."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def saga_problems(watched: Mapping[tuple[str, str], int], stranded: Sequence[Missing]) -> list[Problem]:
    """Return what sagas wait for a person for. watched: number of sagas by (condition, type)."""
    found = [
        Problem(
            SAGA_PROBLEMS[condition][0],
            f"{type_name}: {counted(number, 'saga')} {SAGA_PROBLEMS[condition][1]}",
            type_name,
        )
        for (condition, type_name), number in sorted(watched.items())
        if condition in SAGA_PROBLEMS
    ]
    return found + [Problem("stranded_sagas", one.sentence, one.type) for one in stranded]


def saturated(people: int) -> list[Problem]:
    """Return the problem of personas at the ends of their scales."""
    if not people:
        return []
    whose = counted(people, "person", "people")
    return [Problem("persona_saturated", f"the personas of {whose} have come to the ends of several scales")]


def parked_problems(parked: int) -> list[Problem]:
    """Return the problem of events that could not be judged."""
    if not parked:
        return []
    return [Problem("events_parked", f"{counted(parked, 'event')} put aside: not to be read or judged")]


def kind_problems(name: str, kind: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with one kind of reflection, from its part of the status."""
    found = []
    if dead := kind["states"][DEAD]:
        found.append(Problem("dead", f"{name}: {counted(dead, 'obligation')} without an attempt left", name))
    if rejected := kind["rejected_for_good"]:
        found.append(
            Problem("rejected", f"{name}: {counted(rejected, 'answer')} rejected, waiting for somebody to look", name)
        )
    if kind["lag_s"] > kind["lag_target_s"]:
        found.append(
            Problem("overdue", f"{name}: {kind['ready']} are due, the oldest since {kind['oldest_ready_since']}", name)
        )
    if kind["fruitless"]:
        found.append(
            Problem(
                "silent_success",
                f"{name}: {kind['fruitless']} were settled in the last {kind['fruitless_days']} days and made nothing",
                name,
            )
        )
    return found


def job_problems(jobs: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Return the jobs whose last run failed for every single person."""
    return [
        Problem("all_failed", f"{one['job']}: all {one['total']} of its last run failed", one["job"])
        for one in jobs
        if one["total"] >= CANARY_PEOPLE and one["failed"] == one["total"] and one["last_finish"] is not None
    ]


def late_one_offs(found: Mapping[str, int]) -> list[Problem]:
    """Return the problem of one-offs that should have begun."""
    if not found["overdue"]:
        return []
    return [
        Problem("one_offs_overdue", f"{found['overdue']} one-offs should have begun: no sensor, schedule or night ran")
    ]


def missing_problems(missing: Sequence[str], stopped: Sequence[str]) -> list[Problem]:
    """Return what is missing, and what somebody switched off. stopped: "schedule name" or "sensor name"."""
    found = [Problem("self_check", f"{name} is missing", name[:80]) for name in missing]
    return found + [
        Problem(f"{name.split(' ', 1)[0]}_stopped", f"{name} is switched off", name.split(" ", 1)[1])
        for name in stopped
    ]


def acceptance_problems(unaccepted: str | None) -> list[Problem]:
    """Return the problem of a model or prompts that no evaluation accepted, where that is asked for."""
    return [] if unaccepted is None else [Problem("eval_not_accepted", unaccepted)]


PROVIDER_DOWN_AFTER_S: Final = 300.0
"""Seconds of an outage of the model's server after which a person is told."""


def provider_problems(host: str, standing: Standing) -> list[Problem]:
    """Return the problem of a model's server that has been gone for minutes."""
    if standing.state == CLOSED or standing.down_s < PROVIDER_DOWN_AFTER_S:
        return []
    since = "" if standing.opened_at is None else f" since {instant(standing.opened_at)}"
    return [
        Problem(
            "provider_down", f"the model's server {host} has been gone{since}: what needs it waits, and loses nothing"
        )
    ]


def budget_problems(found: Mapping[str, Any] | None) -> list[Problem]:
    """Return what spent budgets hold back, and where more was spent than allowed. found: of the status.

    A person whose own budget is spent needs nobody.
    """
    if found is None:
        return []
    spent = [
        Problem(
            "budget_spent", f"{one['kind']}: {one['number']} wait until {found['until']}: {one['because']}", one["kind"]
        )
        for one in found["held_back"]
        if one["scope"] is not None
    ]
    return spent + [
        Problem(
            "budget_exceeded",
            f"{one['subject'] or 'the fleet'}: more is spent today than its budget allows",
            one["subject"],
        )
        for one in found["lines"]
        if one["exceeded"]
    ]


def guard_problems(verdict: Verdict | None, settings: Settings) -> list[Problem]:
    """Return what the resource guard has to say."""
    if verdict is None:
        return []
    found = [Problem("disk_filling", warning) for warning in verdict.warnings]
    if verdict.holds_back and verdict.blocked_s >= settings.guard_long_s:
        found.append(Problem("guard_closed", f"scheduled work is held back: {verdict.sentence}"))
    return found
