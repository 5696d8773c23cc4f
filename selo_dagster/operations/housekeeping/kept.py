"""The tables of which nothing is deleted because of its age, each with the reason."""

from __future__ import annotations

from typing import Final

_PERSON: Final = "what is known of a person, and the companion's own mind; `selo erase` is what removes it"
_ONCE: Final = "says that something was done, so that it is not done twice"
_BOUNDED: Final = "does not grow with time"
_RECORD: Final = "says who did what to whom, and why"

KEPT_FOR_EVER: Final[dict[str, str]] = {
    "answer_audits": _PERSON,
    "companion_notices": _ONCE,
    "conversation_summaries": _PERSON,
    "conversations": _PERSON,
    "episode_sources": _PERSON,
    "episode_terms": _PERSON,
    "episodes": _PERSON,
    "erased_people": "keeps an erased person out, and holds the report",
    "evaluations": _RECORD + ": how good each model and its prompts were, and which of them was accepted",
    "forgotten_memories": "keeps a forgotten memory out; goes with the person",
    "goal_steps": _PERSON,
    "goals": _PERSON,
    "learnings": _PERSON,
    "mantras": _PERSON,
    "memories": _PERSON,
    "memory_retirements": _PERSON,
    "messages": _PERSON,
    "persona_changes": _PERSON + "; taking an evolution back needs all later ones",
    "persona_evolutions": _PERSON + "; taking an evolution back needs all later ones",
    "persona_traits": _PERSON,
    "reflection_days": _ONCE + ": a day that is enrolled is never enrolled again",
    "reflection_head_moves": _RECORD + "; only of what was made again, and it goes with the person",
    "reflection_sources": _PERSON,
    "reflections": _PERSON + "; a new version follows the former ones, and any of them may hold again",
    "relationship_questions": _PERSON + "; a new question must not repeat an old one",
    "saga_interventions": _RECORD,
    "sagas": _ONCE + ": the same type, person and key starts one saga; `selo saga retry` needs its input",
    "stale_marks": _PERSON,
    "user_statements": _PERSON + "; a local date of the past needs the zone of then",
    "users": _PERSON,
    "alert_signals": "an outbox: folded into the alerts within a minute and deleted then; nothing untold may go",
    "heartbeats": _BOUNDED + ": a row a name; one that fell silent has to be seen, however long ago that was",
    "reflection_cadences": _BOUNDED + ": a row a person",
    "reflection_pauses": _RECORD + "; who was paused at an instant is asked when it is enrolled late",
    "model_endpoints": _BOUNDED + ": one row an endpoint",
    "resource_guard": _BOUNDED + ": one row",
    "resource_samples": _BOUNDED + ": the guard deletes its own old samples with each new one",
    "retired_obligations": _BOUNDED + ": totals of what is deleted",
    "saga_definitions": _BOUNDED + ": a row a version; says how long its sagas can be undone",
    "saga_locks": _BOUNDED + ": gone with the end of the saga",
    "spending_calls": _BOUNDED + ": gone with the end of the call, or given back when its lease has ended",
    "stream_positions": _BOUNDED + ": a row a reader",
    "trigger_counts": _BOUNDED + ": totals",
    "trigger_states": _BOUNDED + ": a row a person and rule",
}

GOES_WITH: Final[dict[str, str]] = {
    "trigger_parked": "events",
}
"""Tables whose settled rows go with the row that they are about."""
