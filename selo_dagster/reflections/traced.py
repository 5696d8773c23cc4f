"""What reflections tell in traces: ids, codes and numbers, and a person's partition key, never the id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.report import keys_of
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.states import BROKEN
from selo_dagster.tracing.places import Place, of_obligation, of_run
from selo_dagster.tracing.spans import SILENT, Span, opening, span
from selo_dagster.tracing.switch import on


class CohortSpans:
    """The spans of one cohort. The cohort is a trace of its own; each person's reflection is one with a link to it."""

    def __init__(self, run_id: str, kind: str, model: str) -> None:
        self._run_id, self._kind, self._model = run_id, kind, model
        self._run = of_run(run_id)
        self._whose: dict[int, str] = {}

    def cohort(self) -> Span:
        """Begin the cohort's own."""
        return opening("selo.cohort", self._run, kind=self._kind, run=self._run_id)

    def claimed(self, connection: Connection, claims: Sequence[Claim]) -> None:
        """Remember whose claims these are, by partition key."""
        if on():
            keys = keys_of(connection, (one.user_id for one in claims))
            self._whose.update((one.id, keys[one.user_id]) for one in claims if one.user_id in keys)

    def reflect(self, one: Claim, now: datetime) -> Span:
        """Begin a person's; the first try opens the obligation's trace, unless what triggered it has."""
        partition = self._whose.pop(one.id, None)
        if partition is None:
            return SILENT
        place = of_obligation(partition, one.kind, one.key)
        begun = (
            opening("selo.reflect", place, link=self._run)
            if opens_its_trace(one)
            else span("selo.reflect", place, link=self._run)
        )
        begun.tell(
            kind=one.kind,
            on=one.on.isoformat(),
            partition=partition,
            obligation=one.id,
            version=one.version,
            attempt=one.attempts + 1,
            epoch=one.epoch,
            run=self._run_id,
            model=self._model,
            due_for_s=round((now - one.since).total_seconds(), 3),
        )
        return begun


def opens_its_trace(one: Claim) -> bool:
    """Tell whether nothing has been told of an obligation before this try of it."""
    return one.attempts == 0 and not (one.cause or {}).get("trigger")


def tell_settled(begun: Span, settled: Settlement | None) -> None:
    """Tell what became of a person's reflection. None: its claim was lost."""
    if settled is None:
        begun.tell(outcome="lost")
        begun.broke("lost")
        return
    begun.tell(
        outcome=settled.outcome,
        reason=settled.reason,
        reflection=settled.reflection_id,
        input_tokens=settled.cost.input_tokens,
        output_tokens=settled.cost.output_tokens,
        model_calls=settled.cost.model_calls,
        words=settled.cost.words,
    )
    if settled.outcome in BROKEN:
        begun.broke(settled.reason or settled.outcome)


def places_of(connection: Connection, wanted: Sequence[tuple[str, str, str]]) -> list[Place | None]:
    """Return the places of obligations, each (person, kind, key); None where the person is gone."""
    keys = keys_of(connection, (user_id for user_id, _, _ in wanted))
    return [of_obligation(keys[user_id], kind, key) if user_id in keys else None for user_id, kind, key in wanted]
