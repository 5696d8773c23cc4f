"""What every shape shares that is computed: no model is asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selo_dagster.llm.protocol import Task
from selo_dagster.reflections.context import Context
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.settle import Made, Nothing, Rejected


class Computed:
    """The base of a shape without a model: it says what it makes in `computed`, and holds it against `checks`."""

    task: Task | None = None

    def schema(self, context: Context, aliases: tuple[str, ...]) -> dict[str, Any]:
        """Never: no model is asked."""
        raise NotImplementedError

    def judged(
        self, text: str, model: str, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
    ) -> Made | Rejected | Nothing:
        """Never: no model is asked."""
        raise NotImplementedError
