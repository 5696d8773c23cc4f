"""An evaluation of a model behind a server: as many calls at once as it has slots, and an outage is never a score."""

from __future__ import annotations

from selo_dagster.evaluation.evaluate import evaluate
from selo_dagster.evaluation.measures import RECALL, UPDATES
from selo_dagster.evaluation.report import Report
from selo_dagster.llm.breaker import FAILURES_TO_OPEN
from selo_dagster.settings import load_settings
from tests.evaluation.test_measures import CITED
from tests.support.fault_server import MODEL, FaultServer, Received, Step, ok, slow, status

SLOTS = 3


def updates(server: FaultServer, limit_s: float = 10) -> Report:
    """Evaluate the bundled updates with the model of a server."""
    settings = load_settings(
        {
            "SELO_LLM_URL": server.url,
            "SELO_LLM_MODEL": MODEL,
            "SELO_LLM_SLOTS": str(SLOTS),
            "REFLECTION_LLM_TIMEOUT_S": str(limit_s),
        }
    )
    return evaluate(settings, families=["updates"])


def test_it_asks_as_much_at_once_as_the_server_takes_and_counts_what_it_cost() -> None:
    with FaultServer(lambda _: slow(0.02)) as server:
        report = updates(server)
        assert (report.model, report.complete) == (MODEL, True)
        assert server.peak == SLOTS
        assert report.model_calls == len(server.requests)
        assert (report.input_tokens, report.output_tokens) == (100 * len(server.requests), 50 * len(server.requests))


def test_a_server_that_is_silent_is_left_soon_and_nothing_is_scored() -> None:
    with FaultServer(lambda _: slow(30)) as server:
        report = updates(server, limit_s=0.3)
        assert (report.complete, report.scores[UPDATES].score) == (False, None)
        assert report.scores[UPDATES].unmeasured > 0
        assert set(report.faults) == {"timeout"}
        assert report.model_calls <= FAILURES_TO_OPEN + SLOTS


def test_what_a_server_answered_before_it_went_is_measured_and_the_rest_is_not() -> None:
    def goes(received: Received) -> Step:
        return ok() if received.number < 3 else status(503)

    with FaultServer(goes) as server:
        report = updates(server)
        assert not report.complete
        assert report.scores[UPDATES].score is not None
        assert report.scores[UPDATES].unmeasured > 0
        assert "overloaded" in report.faults


def test_the_cases_of_a_test_say_so_too() -> None:
    with FaultServer(lambda _: ok()) as server:
        settings = load_settings({"SELO_LLM_URL": server.url, "SELO_LLM_MODEL": MODEL})
        report = evaluate(settings, families=["citations"], cases=CITED)
    # The scripted server cites the first source, which is the one that matters.
    assert report.scores[RECALL].score == 1.0
