"""Makes claims ready to begin: reads what they rest on, and builds what a model is asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from selo_dagster.llm.trust.veil import hidden_from
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.equipment import CohortLimits, Tools
from selo_dagster.reflections.gather import gather, unreadable
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt, prompt_for
from selo_dagster.reflections.retry import Failure, failure_of
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import DEFERRED, Reason
from selo_dagster.tracing.spans import span

log = logging.getLogger(__name__)

Found = Context | Nothing | Failure
"""What was gathered for a claim, or why it cannot be."""

Gathered = tuple[Claim, Found]


@dataclass(frozen=True)
class Ready:
    """Somebody whose call may begin. prompt: what a model is asked, or why that cannot be said; None: none is asked."""

    claim: Claim
    found: Found
    prompt: Prompt | Failure | None


@dataclass(frozen=True)
class Preparing:
    """Prepares the claims of one cohort. Every failure that is one person's stays theirs."""

    kind: Kind
    limits: CohortLimits
    tools: Tools

    def gathered(self, claims: list[Claim]) -> list[Gathered]:
        """Return the claims in their order, each with what it rests on: a whole chunk in a few statements."""
        found = self._gather(claims)
        return [(one, found[one.id]) for one in claims]

    def ready(self, some: list[Gathered]) -> list[Ready]:
        """Return them ready to begin: between two calls there is then nothing but the claim of the second."""
        return [Ready(one, found, self._prompt(one, found)) for one, found in some]

    def _gather(self, claims: list[Claim]) -> Mapping[int, Found]:
        try:
            with span("selo.context", people=len(claims)), self.tools.store.read() as connection:
                return gather(connection, self.kind, claims, self.limits.context_characters)
        except Exception as refused:  # noqa: BLE001 - what one person's rows hold is theirs alone, whatever it raises
            broken = refused
        if not unreadable(broken):
            # Could not look is not the same as nothing there: these rows are put off, not skipped.
            log.warning("could not read the contexts of %d people: %s", len(claims), type(broken).__name__)
            return {one.id: Nothing(DEFERRED, Reason.COULD_NOT_LOOK) for one in claims}
        if len(claims) > 1:
            # By halves: whoever is not to blame is still read together with many.
            half = len(claims) // 2
            return {**self._gather(claims[:half]), **self._gather(claims[half:])}
        (one,) = claims
        log.warning("the context of ledger row %d cannot be read: %s", one.id, type(broken).__name__)
        return {one.id: failure_of(broken)}

    def _prompt(self, one: Claim, found: Found) -> Prompt | Failure | None:
        if self.kind.shape.task is None or not isinstance(found, Context):
            return None
        # What the usual model must not see, a cheaper one is not shown either.
        hidden = hidden_from(self.tools.redaction, in_process=self.tools.model.in_process)
        try:
            return prompt_for(found, self.kind.caused_by(one.cause), self.limits.person.call_s, hidden)
        except Exception as broken:  # noqa: BLE001 - one person's failure is theirs alone, recorded by its class
            return failure_of(broken)
