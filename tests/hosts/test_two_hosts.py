"""A night on two machines: they share it, and when one is cut off or lost, the other finishes it alone."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from selo_dagster.reflections.states import DONE
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.crash.processes import until
from tests.hosts.books import (
    by_machine,
    check_nothing_is_lost_or_doubled,
    held,
    how_far,
    is_over,
    late_leases,
    ledger,
    lost_attempts,
    rows,
    runs_under_way,
    takeovers,
)
from tests.hosts.installation import (
    LEASE_S,
    LOST_CLIENTS,
    Installation,
    installation,
    selo,
    start_code,
    start_daemon,
    start_selo,
)
from tests.hosts.network import Machine
from tests.hosts.people import ask_for_notices, take_in

log = logging.getLogger(__name__)

PEOPLE = 160
TOLD = 80
CALL_S, NOTICE_S = 0.5, 1.5
LIMIT_S = 400.0
FENCED = "was lost: nothing was stored"


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """Two machines with a code server each, and one PostgreSQL, with settings of its own where a test says so."""
    lost_clients = getattr(request, "param", LOST_CLIENTS)
    with installation(tmp_path, call_s=CALL_S, notice_s=NOTICE_S, lost_clients=lost_clients) as made:
        # Whoever asks for a notice has to know that there is somebody to tell.
        monkeypatch.setenv("SELO_NOTICE_URL", made.notices.url)
        process_settings.cache_clear()
        for machine in (made.a, made.b):
            start_code(machine)
        yield made


@contextmanager
def patient(both: Installation) -> Iterator[None]:
    """Say how far it was, and what the machines printed, when a wait was in vain."""
    try:
        yield
    except AssertionError as failed:
        told = "".join(
            f"\n--- {machine.name} {path.name}\n{machine.said(path.name)}"
            for machine in (both.a, both.b)
            for path in sorted(machine.logs.iterdir())
        )
        raise AssertionError(f"{failed}\n{how_far(both)}{told}") from failed


def at_work(*machines: Machine) -> list[subprocess.Popen[bytes]]:
    """Start on each machine what works: a night, and somebody who carries sagas out."""
    return [
        start_selo(machine, name, *arguments)
        for machine in machines
        for name, arguments in (("night", ["night", "--json"]), ("sagas", ["saga", "run", "--json"]))
    ]


def in_the_middle(both: Installation) -> bool:
    """Tell whether both machines are at it, in dailies and in notices, and far from the end."""
    done = rows(both.store, ledger.c.kind == "daily", ledger.c.state == DONE)
    told = {one.client for one in both.notices.requests}
    return done >= PEOPLE // 5 and len(both.notices.told) >= TOLD // 5 and len(told) == len(by_machine(both)) == 2


def cut_in_the_middle(both: Installation) -> tuple[list[str], list[str], float]:
    """Let both machines work, with the daemon on A, and cut A off; B gets a daemon, as its operator sees to.

    Returns the people, the sagas that tell, and the instant of the cut.
    """
    people = take_in(both.store, PEOPLE)
    notices = ask_for_notices(both.store, people[:TOLD])
    daemon = start_daemon(both.a)
    at_work(both.a, both.b)
    until(lambda: in_the_middle(both), "the machines do not come to the middle", LIMIT_S)
    assert daemon.poll() is None
    both.a.cut_off()
    cut = time.monotonic()
    done, told = rows(both.store, ledger.c.kind == "daily", ledger.c.state == DONE), len(both.notices.told)
    assert done < PEOPLE * 3 // 4, "the cut comes too late for the night"
    assert told < TOLD * 3 // 4, "the cut comes too late for the notices"
    log.info(f"cut with {done} of {PEOPLE} dailies done, {told} of {TOLD} told, {held(both.store)} held")
    start_daemon(both.b)
    return people, notices, cut


def rest(both: Installation, people: int) -> None:
    """Start one night after the other on B until everything is over, as a timer does.

    What waited for a daily that was taken over comes due when somebody enrols: a night, or the schedules' next tick.
    """
    end = time.monotonic() + LIMIT_S
    while not is_over(both, people):
        assert time.monotonic() < end, "the night does not end"
        selo(both.b, "night")


def until_all_is_well(both: Installation, people: list[str], notices: list[str], cut: float) -> None:
    """Wait until everything is over, here and in Dagster, and look whether it is as it should be."""
    rest(both, len(people))
    whole = time.monotonic() - cut
    until(lambda: not runs_under_way(both), "a run stays under way", LIMIT_S)
    check_nothing_is_lost_or_doubled(both, people, notices)
    status, told = selo(both.b, "status")
    assert (status, told["problems"]) == (0, [])
    log.info(
        f"lease {LEASE_S:g} s: all over {whole:.1f} s after the cut, in Dagster after {time.monotonic() - cut:.1f} s; "
        f"{lost_attempts(both.store)} attempts and {takeovers(both.store)} sagas taken over; calls {by_machine(both)}"
    )


def all_taken_over(store: Store) -> bool:
    """Tell whether others have what the lost machine held, of both."""
    return lost_attempts(store) > 0 and takeovers(store) > 0 and not late_leases(store)


def fenced(machine: Machine) -> int:
    """Return how often a process of a machine found that its claim was gone."""
    return sum(path.read_text(errors="replace").count(FENCED) for path in machine.logs.iterdir())


def a_night_on(both: Installation, machines: list[Machine], people: list[str], total: int) -> dict[str, int]:
    """Let machines do a night of some people; returns how many calls each made. total: of all people so far."""
    before = by_machine(both)
    began = time.monotonic()
    with patient(both):
        nights = [start_selo(machine, "night", "night", "--json") for machine in machines]
        assert [night.wait(LIMIT_S) for night in nights] == [0] * len(machines)
        assert is_over(both, total), "the nights ended before everything was done"
    calls = {name: number - before.get(name, 0) for name, number in by_machine(both).items()}
    log.info(f"{len(people)} people on {len(machines)}: {time.monotonic() - began:.1f} s, calls {calls}")
    return calls


def test_two_machines_share_a_night_between_them(both: Installation) -> None:
    alone = take_in(both.store, PEOPLE, "p")
    a_night_on(both, [both.b], alone, PEOPLE)
    shared = take_in(both.store, PEOPLE, "q")
    calls = a_night_on(both, [both.a, both.b], shared, 2 * PEOPLE)
    assert min(calls.values()) > sum(calls.values()) // 4, "one of them did nearly everything"
    check_nothing_is_lost_or_doubled(both, [*alone, *shared], [])


def test_a_machine_that_is_cut_off_and_killed_in_the_middle_leaves_a_night_that_the_other_finishes(
    both: Installation,
) -> None:
    with patient(both):
        people, notices, cut = cut_in_the_middle(both)
        until(lambda: lost_attempts(both.store) > 0, "nobody takes over", LIMIT_S)
        first = time.monotonic() - cut
        log.info(f"taken over after {first:.1f} s; then {both.a.kill()} processes of the lost machine are killed")
        until_all_is_well(both, people, notices, cut)


@pytest.mark.parametrize("both", [()], indirect=True, ids=["the-server-waits"])
def test_a_machine_that_comes_back_after_others_took_over_changes_nothing_of_theirs(both: Installation) -> None:
    with patient(both):
        people, notices, cut = cut_in_the_middle(both)
        until(lambda: all_taken_over(both.store), "nobody takes over", LIMIT_S)
        assert not is_over(both, PEOPLE), "it comes back too late"
        assert both.a.processes()
        both.a.plug_in()
        log.info(f"back after {time.monotonic() - cut:.1f} s")
        until(lambda: fenced(both.a) > 0, "nobody of the machine that was away has noticed", LIMIT_S)
        until_all_is_well(both, people, notices, cut)
        log.info(f"{fenced(both.a)} times a process that was away found its claim gone")
