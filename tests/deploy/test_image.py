"""The image: what goes in is there and pinned, and what runs is nobody with rights."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from tests.deploy.files import DEPLOY, ROOT, read_yaml

PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+[\w.-]*$")


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, rest) of the Dockerfile, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in joined]


def stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage."""
    found: list[list[tuple[str, str]]] = []
    for one in instructions():
        if one[0] == "FROM":
            found.append([])
        if found:
            found[-1].append(one)
    return found


def copied() -> list[str]:
    """Return every path that is copied from the checkout."""
    sources = []
    for name, rest in instructions():
        words = shlex.split(rest)
        if name == "COPY" and not words[0].startswith("--from"):
            sources += words[:-1]
    return sources


def allowed_to_the_builder() -> list[str]:
    """Return the exceptions of .dockerignore, whose first rule is that nothing is sent."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    return [line[1:] for line in lines if line.startswith("!")]


def test_what_is_copied_exists_reaches_the_builder_and_nothing_else_does() -> None:
    assert all((ROOT / path).exists() for path in copied())
    assert sorted(path.removeprefix("./") for path in copied()) == sorted(allowed_to_the_builder())


def test_everything_that_the_package_takes_in_is_there_to_be_taken() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("[tool.hatch.build.targets.wheel.force-include]\n", 1)[1].split("\n[", 1)[0]
    taken_in = set(re.findall(r'^"([^"]+)" = ', section, re.MULTILINE))
    assert "dagster.yaml" in taken_in
    assert taken_in | set(re.findall(r'^(?:readme|license-files) = \[?"([^"]+)"', project, re.MULTILINE)) <= set(
        copied()
    )


def test_the_base_is_pinned_and_both_stages_have_the_same_python() -> None:
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    assert PINNED.match(arguments["PYTHON_IMAGE"])
    assert [rest.split()[0] for name, rest in instructions() if name == "FROM"] == ["${PYTHON_IMAGE}"] * 2


def test_every_package_is_installed_by_hash_and_the_project_fetches_nothing() -> None:
    installs = [rest for name, rest in instructions() if name == "RUN" and " install --no-cache-dir" in rest]
    assert len(installs) == 3
    for line in installs:
        assert "--no-deps" in line
        assert "--require-hashes -r" in line or "--no-build-isolation ." in line


def test_the_second_requirements_add_to_the_first_and_pin_nothing_twice() -> None:
    def names(path: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))

    kubernetes = names("deploy/kubernetes/requirements.txt")
    assert "dagster-k8s" in kubernetes
    assert kubernetes.isdisjoint(names("requirements.txt"))
    text = (ROOT / "deploy/kubernetes/requirements.txt").read_text(encoding="utf-8")
    for block in re.split(r"\n(?=[a-z0-9])", text[text.index("\naiohappy") :].strip()):
        assert "--hash=sha256:" in block
    assert "index-url" not in text


def test_dagsters_launcher_for_kubernetes_is_of_the_same_release_as_dagster() -> None:
    dagster = re.search(r"^dagster==1\.(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    launcher = re.search(
        r"^dagster-k8s==0\.(\d+)\.(\d+)", (ROOT / "deploy/kubernetes/requirements.txt").read_text(), re.MULTILINE
    )
    assert dagster is not None
    assert launcher is not None
    # Dagster's libraries count sixteen ahead of its core.
    assert f"{int(launcher[1]) - 16}.{launcher[2]}" == dagster[1]


def test_what_runs_is_a_user_without_rights_and_without_pip() -> None:
    build, final = stages()
    users = [rest for name, rest in final if name == "USER"]
    assert users == ["10001:10001"]
    assert final.index(("USER", users[0])) > max(n for n, (name, _) in enumerate(final) if name in {"RUN", "COPY"})
    assert any("--without-pip" in rest for name, rest in build if name == "RUN")
    assert any("pip uninstall" in rest for name, rest in final if name == "RUN")
    assert not any("apt-get" in rest for _, rest in instructions())


def test_dagsters_home_is_part_of_the_image_and_the_projects_is_not() -> None:
    _, final = stages()
    environment = dict(pair.split("=", 1) for name, rest in final if name == "ENV" for pair in shlex.split(rest))
    target = next(shlex.split(rest)[-1] for name, rest in final if name == "COPY" and "deploy/dagster.yaml" in rest)
    assert PurePosixPath(environment["DAGSTER_HOME"]) == PurePosixPath(target)
    assert environment["SELO_HOME"] == environment["HOME"] == "/var/lib/selo"


def test_the_image_serves_the_code_where_the_workspace_looks_for_it() -> None:
    _, final = stages()
    command = next(rest for name, rest in final if name == "CMD")
    server = read_yaml("workspace.yaml")["load_from"][0]["grpc_server"]
    assert f'"--port", "{server["port"]}"' in command
    assert f'"--location-name", "{server["location_name"]}"' in command
