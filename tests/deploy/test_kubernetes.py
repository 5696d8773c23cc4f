"""What is shipped for Kubernetes: structure, rights, and one image and one set of limits with everything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.files import read_all_yaml, read_yaml

VALUES: dict[str, Any] = read_yaml("kubernetes/values.yaml")
MANIFESTS: dict[str, dict[str, Any]] = {
    f"{one['kind']}/{one['metadata']['name']}": one
    for name in ("selo-http.yaml", "migrate.yaml", "service-monitor.yaml")
    for one in read_all_yaml(f"kubernetes/{name}")
}

# The chart's own schema, release 1.13: what it refuses to know is refused here.
TOP = {
    "global", "generatePostgresqlPasswordSecret", "generateCeleryConfigSecret", "rbacEnabled", "postgresql", "rabbitmq",
    "redis", "flower", "ingress", "imagePullSecrets", "computeLogManager", "scheduler", "runLauncher", "pythonLogs",
    "dagsterWebserver", "dagsterDaemon", "dagster-user-deployments", "busybox", "migrate", "telemetry", "retention",
    "serviceAccount", "additionalInstanceConfig", "extraManifests", "nameOverride", "fullnameOverride",
}  # fmt: skip
POD = {
    "image", "env", "envConfigMaps", "envSecrets", "deploymentLabels", "labels", "nodeSelector", "affinity",
    "tolerations", "podSecurityContext", "securityContext", "resources", "livenessProbe", "readinessProbe",
    "startupProbe", "annotations", "schedulerName", "volumeMounts", "volumes",
}  # fmt: skip
KNOWN = {
    "dagsterWebserver": POD | {"replicaCount", "nameOverride", "pathPrefix", "service", "workspace", "enableReadOnly",
                               "dbStatementTimeout", "dbPoolRecycle", "logLevel"},
    "dagsterDaemon": POD | {"enabled", "runCoordinator", "heartbeatTolerance", "runMonitoring", "runRetries", "sensors",
                            "schedules"},
    "retention": {"enabled", "sensor", "schedule", "autoMaterialize"},
    "computeLogManager": {"type", "config"},
}  # fmt: skip
DEPLOYMENT = (POD - {"deploymentLabels"}) | {"name", "dagsterApiGrpcArgs", "codeServerArgs", "port",
                                             "includeConfigInLaunchedRuns"}  # fmt: skip
LAUNCHER = {
    "image", "imagePullPolicy", "jobNamespace", "loadInclusterConfig", "kubeconfigFile", "envConfigMaps", "envSecrets",
    "envVars", "volumeMounts", "volumes", "labels", "failPodOnRunFailure", "resources", "schedulerName",
    "securityContext", "runK8sConfig",
}  # fmt: skip

(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
K8S = VALUES["runLauncher"]["config"]["k8sRunLauncher"]


def test_the_chart_knows_every_value() -> None:
    assert set(VALUES) <= TOP
    for part, known in KNOWN.items():
        assert set(VALUES[part]) <= known, part
    assert set(CODE) <= DEPLOYMENT
    assert set(K8S) <= LAUNCHER
    assert VALUES["runLauncher"]["type"] == "K8sRunLauncher"
    assert set(K8S["runK8sConfig"]) <= {
        "containerConfig", "podSpecConfig", "podTemplateSpecMetadata", "jobSpecConfig", "jobMetadata",
    }  # fmt: skip
    assert set(VALUES["postgresql"]) <= {
        "enabled", "image", "postgresqlHost", "postgresqlUsername", "postgresqlPassword", "postgresqlDatabase",
        "postgresqlParams", "postgresqlScheme", "service",
    }  # fmt: skip


def test_dagster_is_set_as_on_one_host() -> None:
    instance = read_yaml("dagster.yaml")
    daemon = VALUES["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["maxConcurrentRuns"] == instance["concurrency"]["runs"]["max_concurrent_runs"]
    assert queue["tagConcurrencyLimits"] == instance["concurrency"]["runs"]["tag_concurrency_limits"]
    assert queue["dequeueIntervalSeconds"] == instance["run_queue"]["dequeue_interval_seconds"]
    monitoring = instance["run_monitoring"]
    assert daemon["runMonitoring"]["maxResumeRunAttempts"] == monitoring["max_resume_run_attempts"] == 0
    assert daemon["runMonitoring"]["pollIntervalSeconds"] == monitoring["poll_interval_seconds"]
    assert K8S["runK8sConfig"]["jobSpecConfig"]["activeDeadlineSeconds"] == monitoring["max_runtime_seconds"]
    assert K8S["runK8sConfig"]["jobSpecConfig"]["backoffLimit"] == 0
    kept = instance["retention"]["sensor"]["purge_after_days"]
    assert kept.items() <= VALUES["retention"]["sensor"]["purgeAfterDays"].items()
    assert VALUES["retention"]["schedule"]["purgeAfterDays"] == instance["retention"]["schedule"]["purge_after_days"]
    assert VALUES["computeLogManager"]["type"] == "NoOpComputeLogManager"
    assert VALUES["telemetry"]["enabled"] is False
    assert VALUES["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_the_code_is_found_where_it_is_served_under_the_name_that_it_has_everywhere() -> None:
    workspace = VALUES["dagsterWebserver"]["workspace"]
    (server,) = workspace["servers"]
    assert workspace["enabled"] is True
    assert (server["host"], server["port"]) == (CODE["name"], CODE["port"])
    assert server["name"] == read_yaml("workspace.yaml")["load_from"][0]["grpc_server"]["location_name"]


def test_the_application_knows_that_the_guard_is_off_where_the_code_runs() -> None:
    (container,) = MANIFESTS["Deployment/selo-http"]["spec"]["template"]["spec"]["containers"]
    for environment in (CODE["env"], container["env"]):
        assert {"name": "SELO_RESOURCE_GUARD", "value": "0"} in environment


def test_no_password_is_in_the_values_and_no_database_comes_with_the_chart() -> None:
    assert VALUES["postgresql"]["enabled"] is False
    assert "postgresqlPassword" not in VALUES["postgresql"]
    assert VALUES["generatePostgresqlPasswordSecret"] is False
    assert VALUES["global"]["postgresqlSecretName"]
    plain = [*CODE["env"], *VALUES["dagsterDaemon"]["env"]]
    assert not [one["name"] for one in plain if "URL" in one["name"] or "KEY" in one["name"] or "TOKEN" in one["name"]]
    assert CODE["includeConfigInLaunchedRuns"] == {"enabled": True}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each pod of the manifests."""
    for name, one in MANIFESTS.items():
        if one["kind"] in {"Deployment", "Job"}:
            yield name, one["spec"]["template"]["spec"]


