"""The span of one call to a model, in the words of OpenTelemetry's conventions for generative models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from selo_dagster.tracing.spans import Span, span


class Answer(Protocol):
    """What is told of an answer: numbers, and why it ended."""

    @property
    def input_tokens(self) -> int:
        """As counted by the server."""
        ...

    @property
    def output_tokens(self) -> int:
        """As counted by the server."""
        ...

    @property
    def finish_reason(self) -> str:
        """Why the answer ended."""
        ...

    @property
    def calls(self) -> int:
        """Requests that it took."""
        ...


class ModelCall:
    """One call under way."""

    def __init__(self, begun: Span) -> None:
        self._span = begun

    def answered(self, answer: Answer) -> None:
        """Tell what the answer cost."""
        self._span.tell_as(
            {
                "gen_ai.usage.input_tokens": answer.input_tokens,
                "gen_ai.usage.output_tokens": answer.output_tokens,
                "gen_ai.response.finish_reasons": [answer.finish_reason],
                "selo.calls": answer.calls,
            }
        )


@contextmanager
def model_call(model: str, task: str) -> Iterator[ModelCall]:
    """Tell of one call, under whatever it is made for. model: its name in the settings; task: what is asked for."""
    with span("selo.model_call", task=task) as begun:
        begun.tell_as({"gen_ai.operation.name": "chat", "gen_ai.request.model": model})
        yield ModelCall(begun)
