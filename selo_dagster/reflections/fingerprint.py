"""What a model is asked, in one name: another one as soon as a prompt, a schema or the model is another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from selo_dagster.clock import parse_instant
from selo_dagster.llm.rendering import messages_for
from selo_dagster.people.local_days import Window
from selo_dagster.reflections.context import Context, Source
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.outage import asks
from selo_dagster.reflections.prompt import prompt_for
from selo_dagster.settings import Settings

_AT: Final = parse_instant("2026-03-01T12:00:00Z")
_NONCE: Final = "0" * 16
_SAMPLE: Final = Context(
    user_id="sample",
    name="Sample",
    window=Window(date(2026, 3, 1), _AT, _AT + timedelta(days=1), "UTC"),
    covers="a sample",
    sources=(
        Source("message", "1", "a message", _AT, role="user"),
        Source("message", "2", "a message", _AT, role="assistant"),
        Source("memory", "3", "a memory", _AT, importance=0.5, tags=("tag",), kind="fact", late=True),
        Source("reflection", "4", "a reflection", _AT),
        Source("context", "5", "a context", _AT),
        Source("event", "6", "an event", _AT),
    ),
    more=1,
    earlier=("an earlier one",),
    persona={"trait": 0.5},
    goals=("a goal",),
    room=3,
)
"""Everything that a prompt may hold, once."""


def fingerprint_of(settings: Settings) -> str:
    """Return the fingerprint of the configuration that serves the reflections of these settings, 64 hex digits.

    It changes with every instruction, rendering and schema of a kind that asks a model, with the bounds of an answer,
    with the models, their temperature and bounds; for the extractive model, with its code.
    """
    asked = None if settings.llm_url is None else (settings.llm_model, settings.llm_light_model)
    return _fingerprint(asked, settings.llm_temperature, settings.llm_max_tokens, settings.context_characters)


@lru_cache(maxsize=8)
def _fingerprint(
    asked: tuple[str | None, str | None] | None, temperature: float, max_tokens: int, characters: int
) -> str:
    told = {
        "model": _extractive() if asked is None else [*asked, temperature, max_tokens],
        "context_characters": characters,
        "kinds": {name: _of_kind(kind) for name, kind in KINDS.items() if asks(kind)},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _of_kind(kind: Kind) -> list[Any]:
    flavours = [kind, *(kind.caused_by({"rule": name}) for name in sorted(kind.flavours))]
    return [kind.lane, kind.word_tolerance, *(_rendered(one) for one in flavours)]


def _rendered(kind: Kind) -> list[Any]:
    request = replace(prompt_for(_SAMPLE, kind, 1.0).request, correction="a correction")
    return [list(kind.words), messages_for(request, _NONCE, schema_in_prompt=True)]


def _extractive() -> str:
    digest = hashlib.sha256()
    files = [one for one in (resources.files("selo_dagster.llm") / "extractive").iterdir() if one.name.endswith(".py")]
    for file in sorted(files, key=lambda one: one.name):
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()
