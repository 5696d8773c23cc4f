"""Machines as network namespaces on one bridge: each with its own address, hostname and processes, and a cable."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.processes import DEADLINE_S, POLL_S, ROOT, until

NET_ADMIN = 12
"""The number of CAP_NET_ADMIN."""

IN_ITS_NAME = 'hostname "$0" && exec "$@"'


def why_not() -> str | None:
    """Return why this machine cannot make others; None: it can."""
    missing = [name for name in ("ip", "unshare", "hostname") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)} (Debian: iproute2, util-linux, hostname)"
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    held = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if os.geteuid() != 0 or not int(held.split()[1], 16) >> NET_ADMIN & 1:
        return "makes network namespaces: run it as root, or in a container with NET_ADMIN and SYS_ADMIN"
    return None


def ip(*arguments: str) -> None:
    """Run `ip`. Raises RuntimeError with what it said."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@dataclass
class Machine:
    """One machine. link: the bridge's end of its cable. logs: what its processes print, by their names."""

    name: str
    namespace: str
    link: str
    address: str
    logs: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *command: str) -> list[str]:
        """Return a command as it is run on this machine."""
        return ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", IN_ITS_NAME, self.name, *command]

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process; what it prints goes to its log."""
        with (self.logs / name).open("ab") as sink:
            child = subprocess.Popen(
                self.command(*command),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=ROOT,
                env={**os.environ, **self.environ},
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def run(self, *command: str, limit_s: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run a process to its end, whatever its status."""
        return subprocess.run(
            self.command(*command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **self.environ},
            timeout=limit_s,
        )

    def said(self, name: str) -> str:
        """Return the end of what a process has printed."""
        path = self.logs / name
        return path.read_text(encoding="utf-8", errors="replace")[-1500:] if path.exists() else ""

    def cut_off(self) -> None:
        """Pull the cable: packets vanish, nobody is told."""
        ip("link", "set", self.link, "down")

    def plug_in(self) -> None:
        """Put the cable back."""
        ip("link", "set", self.link, "up")

    def processes(self) -> list[int]:
        """Return every process of this machine."""
        done = subprocess.run(
            ["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=True, timeout=DEADLINE_S
        )
        return [int(one) for one in done.stdout.split()]

    def kill(self) -> int:
        """Kill every process of this machine, as a power cut does; returns how many there were."""
        killed = set()
        end = time.monotonic() + DEADLINE_S
        while left := self.processes():
            if time.monotonic() > end:
                raise RuntimeError(f"processes of {self.name} do not die: {left}")
            for number in left:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
                    killed.add(number)
            time.sleep(POLL_S)
        for child in self.children:
            child.wait(DEADLINE_S)
        return len(killed)


@dataclass(frozen=True)
class Network:
    """A bridge of this machine's and what hangs on it. address: this machine's own; clients: the whole network."""

    address: str
    clients: str
    machines: tuple[Machine, ...]


@contextmanager
def network(tag: str, names: Sequence[str], folder: Path) -> Iterator[Network]:
    """Make machines, and take them away with all their processes, whatever happens.

    tag: up to 4 letters or digits that nobody else uses at the moment.
    """
    bridge = f"selo{tag}"
    with ExitStack() as undo:
        place = _free_place()
        ip("link", "add", bridge, "type", "bridge")
        undo.callback(ip, "link", "del", bridge)
        ip("addr", "add", f"10.213.{place}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        machines = tuple(
            _machine(undo, tag, name, bridge, f"10.213.{place}.{number}", folder)
            for number, name in enumerate(names, start=2)
        )
        yield Network(f"10.213.{place}.1", f"10.213.{place}.0/24", machines)


def _machine(undo: ExitStack, tag: str, name: str, bridge: str, address: str, folder: Path) -> Machine:
    namespace, link = f"selo-{tag}-{name}", f"selo{tag}{name}"
    logs = folder / name / "logs"
    logs.mkdir(parents=True)
    ip("netns", "add", namespace)
    one = Machine(name, namespace, link, address, logs)
    undo.callback(_away, one)
    ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    ip("link", "set", link, "master", bridge, "up")
    ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
    ip("-n", namespace, "link", "set", "eth0", "up")
    ip("-n", namespace, "link", "set", "lo", "up")
    return one


def _away(machine: Machine) -> None:
    try:
        machine.kill()
    finally:
        # The kernel frees a namespace, and the cables in it, some time after its name is gone.
        with suppress(RuntimeError):
            ip("link", "del", machine.link)
        ip("netns", "del", machine.namespace)


def _free_place() -> int:
    done = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True, timeout=DEADLINE_S)
    taken = {part.split(".")[2] for part in done.stdout.split() if part.startswith("10.213.")}
    return next(number for number in range(1, 255) if str(number) not in taken)


def until_reached(machine: Machine, process: subprocess.Popen[bytes], log: str, port: int) -> None:
    """Wait until a server of a machine listens; fails when it ends before."""
    probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2).close()"
    command = machine.command("python3", "-c", probe)

    def listens() -> bool:
        assert process.poll() is None, machine.said(log)
        return subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE_S).returncode == 0

    until(listens, f"{log} of {machine.name} does not listen")
