"""`draftmesh up` as a process of its own, as a user would start it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from draftmesh.coordinator.replicas import ReplicaKind, ReplicaStatus
from draftmesh.demo.models import TARGET, demo_model_path

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class UpProcess:
    """A deployment that is up."""

    process: subprocess.Popen[str]
    listen: str
    replicas: tuple[ReplicaStatus, ...]

    def replica(self, prefix: str) -> ReplicaStatus:
        """The first replica whose name begins so."""
        return next(replica for replica in self.replicas if replica.name.startswith(prefix))

    def shard_addresses(self) -> tuple[str, ...]:
        """Each shard's own address."""
        return tuple(replica.address for replica in self.replicas if replica.kind == ReplicaKind.SHARD)


@contextmanager
def up(*arguments: str, log: Path, target: str = str(demo_model_path(TARGET))) -> Iterator[UpProcess]:
    """Start a deployment of the packaged models, on loopback and one thread each; SIGINT ends it."""
    command = [
        *(sys.executable, "-m", "draftmesh.cli", "up", "--json", "--listen", f"127.0.0.1:{free_port()}"),
        *("--target", target, "--verifier-threads", "1"),
        *arguments,
    ]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True) as process,
    ):
        try:
            yield _ready(process, log)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_TIMEOUT_S)


def _ready(process: subprocess.Popen[str], log: Path) -> UpProcess:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(f"draftmesh up ended with {process.wait(STOP_TIMEOUT_S)}:\n{log.read_text()}")
    status = json.loads(line)
    replicas = (ReplicaStatus(**{**entry, "kind": ReplicaKind(entry["kind"])}) for entry in status["replicas"])
    return UpProcess(process, status["listen"], tuple(replicas))


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def run_cli(*arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run the draftmesh command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "draftmesh.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
