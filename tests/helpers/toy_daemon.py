"""A daemon without a model or a server, to be supervised in tests; it writes down what happens to it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from draftmesh.coordinator.replicas import Membership, ReplicaKind, ReplicaSpec
from draftmesh.core.errors import ConfigError

ENTRY = "tests.helpers.toy_daemon:running"
STARTED = "started"
STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ToyConfig:
    """A toy daemon."""

    journal: Path
    """File that gets a line for each thing that happens: ``started PID``, ``stopped PID``, or a membership as JSON."""

    host: str = "toy"
    obstacle: Path | None = None
    """File; while it exists the daemon cannot start."""


@dataclass(frozen=True, slots=True)
class ToyDaemon:
    """A toy that runs; as a shard it notes its membership."""

    config: ToyConfig

    @property
    def address(self) -> str:
        """An address that names the process, since nobody listens there."""
        return f"{self.config.host}:{os.getpid()}"

    def update_membership(self, membership: Membership) -> None:
        """Part of ``RunningShard``."""
        note(self.config, json.dumps(asdict(membership)))


@asynccontextmanager
async def running(config: ToyConfig) -> AsyncIterator[ToyDaemon]:
    """Run for as long as the context lasts; raises ConfigError while the obstacle is there."""
    if config.obstacle is not None and config.obstacle.exists():
        raise ConfigError("this toy does not start")
    note(config, f"{STARTED} {os.getpid()}")
    yield ToyDaemon(config)
    note(config, f"{STOPPED} {os.getpid()}")


def note(config: ToyConfig, line: str) -> None:
    """Add a line to the journal."""
    with config.journal.open("a") as journal:
        journal.write(f"{line}\n")


def lines(journal: Path) -> list[str]:
    """What a journal says so far."""
    return journal.read_text().splitlines() if journal.exists() else []


def memberships(journal: Path) -> list[Membership]:
    """The memberships that a shard has heard of, in order."""
    told = (json.loads(line) for line in lines(journal) if line.startswith("{"))
    return [Membership(**{kind: tuple(addresses) for kind, addresses in each.items()}) for each in told]


def spec(name: str, kind: ReplicaKind, config: ToyConfig) -> ReplicaSpec:
    """A toy as a replica that needs next to nothing."""
    return ReplicaSpec(name=name, kind=kind, entry=ENTRY, config=config, cpus=0.1)
