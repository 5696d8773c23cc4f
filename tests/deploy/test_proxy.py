"""The reverse proxy: the shipped configuration in a real nginx, before servers that say what reached them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import DEPLOY
from tests.support.ports import free_ports

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (apt-get install nginx-light)")

UPSTREAMS = {"http://webserver-admin:3000": "admin", "http://webserver:3000": "viewer", "http://http:3001": "app"}
ADMIN, VIEWER, WRONG = "admin:of course", "viewer:looks only", "viewer:guessed"


@contextmanager
def upstream(name: str) -> Iterator[int]:
    """Serve what says its own name and what reached it; yields its port."""

    class Says(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = {"server": name, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Says)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hashed(password: str) -> str:
    """Return a password's hash, as env.example says to make it."""
    made = subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True)
    return made.stdout.strip()


def started(folder: Path, configuration: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the proxy by its own script, with its files in `folder` instead of /tmp."""
    script = (DEPLOY / "proxy" / "start.sh").read_text(encoding="utf-8").replace("/tmp/", f"{folder}/")  # noqa: S108
    (folder / "start.sh").write_text(script, encoding="utf-8")
    (folder / "nginx.conf").write_text(configuration, encoding="utf-8")
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return subprocess.Popen(
            ["sh", folder / "start.sh", folder / "nginx.conf"],
            env={"PATH": os.environ["PATH"], **environment},
            stdout=out,
            stderr=err,
        )


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the proxy before three servers."""
    folder = tmp_path_factory.mktemp("proxy")
    text = (DEPLOY / "proxy" / "nginx.conf").read_text(encoding="utf-8").replace("/tmp/", f"{folder}/")  # noqa: S108
    (port,) = free_ports(1)
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("/dev/stdout", str(folder / "access"))
    if os.geteuid() == 0:
        text = f"user root;\n{text}"
    with ExitStack() as stack:
        for address, name in UPSTREAMS.items():
            assert address in text
            text = text.replace(address, f"http://127.0.0.1:{stack.enter_context(upstream(name))}")
        password = {"PROXY_ADMIN_HASH": hashed("of course"), "PROXY_VIEWER_HASH": hashed("looks only")}
        server = started(folder, text, password)
        stack.callback(server.wait, 10)
        stack.callback(server.terminate)
        until = time.monotonic() + 20
        while asked(f"http://127.0.0.1:{port}", "/proxy-alive")[0] != 200:
            assert server.poll() is None, (folder / "err").read_text()
            assert time.monotonic() < until
        yield f"http://127.0.0.1:{port}"


def asked(proxy: str, path: str, login: str | None = None, **headers: str) -> tuple[int, Any]:
    """Return status and what the server behind told; 0 while nobody listens."""
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    try:
        with urllib.request.urlopen(urllib.request.Request(proxy + path, headers=headers), timeout=10) as answer:  # noqa: S310
            body = answer.read()
            return answer.status, json.loads(body) if body.startswith(b"{") else None
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, None
    except OSError:
        return 0, None


@pytest.mark.parametrize(
    "path", ["/", "/graphql", "/server_info", "/admin/", "/admin/graphql", "/selo/", "/selo/metrics", "/selo/status"]
)
@pytest.mark.parametrize("login", [None, WRONG, "admin:looks only", "nobody:"])
def test_nobody_comes_in_without_a_login(proxy: str, path: str, login: str | None) -> None:
    assert asked(proxy, path, login) == (401, None)


@pytest.mark.parametrize("login", [ADMIN, VIEWER])
@pytest.mark.parametrize("path", ["/", "/graphql", "/runs/administration", "/assets/daily_reflection?view=partitions"])
def test_everybody_with_a_login_gets_the_read_only_web_ui(proxy: str, path: str, login: str) -> None:
    status, told = asked(proxy, path, login)
    assert (status, told["server"], told["path"]) == (200, "viewer", path)


def test_only_administrators_get_the_web_ui_that_can_change_things(proxy: str) -> None:
    status, told = asked(proxy, "/admin/graphql", ADMIN)
    assert (status, told["server"], told["path"]) == (200, "admin", "/admin/graphql")
    assert asked(proxy, "/admin/graphql", VIEWER) == (401, None)


@pytest.mark.parametrize(
    "path", ["//admin/graphql", "/selo/../admin/", "/%61dmin/", "/selo/api/../../admin/", "/admin/."]
)
def test_no_spelling_of_the_path_lets_a_viewer_administer(proxy: str, path: str) -> None:
    assert asked(proxy, path, VIEWER)[0] in {400, 401}
    assert asked(proxy, path)[0] in {400, 401}


def test_the_application_is_below_a_path_of_its_own_that_it_need_not_know(proxy: str) -> None:
    status, told = asked(proxy, "/selo/runbook?still", VIEWER)
    assert (status, told["server"], told["path"]) == (200, "app", "/runbook?still")


def test_passwords_go_no_further_than_the_proxy(proxy: str) -> None:
    for path in ("/", "/admin/", "/selo/"):
        _, told = asked(proxy, path, ADMIN)
        assert "authorization" not in told["headers"]
        assert told["headers"]["x-forwarded-user"] == "admin"


def test_the_api_has_tokens_of_its_own_which_reach_it(proxy: str) -> None:
    status, told = asked(proxy, "/selo/api/people", Authorization="Bearer one-of-the-tokens")
    assert (status, told["server"], told["path"]) == (200, "app", "/api/people")
    assert told["headers"]["authorization"] == "Bearer one-of-the-tokens"
    assert "x-forwarded-user" not in told["headers"]


@pytest.mark.parametrize("path", ["/selo/api/../status", "/selo/api/%2e%2e/metrics", "/selo/apis/"])
def test_what_only_looks_like_the_api_needs_a_login(proxy: str, path: str) -> None:
    assert asked(proxy, path, Authorization="Bearer one-of-the-tokens") == (401, None)


def test_nobody_says_who_he_is_but_the_proxy(proxy: str) -> None:
    _, told = asked(proxy, "/", VIEWER, **{"X-Forwarded-User": "admin", "X-Forwarded-For": "10.0.0.1"})
    assert told["headers"]["x-forwarded-user"] == "viewer"
    assert told["headers"]["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PROXY_ADMIN_HASH": "$6$a$b"},
        {"PROXY_ADMIN_HASH": "a password", "PROXY_VIEWER_HASH": "$6$a$b"},
        {"PROXY_ADMIN_HASH": "$6$a$b", "PROXY_VIEWER_HASH": ""},
    ],
)
def test_without_two_hashes_it_does_not_start(tmp_path: Path, environment: dict[str, str]) -> None:
    server = started(tmp_path, "", environment)
    assert server.wait(20) == 2
    assert "hash" in (tmp_path / "err").read_text()
    assert not (tmp_path / "viewers").exists()
