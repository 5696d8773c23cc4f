"""`selo up` on a real PostgreSQL, with what a test needs to break it and to look at it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, text

from selo_dagster.store.engine import Store, normalised_url
from tests.support.ports import free_ports
from tests.support.postgres import temporary_postgres

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 180.0
LOOK_EVERY_S = 0.5


class Model:
    """An OpenAI-compatible server as far as health asks: it lists its models, or is not there."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Answer from now on."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b'{"object":"list","data":[]}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be gone."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Installation:
    """One installation. `home` is a file system of its own, so that it can be filled."""

    def __init__(self, home: Path, server: str) -> None:
        self.home = home
        self.server = server
        self.model = Model()
        self.port, self.http_port = free_ports(2)
        (home / "dagster").mkdir()
        instance = (ROOT / "deploy" / "dagster.yaml").read_text(encoding="utf-8")
        (home / "dagster" / "dagster.yaml").write_text(instance, encoding="utf-8")
        ours = ("SELO_", "REFLECTION_", "DAGSTER_", "DATABASE_URL")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)} | {
            "SELO_HOME": str(home),
            "DATABASE_URL": f"{server}/selo",
            "DAGSTER_POSTGRES_URL": f"{server}/dagster".replace("postgresql://", "postgresql+psycopg2://"),
            "SELO_LLM_URL": f"http://127.0.0.1:{self.model.port}/v1",
            "SELO_LLM_MODEL": "small",
        }
        self.store = Store(f"{server}/selo")

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and body of an answer of the HTTP application."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def broken(self) -> dict[str, str]:
        """Return what `/readyz` says is not well: part -> reason."""
        status, body = self.ask("/readyz")
        found = json.loads(body)
        assert (status == 200) == found["ready"]
        return {one["name"]: one["reason"] for one in found["components"] if not one["ok"]}

    def seconds_until(self, part: str, says: str, limit_s: float) -> float:
        """Wait until `/readyz` and the page both name a part with a reason; returns how long it took."""
        began = time.monotonic()
        while says not in self.broken().get(part, "") or self._unseen(part):
            self._fail_after(began, limit_s, f"{part}: {says}")
        return time.monotonic() - began

    def seconds_until_well(self, limit_s: float) -> float:
        """Wait until everything is well again, on the page too; returns how long it took."""
        began = time.monotonic()
        while self.broken() or self.ask("/?still")[0] != 200:
            self._fail_after(began, limit_s, "ready")
        return time.monotonic() - began

    def _unseen(self, part: str) -> bool:
        return part.replace("_", " ") not in self.ask("/?still")[1].lower().replace("_", " ")

    def _fail_after(self, began: float, limit_s: float, what: str) -> None:
        said = f"waited {limit_s:g} s in vain for {what}; there is {self.broken()}"
        assert time.monotonic() - began < limit_s, said
        time.sleep(LOOK_EVERY_S)

    def process(self, *words: str) -> psutil.Process:
        """Return the process of this installation whose command line has these words."""
        for one in psutil.process_iter(["cmdline", "environ"]):
            command = " ".join(one.info["cmdline"] or ())
            if all(word in command for word in words) and (one.info["environ"] or {}).get("SELO_HOME") == str(
                self.home
            ):
                return one
        raise LookupError(words)

    def sql(self, statement: str) -> None:
        """Change something in the project's database."""
        with self.store.engine.begin() as connection:
            connection.execute(text(statement))

    @contextmanager
    def without_postgres(self) -> Iterator[None]:
        """Stop the database's server, and start the same one again."""
        with self.store.engine.connect() as connection:
            data = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        self.store.engine.dispose()
        postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        command, who, where = postmaster.cmdline(), postmaster.uids().real, postmaster.cwd()
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(30)
        yield
        again = subprocess.Popen(
            command,
            cwd=where,
            user=who,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._again = again

    def close(self) -> None:
        """Leave no server behind that was started here."""
        self.store.close()
        self.model.stop()
        again: subprocess.Popen[bytes] | None = getattr(self, "_again", None)
        if again is not None:
            again.send_signal(signal.SIGINT)
            again.wait(20)


@contextmanager
def running(folder: Path) -> Iterator[Installation]:
    """Run `selo up` until the end; it has to end well."""
    with temporary_postgres() as server:
        administer = create_engine(normalised_url(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
        with administer.connect() as connection:
            for name in ("selo", "dagster"):
                connection.execute(text(f"CREATE DATABASE {name}"))
        administer.dispose()
        installation = Installation(folder, server)
        installation.model.start()
        log = folder.parent / "up.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "selo_dagster", "up"),
                    *("--port", str(installation.port), "--http-port", str(installation.http_port)),
                ],
                env=installation.environment,
                cwd=ROOT,
                stdout=sink,
                stderr=sink,
            )
        try:
            _until_it_answers(installation, process, log)
            installation.seconds_until_well(START_LIMIT_S)
            yield installation
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            installation.close()
        assert process.returncode == 0, log.read_text(encoding="utf-8")[-3000:]


def _until_it_answers(installation: Installation, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_LIMIT_S
    while True:
        try:
            installation.ask("/livez")
        except OSError:
            said = log.read_text(encoding="utf-8")[-2000:]
            assert process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(LOOK_EVERY_S)
        else:
            return
