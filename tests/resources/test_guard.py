"""The resource guard: closes on pressure that lasts, opens well below it, and says so."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from selo_dagster.errors import SeloError
from selo_dagster.resources.guard import CLOSED, OPEN, UNKNOWN, Limits, judge, look, resource_factor, verdict_now
from selo_dagster.resources.sample import Sample, machine_sampler
from selo_dagster.resources.tables import resource_samples
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store

LIMITS = Limits(80, 80, 90, 97, 100)
CALM = Sample(20.0, 30.0, 40.0)


def cpu(percent: float | None, **others: float) -> Sample:
    """Return a sample with this much of the processors in use."""
    return Sample(percent, others.get("memory", 30.0), others.get("disk", 40.0), others.get("model"))


def after(*samples: Sample) -> str:
    """Return the state after these samples, from an open guard."""
    state, streak = OPEN, 0
    for sample in samples:
        judged = judge(state, streak, sample, LIMITS)
        state, streak = judged.state, judged.streak
    return state


def test_one_spike_does_not_close_it() -> None:
    assert after(cpu(99)) == OPEN
    assert after(cpu(99), CALM, cpu(99)) == OPEN


def test_two_samples_in_a_row_do() -> None:
    assert after(cpu(99), cpu(85)) == CLOSED
    assert after(cpu(10, memory=80), cpu(10, memory=80)) == CLOSED
    assert after(cpu(10, model=100), cpu(10, model=100)) == CLOSED


def test_it_stays_closed_between_the_two_thresholds() -> None:
    assert after(cpu(99), cpu(99), *[cpu(75)] * 10) == CLOSED


def test_it_opens_after_two_samples_well_below() -> None:
    assert after(cpu(99), cpu(99), cpu(60)) == CLOSED
    assert after(cpu(99), cpu(99), cpu(60), cpu(75), cpu(60)) == CLOSED
    assert after(cpu(99), cpu(99), cpu(60), cpu(60)) == OPEN


def test_a_filling_disk_is_told_of_and_a_full_one_closes_at_once() -> None:
    assert after(cpu(10, disk=92)) == OPEN
    assert after(cpu(10, disk=97)) == CLOSED
    assert after(cpu(10, disk=97), cpu(10, disk=96)) == CLOSED
    assert after(cpu(10, disk=97), cpu(10, disk=80), cpu(10, disk=80)) == OPEN


def test_could_not_tell_holds_back_and_recovers() -> None:
    assert after(cpu(None)) == UNKNOWN
    assert after(cpu(None), CALM) == OPEN


def test_the_state_is_durable_and_says_why(store: Store, store_url: str) -> None:
    for _ in range(2):
        look(store, lambda: cpu(93), LIMITS, fresh_s=0)
    other = Store(store_url)
    try:
        with other.read() as connection:
            verdict = verdict_now(connection)
    finally:
        other.close()
    assert verdict is not None
    assert verdict.holds_back
    assert "cpu 93 % (limit 80 %)" in verdict.sentence


def test_a_fresh_look_is_taken_as_it_is(store: Store) -> None:
    look(store, lambda: CALM, LIMITS, fresh_s=0)
    verdict = look(store, pytest.fail, LIMITS, fresh_s=60)
    assert verdict.state == OPEN


def test_a_disk_that_fills_is_a_warning(store: Store) -> None:
    verdict = look(store, lambda: cpu(10, disk=92), LIMITS, fresh_s=0)
    assert (verdict.state, verdict.warnings) == (OPEN, ("the disk is 92 % full (warning from 90 %)",))


@pytest.mark.postgres
def test_two_samples_at_once_are_not_two_in_a_row(store: Store) -> None:
    look(store, lambda: CALM, LIMITS, fresh_s=0)
    together = threading.Barrier(2)

    def busy() -> Sample:
        together.wait(timeout=20)
        return cpu(99)

    lookers = [threading.Thread(target=look, args=(store, busy, LIMITS), kwargs={"fresh_s": 0}) for _ in range(2)]
    for one in lookers:
        one.start()
    for one in lookers:
        one.join()
    with store.read() as connection:
        verdict = verdict_now(connection)
    assert verdict is not None
    assert verdict.state == OPEN


def test_the_resource_factor_is_the_upper_quartile_of_the_last_hour(store: Store) -> None:
    with store.read() as connection:
        assert resource_factor(connection) == 0.2
    with store.write() as connection:
        connection.execute(
            insert(resource_samples), [{"cpu": percent, "memory": 10.0} for percent in (10.0, 20.0, 30.0, 90.0)]
        )
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(resource_samples)).scalar_one() == 4
        assert 0.3 <= resource_factor(connection) <= 0.9


@pytest.mark.parametrize("name", ["selo", "ollama", "dagster-daemon"])
def test_the_real_sampler_reads_this_machine_and_leaves_our_own_work_out(tmp_path: Path, name: str) -> None:
    settings = load_settings({"SELO_HOME": str(tmp_path / "not" / "there")})
    sample = machine_sampler(settings)()
    assert all(value is not None and 0 <= value <= 100 for value in (sample.cpu, sample.memory, sample.disk))
    assert sample.model is None
    code = "import sys\nprint('busy', flush=True)\nwhile True: pass"
    ours = subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE)
    try:
        assert ours.stdout is not None
        ours.stdout.readline()
        import psutil

        from selo_dagster.resources.sample import _ours

        before = _ours()[ours.pid]
        psutil.Process(ours.pid).cpu_percent(0.2)
        assert _ours()[ours.pid] > before
    finally:
        ours.kill()
        ours.communicate()


def test_a_warning_that_comes_after_the_limit_is_refused() -> None:
    with pytest.raises(SeloError, match="SELO_DISK_WARN_PERCENT"):
        load_settings({"SELO_DISK_WARN_PERCENT": "98"})
