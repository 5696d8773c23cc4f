"""Whether the configuration that serves reflections was accepted by an evaluation, where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from selo_dagster.llm.evaluations import accepted_fingerprint
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store

NOT_ACCEPTED: Final = (
    "the model and prompts in use were not accepted by an evaluation (SELO_EVAL_GATE): run `selo eval --accept`"
)


@dataclass(frozen=True)
class Acceptance:
    """What has to be accepted before a model is asked. fingerprint: see `fingerprint_of`."""

    fingerprint: str

    def holds(self, connection: Connection) -> bool:
        """Whether it is the accepted one now: one look-up."""
        return accepted_fingerprint(connection) == self.fingerprint


def acceptance_of(settings: Settings) -> Acceptance | None:
    """Return what has to be accepted, None where the gate is switched off: then nothing is looked up."""
    if not settings.eval_gate:
        return None
    # Rendering every prompt costs some milliseconds; where the gate is off nobody pays them.
    from selo_dagster.reflections.fingerprint import fingerprint_of

    return Acceptance(fingerprint_of(settings))


def unaccepted_now(store: Store, settings: Settings) -> str | None:
    """Say why model work is held back, None where it may go on."""
    acceptance = acceptance_of(settings)
    if acceptance is None:
        return None
    with store.read() as connection:
        return None if acceptance.holds(connection) else NOT_ACCEPTED