def test_every_container_runs_without_rights_on_a_file_system_that_it_cannot_write() -> None:
    charted = [VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], CODE]
    for security in (one["podSecurityContext"] for one in charted):
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 10001
    contexts = [one["securityContext"] for one in charted]
    for name, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            contexts.append(container["securityContext"])
            assert container["resources"]["limits"]["memory"]
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in pod["volumes"]}
            assert any(mount["mountPath"] == "/tmp" for mount in container["volumeMounts"])  # noqa: S108 - in a container
    for context in contexts:
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_same_image_is_everywhere() -> None:
    image = VALUES["dagsterWebserver"]["image"]
    assert VALUES["dagsterDaemon"]["image"] == CODE["image"] == image
    whole = f"{image['repository']}:{image['tag']}"
    used = {c["image"] for _, pod in pods() for c in [*pod.get("initContainers", []), *pod["containers"]]}
    assert used == {whole, read_yaml("docker-compose.yaml")["services"]["postgres"]["image"]}
    assert image["tag"].endswith("-k8s")


def test_the_application_is_restarted_for_its_own_death_and_taken_out_for_nothing() -> None:
    (container,) = MANIFESTS["Deployment/selo-http"]["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert MANIFESTS["Service/selo-http"]["spec"]["publishNotReadyAddresses"] is True
    assert container["command"][:2] == ["selo", "http"]
    assert str(container["ports"][0]["containerPort"]) == container["command"][-1]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"])
def test_what_belongs_to_the_application_finds_its_pods(kind: str) -> None:
    labels = MANIFESTS["Deployment/selo-http"]["spec"]["template"]["metadata"]["labels"]
    spec = MANIFESTS[f"{kind}/selo-http"]["spec"]
    selector = spec.get("selector") or spec["podSelector"]
    chosen = selector.get("matchLabels", selector)
    assert chosen.items() <= labels.items()


def test_a_drain_may_always_take_a_pod() -> None:
    budget = MANIFESTS["PodDisruptionBudget/selo-http"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert MANIFESTS["Deployment/selo-http"]["spec"]["replicas"] > budget["maxUnavailable"]


def test_the_migration_does_tables_then_rights_then_dagster() -> None:
    pod = MANIFESTS["Job/selo-migrate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert [one["command"][0] for one in [*pod["initContainers"], *pod["containers"]]] == ["selo", "psql", "dagster"]
    assert pod["containers"][0]["command"] == ["dagster", "instance", "migrate"]
