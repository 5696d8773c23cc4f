"""An evaluation of a model behind a server: as many calls at once as it has slots, and an outage is never a score."""

from __future__ import annotations

from selo_dagster.evaluation.evaluate import evaluate
from selo_dagster.evaluation.measures import ANSWERS, RECALL
from selo_dagster.evaluation.report import Report
from selo_dagster.llm.breaker import FAILURES_TO_OPEN
from selo_dagster.settings import load_settings
from tests.evaluation.models import case_set, expected, memory, person
from tests.support.fault_server import MODEL, FaultServer, Received, Step, ok, slow, status

SLOTS = 3
DAYS = ("2026-03-02", "2026-03-03")
CASES = case_set(
    *(
        line
        for day in DAYS
        for number in range(6)
        for line in (
            *person(f"of-{day}-{number}", "citations"),
            memory("m1", f"Ana saw {number} swans", f"{day}T10:00:00Z"),
            expected(day, cite=[["memory:m1"]]),
        )
    )
)
"""Six people on one day and six on the next."""


def evaluated(server: FaultServer, limit_s: float = 10) -> Report:
    """Evaluate the model of a server."""
    settings = load_settings(
        {
            "SELO_LLM_URL": server.url,
            "SELO_LLM_MODEL": MODEL,
            "SELO_LLM_SLOTS": str(SLOTS),
            "REFLECTION_LLM_TIMEOUT_S": str(limit_s),
        }
    )
    return evaluate(settings, families=["citations"], cases=CASES)


def test_it_asks_as_much_at_once_as_the_server_takes_and_counts_what_it_cost() -> None:
    with FaultServer(lambda _: slow(0.05)) as server:
        report = evaluated(server)
        assert (report.model, report.complete) == (MODEL, True)
        assert server.peak == SLOTS
        # The scripted server cites the first source, which is the one that matters.
        assert (report.scores[RECALL].score, report.scores[ANSWERS].of) == (1.0, 12)
        assert (report.model_calls, report.input_tokens, report.output_tokens) == (12, 1_200, 600)


def test_a_server_that_is_silent_is_left_soon_and_nothing_is_scored() -> None:
    with FaultServer(lambda _: slow(30)) as server:
        report = evaluated(server, limit_s=0.3)
        assert (report.complete, report.scores[RECALL].score) == (False, None)
        assert report.scores[RECALL].unmeasured == 12
        assert set(report.faults) == {"timeout"}
        assert report.model_calls <= FAILURES_TO_OPEN + SLOTS


def test_what_a_server_answered_before_it_went_is_measured_and_the_rest_is_not() -> None:
    def goes(received: Received) -> Step:
        return ok() if received.number < 6 else status(503)

    with FaultServer(goes) as server:
        report = evaluated(server)
        assert not report.complete
        recall = report.scores[RECALL]
        assert (recall.score, recall.held, recall.unmeasured) == (1.0, 6, 6)
        assert "overloaded" in report.faults
