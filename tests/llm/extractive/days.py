"""Days that a model is asked about, and what it answers."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from selo_dagster.llm.extractive import ExtractiveModel
from selo_dagster.llm.protocol import Completion, CompletionRequest, Evidence

START = datetime(2026, 11, 22, 19, 0, tzinfo=timezone.utc)


def message(number: int, text: str, role: Literal["user", "assistant", "system"] = "user", **more: Any) -> Evidence:
    at = START + timedelta(minutes=number)
    more.setdefault("local", f"{at:%H:%M}")
    return Evidence(f"m{number}", "message", role, text, at, **more)


def memory(number: int, text: str, importance: float, *tags: str) -> Evidence:
    at = START + timedelta(minutes=number)
    return Evidence(f"m{number}", "memory", None, text, at, f"{at:%H:%M}", importance, tags)


def day(*evidence: Evidence, **more: Any) -> CompletionRequest:
    more.setdefault("words", (70, 200))
    more.setdefault("subject", "Ana")
    return CompletionRequest(
        task="reflection",
        kind="daily",
        instructions="",
        covers="Sunday 22 November 2026",
        evidence=evidence,
        schema={},
        deadline_s=15.0,
        **more,
    )


def answered(request: CompletionRequest) -> Completion:
    return asyncio.run(ExtractiveModel().complete(request))


def sources(claim: dict[str, Any]) -> list[str]:
    """Return the aliases that a claim cites."""
    return [one["source"] for one in claim["evidence"]]


def document(request: CompletionRequest) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(answered(request).text)
    return read
