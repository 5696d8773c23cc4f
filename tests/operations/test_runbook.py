"""Everything that an operator can be told of has its heading in the runbook."""

from __future__ import annotations

import re
from pathlib import Path

from selo_dagster.operations.alerts.keeping import SAGA_CODES
from selo_dagster.operations.http.outage import CODE
from selo_dagster.operations.problems import SAGA_PROBLEMS
from selo_dagster.operations.self_check import NAMED

ROOT = Path(__file__).parents[2]


def headings() -> set[str]:
    return set(re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(encoding="utf-8"), re.MULTILINE))


def codes() -> set[str]:
    """Return the codes that the source names, wherever it makes a problem or a signal."""
    found = {CODE, *(code for code, _ in SAGA_PROBLEMS.values()), *SAGA_CODES.values()}
    found |= {f"{kind}_stopped" for kind in NAMED.values()}
    for path in (ROOT / "selo_dagster").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'\b(?:Problem|Signal)\(\s*"(\w+)"', text))
    return found


def test_every_code_has_a_heading_and_every_heading_a_code() -> None:
    assert {"dead", "saga_parked", "schedule_stopped", "http_silent", "events_parked"} <= codes()
    assert codes() == headings()
