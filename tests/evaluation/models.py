"""Models with a planted fault, and small sets of cases that show it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from selo_dagster.evaluation.evaluate import evaluate
from selo_dagster.evaluation.measures import Family
from selo_dagster.evaluation.playing import OpenModel
from selo_dagster.evaluation.reading import CaseSet, read
from selo_dagster.evaluation.report import Report
from selo_dagster.llm.errors import Fault, ModelError
from selo_dagster.llm.extractive.model import ExtractiveModel
from selo_dagster.llm.protocol import Completion, CompletionRequest
from selo_dagster.reflections.kind import Kind
from selo_dagster.settings import load_settings

Change = Callable[[dict[str, Any], CompletionRequest], dict[str, Any]]


@dataclass
class Faulty:
    """The extractive model, whose answers are changed; or one that does not answer."""

    change: Change = lambda document, _: document
    fault: Fault | None = None
    name: str = "faulty"
    capacity: int | None = None
    corrigible: bool = False
    in_process: bool = True
    asked: list[CompletionRequest] = field(default_factory=list)

    async def aclose(self) -> None:
        """Hold nothing."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer, with the fault. Raises ModelError where there is to be no answer."""
        self.asked.append(request)
        if self.fault is not None:
            raise ModelError(self.fault)
        completion = await ExtractiveModel().complete(request)
        document = json.loads(completion.text)
        if request.task == "reflection":
            document = self.change(document, request)
        return Completion(json.dumps(document), self.name, 100, 50, "stop", 0.0)


def serving(model: Faulty) -> OpenModel:
    """Let one model serve every kind."""

    def opened(_: Kind) -> Faulty:
        return model

    return opened


def case_set(*lines: dict[str, Any]) -> CaseSet:
    """Return a set of cases of these lines."""
    return read("test", [("test.jsonl", "\n".join(json.dumps(line) for line in lines))])


def resting_on(*texts: str) -> Change:
    """Let the only insight rest on the sources that hold one of these texts."""

    def change(document: dict[str, Any], request: CompletionRequest) -> dict[str, Any]:
        found = {one.alias: one.text for one in request.evidence if any(text in one.text for text in texts)}
        return document | {"insights": [insight(request, found)]}

    return change


def insight(request: CompletionRequest, sources: dict[str, str]) -> dict[str, Any]:
    """Return an insight that rests on sources (alias -> its text), in the form that the request's schema asks for."""
    asked = request.schema["properties"]["insights"]["items"]["properties"]["evidence"]["items"]
    quoted = [{"source": alias, "quote": text} for alias, text in sources.items()]
    return {"text": "They said something.", "evidence": list(sources) if asked["type"] == "string" else quoted}


def evaluated(cases: CaseSet, model: Faulty | None, *families: Family) -> Report:
    """Evaluate a set of cases with a model, the embedded one where none is given."""
    opened = None if model is None else serving(model)
    return evaluate(load_settings({}), families=families, open_model=opened, cases=cases)


def person(case: str, family: str, **more: Any) -> list[dict[str, Any]]:
    """Return the beginning of a case with one person in it."""
    return [
        {"type": "case", "id": case, "family": family, "says": "made for a test"},
        {"type": "user", "id": "ana", "name": "Ana", "timezone": more.get("zone", "Europe/Lisbon")},
    ]


def memory(name: str, text: str, at: str, importance: float = 0.5) -> dict[str, Any]:
    """Return a memory of that person."""
    line = {"type": "memory", "id": name, "user": "ana", "kind": "fact", "content": text, "importance": importance}
    return line | {"at": at}


def expected(on: str, kind: str = "daily", **what: Any) -> dict[str, Any]:
    """Return what is expected of that person's reflection."""
    return {"type": "expect", "user": "ana", "kind": kind, "on": on, **what}
