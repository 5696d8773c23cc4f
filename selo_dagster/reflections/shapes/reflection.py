"""A reflection: text, themes, insights with their evidence, actions, a feeling, wished changes of traits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, insert, update

from selo_dagster.llm.citations import resting_on
from selo_dagster.people.zones import zone_rules_version
from selo_dagster.reflections.answer import MalformedAnswerError, answer_schema, read_answer
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.heads import FIRST, next_place
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.settle import Held, Made, Nothing, Rejected
from selo_dagster.reflections.standing import require_standing
from selo_dagster.reflections.tables import reflection_days, reflection_sources, reflections
from selo_dagster.reflections.validate import CHECKS, Verdict, checked, shown_to

_INSERT_REFLECTION = insert(reflections)
_INSERT_SOURCES = insert(reflection_sources)
_STORED: Final = (
    "content",
    "themes",
    "insights",
    "actions",
    "emotional_state",
    "trait_changes",
    "model",
    "zone",
    "zone_rules",
    "window_start",
    "window_end",
    "input_hash",
    "tainted",
)


@dataclass(frozen=True)
class MadeReflection:
    """A reflection ready to be stored.

    insights: [{text, evidence: ["memory:id", …], citations: [{source, quote, start, end}]}]. dropped: why insights of
    the answer are not among them.
    """

    id: str
    words: int | None
    content: str
    themes: list[str]
    insights: list[dict[str, Any]]
    actions: list[str]
    emotional_state: dict[str, Any]
    trait_changes: list[dict[str, Any]]
    model: str
    zone: str
    zone_rules: str
    window_start: datetime
    window_end: datetime
    input_hash: str
    sources: tuple[tuple[str, str, Literal["cited", "read", "dropped"]], ...]
    late_days: tuple[date, ...] = ()
    dropped: tuple[str, ...] = ()
    tainted: bool = False

    def store(self, connection: Connection, claim: Claim, now: datetime) -> Held | None:
        """Insert the reflection as its next version, with its sources; late days that it read are late no more.

        Held: it says nothing of too much that the present version understood, and is kept beside it. Raises
        SourceGoneError where something that it cites was deleted since it was read.
        """
        require_standing(connection, claim.user_id, (one[:2] for one in self.sources if one[2] == "cited"))
        row = {name: getattr(self, name) for name in _STORED}
        row |= {"user_id": claim.user_id, "kind": claim.kind, "on": claim.on, "key": claim.key}
        # Nobody waits for a look at former versions where there are none.
        place = FIRST if claim.version == 1 else next_place(connection, claim, self.insights)
        place.make_way(connection)
        row |= {"version": place.version, "head": place.holds, "parents": place.parents}
        connection.execute(_INSERT_REFLECTION, {**row, "id": self.id, "created_at": now})
        if self.sources:
            connection.execute(
                _INSERT_SOURCES,
                [
                    {"reflection_id": self.id, "source": source, "source_id": source_id, "use": use}
                    for source, source_id, use in self.sources
                ],
            )
        place.record(connection, claim, self.id, now)
        if self.late_days and place.holds:
            connection.execute(
                update(reflection_days)
                .where(reflection_days.c.user_id == claim.user_id, reflection_days.c.on.in_(self.late_days))
                .values(late=False)
            )
        return place.held


@dataclass(frozen=True)
class ReflectionShape:
    """Asks for a reflection."""

    task: Final = "reflection"
    checks: Sequence[object] = CHECKS

    def schema(self, context: Context, aliases: tuple[str, ...]) -> dict[str, Any]:  # noqa: ARG002
        """Return the schema in which only these aliases may be cited."""
        return answer_schema(aliases)

    def judged(
        self, text: str, model: str, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
    ) -> Made | Rejected | Nothing:
        """Read and check a model's text."""
        try:
            answer = read_answer(text)
        except MalformedAnswerError:
            return Rejected(("schema_validation_failed",), text)
        verdict = checked(answer, shown_to(prompt, context, kind))
        if verdict.codes:
            return Rejected((*verdict.codes, *verdict.dropped), text, answer.words)
        return _made(verdict, model, prompt, context, new_id)

    def computed(self, context: Context, new_id: Callable[[], str]) -> Made | Nothing:
        """Never: a reflection is a model's."""
        raise NotImplementedError


def _made(verdict: Verdict, model: str, prompt: Prompt, context: Context, new_id: Callable[[], str]) -> MadeReflection:
    answer = verdict.answer
    cited = {passage.source for one in answer.insights for passage in one.passages}
    read = tuple(
        (source.source, source.id, "cited" if alias in cited else "read") for alias, source in prompt.shown.items()
    )
    dropped = tuple((source.source, source.id, "dropped") for source in (*context.dropped, *context.withheld))
    return MadeReflection(
        id=new_id(),
        words=answer.words,
        content=answer.content,
        themes=list(answer.themes),
        insights=[{"text": one.text, **resting_on(one.passages, prompt.named)} for one in answer.insights],
        actions=list(answer.actions),
        emotional_state={
            "primary": answer.primary,
            "intensity": answer.intensity,
            "secondary": list(answer.secondary),
        },
        trait_changes=[{"name": one.name, "delta": one.delta, "reason": one.reason} for one in answer.trait_changes],
        model=model,
        zone=context.window.zone,
        zone_rules=zone_rules_version(),
        window_start=context.window.start,
        window_end=context.window.end,
        input_hash=prompt.input_hash,
        sources=(*read, *dropped),  # type: ignore[arg-type]
        late_days=context.late_days,
        dropped=verdict.dropped,
        tainted=context.tainted,
    )


REFLECTION: Final = ReflectionShape()
