"""The compose file: who reaches whom, who holds which secret, and what a container may do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from selo_dagster.settings import Settings
from tests.deploy.files import DEPLOY, read_yaml

COMPOSE: dict[str, Any] = read_yaml("docker-compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
ONE_SHOT = {"migrate", "grants", "migrate-dagster"}
TEXT = (DEPLOY / "docker-compose.yaml").read_text(encoding="utf-8")
EXAMPLE = (DEPLOY / "env.example").read_text(encoding="utf-8")


def asked_for() -> dict[str, str]:
    """Return every variable that compose fills in, with what stands behind its name."""
    return dict(re.findall(r"\$\{([A-Z_]+)([^}]*)\}", TEXT))


def test_only_the_proxy_publishes_a_port_and_only_on_loopback() -> None:
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["proxy"]
    assert SERVICES["proxy"]["ports"] == ["${PROXY_LISTEN:-127.0.0.1:8080}:8080"]
    assert not any(one.get("network_mode") or one.get("privileged") for one in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_it_does_not_need(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in one["security_opt"]
    assert one["mem_limit"]
    assert re.search(r":\d+\.\d+", one["image"]), "an image is pinned by its version"
    if name != "postgres":
        assert "cap_add" not in one


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_how_it_is_and_comes_back_and_what_runs_once_does_neither(name: str) -> None:
    one = SERVICES[name]
    if name in ONE_SHOT:
        assert one["restart"] == "no"
        assert "healthcheck" not in one
    else:
        assert one["restart"] == "unless-stopped"
        assert one["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_it_needs_to_be_well_or_done(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how == {"condition": wanted}


def test_tables_are_migrated_and_granted_before_anything_runs() -> None:
    def before(name: str) -> set[str]:
        direct = set(SERVICES[name].get("depends_on", {}))
        return direct.union(*(before(other) for other in direct)) if direct else set()

    for name in ("code", "daemon", "webserver", "webserver-admin", "http", "proxy"):
        assert before(name) >= {"postgres", "migrate", "grants", "migrate-dagster"}


def test_every_other_setting_reaches_what_reads_settings_and_nothing_else() -> None:
    given = {name: one["env_file"] for name, one in SERVICES.items() if "env_file" in one}
    assert given == {name: [{"path": "selo.env", "required": False}] for name in ("code", "http")}


def test_each_service_holds_only_the_secrets_of_its_role() -> None:
    def secrets(name: str) -> set[str]:
        return set(re.findall(r"\$\{(\w*(?:PASSWORD|KEY|TOKENS|HASH|URLS))", str(SERVICES[name].get("environment"))))

    of_the_code = {"DB_RUN_PASSWORD", "DB_DAGSTER_PASSWORD", "SELO_ERASURE_KEY", "SELO_LLM_API_KEY", "SELO_ALERT_URLS"}
    assert secrets("code") == of_the_code
    assert secrets("http") == of_the_code | {"SELO_API_TOKENS"}
    for name in ("daemon", "webserver", "webserver-admin", "migrate-dagster"):
        assert secrets(name) == {"DB_DAGSTER_PASSWORD"}
    assert secrets("migrate") == secrets("grants") == {"DB_MIGRATE_PASSWORD"}
    assert secrets("proxy") == {"PROXY_ADMIN_HASH", "PROXY_VIEWER_HASH"}


def test_the_proxy_reaches_no_database_and_the_database_no_network_outside() -> None:
    internal = {name for name, one in COMPOSE["networks"].items() if one.get("internal")}
    assert set(SERVICES["postgres"]["networks"]) <= internal
    assert set(SERVICES["proxy"]["networks"]).isdisjoint({"database", "dagster", "outside"})
    assert {name for name, one in SERVICES.items() if "outside" in one["networks"]} == {"code", "http"}
    for name, one in SERVICES.items():
        assert set(one["networks"]) <= set(COMPOSE["networks"]), name


def test_no_secret_has_a_default_and_the_example_names_each() -> None:
    named = dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    for variable, rest in asked_for().items():
        if re.search(r"PASSWORD|_KEY$|TOKENS|HASH|URLS", variable):
            assert rest in {":?see deploy/env.example", ":-"}, variable
    assert set(named) == set(asked_for())
    for variable, value in named.items():
        # What is no secret stands there with its default.
        assert value in {"", "''"} or asked_for()[variable] == f":-{value}", variable
    for variable in ("SELO_ERASURE_KEY", "SELO_API_TOKENS", "DB_RUN_PASSWORD", "PROXY_ADMIN_HASH"):
        assert asked_for()[variable] == ":?see deploy/env.example"


def test_every_setting_in_it_is_a_setting() -> None:
    settings = {field.alias for field in Settings.model_fields.values()}
    for name, one in SERVICES.items():
        for variable in one.get("environment") or {}:
            if variable.startswith(("SELO_", "REFLECTION_")):
                assert variable in settings, f"{name}: {variable}"


def test_the_read_only_web_ui_is_the_one_for_everybody() -> None:
    assert "--read-only" in SERVICES["webserver"]["command"]
    assert "--read-only" not in SERVICES["webserver-admin"]["command"]
    proxy = (DEPLOY / "proxy" / "nginx.conf").read_text(encoding="utf-8")
    prefix = SERVICES["webserver-admin"]["command"][2]
    admin = proxy[proxy.index(f"location {prefix}/ {{") :].split("}", 1)[0]
    assert "auth_basic_user_file /tmp/administrators" in admin
    assert "http://webserver-admin:3000" in admin
    for upstream in re.findall(r"http://([\w-]+):(\d+)", proxy):
        assert upstream[0] in SERVICES


def test_what_is_mounted_exists() -> None:
    for one in SERVICES.values():
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists()
                assert volume.endswith(":ro")
