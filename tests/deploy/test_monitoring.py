"""The dashboard and the alerting rules: of what the application tells, and with a way to what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from selo_dagster.operations.http.metrics import METRICS
from selo_dagster.reflections.kinds import KINDS
from tests.deploy.files import DEPLOY, ROOT, read_yaml

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "selo.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
RULES: list[dict[str, Any]] = [
    rule for group in read_yaml("prometheus/rules.yaml")["groups"] for rule in group["rules"]
]


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as the hosts of Markdown make them."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


shown = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]
expressions = [*shown, *(rule["expr"] for rule in RULES)]


def named(expression: str) -> set[str]:
    """Return the metrics that an expression names."""
    return set(re.findall(r"\bselo_\w+", re.sub(r'"[^"]*"', "", expression)))


@pytest.mark.parametrize("expression", expressions)
def test_every_metric_that_is_asked_for_is_one_that_the_application_tells(expression: str) -> None:
    assert named(expression)
    assert named(expression) <= set(METRICS)


def test_the_dashboard_shows_everything_that_is_told() -> None:
    assert set().union(*map(named, shown)) == set(METRICS)


def test_each_rule_waits_a_while_says_how_bad_it_is_and_leads_to_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page in {"docs/runbook.md", "docs/production.md"}
        assert anchor in anchors(page), rule["alert"]


def test_what_cannot_be_told_by_the_application_itself_is_a_rule_as_well() -> None:
    gone = next(rule for rule in RULES if rule["alert"] == "SeloGone")
    assert "absent(selo_build_info)" in gone["expr"]


def test_no_label_that_is_asked_for_could_name_a_person() -> None:
    labels = {label for one in expressions for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", one)}
    labels |= {
        label
        for one in expressions
        for inner in re.findall(r"(?:by|on) \(([^)]*)\)", one)
        for label in inner.split(", ")
    }
    assert labels <= {"kind", "state", "type", "name", "outcome", "direction", "condition", "code", "job"}


def test_the_sensors_that_a_rule_names_are_there() -> None:
    from selo_dagster.operations.self_check import SENSORS

    silent = next(rule for rule in RULES if rule["alert"] == "SeloSensorSilent")
    names = re.search(r'name=~"([^"]+)"', silent["expr"])
    assert names is not None
    assert set(names[1].split("|")) <= set(SENSORS)
    assert all(kind.schedule.endswith("_schedule") for kind in KINDS.values())


def test_panels_lie_side_by_side_and_ask_the_source_that_was_chosen() -> None:
    places: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        taken = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert places.isdisjoint(taken), panel["title"]
        places |= taken
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${source}"
            assert panel["targets"]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_prometheus_asks_where_the_application_answers() -> None:
    (job,) = read_yaml("prometheus/prometheus.yaml")["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": ["http:3001"]}]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_the_rules_fire_when_they_should_and_not_otherwise() -> None:
    told = subprocess.run(
        ["promtool", "test", "rules", "rules.test.yaml"],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
