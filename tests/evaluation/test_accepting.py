"""A prompt or a model that scores lower cannot become the accepted one, and either database remembers which is."""

from __future__ import annotations

from datetime import timedelta

from selo_dagster.evaluation.accepting import TOLERANCE, accept_report, compared, report_of, store_report
from selo_dagster.evaluation.baseline import baseline
from selo_dagster.evaluation.measures import CONVERGENCE, PRECISION, RECALL
from selo_dagster.evaluation.report import Report, Score
from selo_dagster.llm.evaluations import accepted, accepted_fingerprint, newest
from selo_dagster.store.engine import Store
from tests.evaluation.reports import report, unmeasured
from tests.support.fakes import NOW


def accept(store: Store, made: Report, name: str, minutes: int = 0) -> tuple[str, ...]:
    """Keep a report and try to accept it; returns what spoke against it."""
    now = NOW + timedelta(minutes=minutes)
    with store.write() as connection:
        found = compared(connection, made)
        store_report(connection, made, now, name)
        assert accept_report(connection, name, found, now) is not bool(found.refusals)
    return found.refusals


def fingerprint(store: Store) -> str | None:
    with store.read() as connection:
        return accepted_fingerprint(connection)


def test_the_first_whole_evaluation_may_be_accepted_and_is_found_again(store: Store) -> None:
    assert fingerprint(store) is None
    assert accept(store, report(), "one") == ()
    assert fingerprint(store) == "a" * 64
    with store.read() as connection:
        row = accepted(connection)
        assert row is not None
        assert report_of(row) == report()
        assert [one.id for one in newest(connection, 5)] == ["one"]


def test_the_first_is_held_against_the_embedded_model_which_serves_by_default(store: Store) -> None:
    standard = baseline()
    lower = standard.scores | {RECALL: standard.scores[RECALL] - TOLERANCE - 0.01}
    (said,) = accept(store, report("qwen", "a" * 64, **lower).model_copy(update={"digest": standard.digest}), "one")
    assert said.startswith(f"{RECALL} fell from {standard.scores[RECALL]:.4f} (extractive, which serves by default)")
    assert fingerprint(store) is None
    as_good = report("qwen", "a" * 64, **standard.scores).model_copy(update={"digest": standard.digest})
    assert accept(store, as_good, "two") == ()


def test_a_lower_score_is_refused_and_the_accepted_one_stays(store: Store) -> None:
    accept(store, report(), "one")
    (said,) = accept(store, report("llama", "b" * 64, citation_recall=0.9 - TOLERANCE - 0.01), "two", 1)
    assert said == f"{RECALL} fell from 0.9000 (qwen, accepted) to 0.8600"
    assert fingerprint(store) == "a" * 64


def test_chance_is_allowed_a_little_and_a_model_without_chance_nothing(store: Store) -> None:
    accept(store, report(), "one")
    assert accept(store, report("llama", "b" * 64, citation_recall=0.9 - TOLERANCE), "two", 1) == ()
    assert fingerprint(store) == "b" * 64
    (said,) = accept(store, report("extractive", "c" * 64, citation_recall=0.86), "three", 2)
    assert "0.8700 (llama, accepted) to 0.8600" in said


def test_what_could_not_be_measured_is_never_accepted(store: Store) -> None:
    assert accept(store, unmeasured(report(), RECALL, 3), "one") == ("3 checks could not be measured (timeout 3)",)
    assert accept(store, report().model_copy(update={"full": False}), "two") == ("not every family was asked for",)
    assert fingerprint(store) is None


def test_a_measure_without_a_score_is_never_accepted(store: Store) -> None:
    made = report()
    nothing = Score(score=None, held=0, of=0, unmeasured=0, failing={})
    without = made.model_copy(update={"scores": made.scores | {PRECISION: nothing}})
    assert accept(store, without, "one") == (f"there is no score for {PRECISION}",)
    assert fingerprint(store) is None


def test_a_fault_of_the_engine_is_never_accepted(store: Store) -> None:
    (said,) = accept(store, report(convergence=0.99), "one")
    assert said.startswith(f"{CONVERGENCE} is 0.9900: no model can change it")


def test_scores_of_other_cases_are_not_compared_and_it_is_said(store: Store) -> None:
    accept(store, report(), "one")
    other = report("llama", "b" * 64, citation_recall=0.1).model_copy(update={"digest": "other"})
    with store.read() as connection:
        found = compared(connection, other)
    assert found.refusals == ()
    assert "not comparable" in found.notes[0]
