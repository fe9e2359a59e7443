"""What is to run where: the plan that a pool controller carries out, and what it finds.

Free of ray, so that the plan can be made, tested and pickled without it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Protocol, TypeVar, cast

Config = TypeVar("Config")


class ReplicaKind(enum.StrEnum):
    """What a replica is."""

    DRAFTER = "drafter"
    VERIFIER = "verifier"
    SHARD = "shard"


@dataclass(frozen=True, slots=True)
class Membership:
    """Addresses (host:port) of everything that is up, by kind. Shards are in the order of their numbers."""

    drafters: tuple[str, ...] = ()
    verifiers: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    """One for each shard, empty string while it is down."""


class RunningDaemon(Protocol):
    """What a daemon's ``running(config)`` yields."""

    @property
    def address(self) -> str:
        """Where it listens, host:port."""


class RunningShard(RunningDaemon, Protocol):
    """A running coordinator shard."""

    def update_membership(self, membership: Membership) -> None:
        """Use these drafters, verifiers and peers from now on."""


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """One replica: a daemon with its configuration and the resources it is to be given."""

    name: str
    kind: ReplicaKind
    entry: str
    """Where the daemon's ``running`` function is, ``package.module:function``."""

    config: object
    """The daemon's configuration; it must be picklable."""

    cpus: float = 1.0
    gpus: float = 0.0

    def running(self) -> AbstractAsyncContextManager[RunningDaemon]:
        """The daemon as a context manager that starts and stops it."""
        # By name, since the daemons never import each other.
        module, _, function = self.entry.partition(":")
        start = getattr(import_module(module), function)
        return cast("AbstractAsyncContextManager[RunningDaemon]", start(self.config))


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """Where a replica runs."""

    name: str
    kind: ReplicaKind
    address: str
    """Empty while it starts or restarts."""

    node: str = ""
    """IP address of its machine."""

    pid: int = 0
    cpus: float = 0.0
    gpus: float = 0.0
    failure: str = ""
    """Why it could not start when it last tried."""

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        return bool(self.address)


def membership_of(statuses: Sequence[ReplicaStatus]) -> Membership:
    """The membership that these statuses amount to."""

    def addresses(kind: ReplicaKind) -> tuple[str, ...]:
        return tuple(status.address for status in statuses if status.kind is kind)

    return Membership(
        drafters=tuple(filter(None, addresses(ReplicaKind.DRAFTER))),
        verifiers=tuple(filter(None, addresses(ReplicaKind.VERIFIER))),
        shards=addresses(ReplicaKind.SHARD),
    )


def reconfigured(
    plan: Sequence[ReplicaSpec], config_type: type[Config], change: Callable[[Config], Config]
) -> tuple[ReplicaSpec, ...]:
    """A plan in which every configuration of a type (a verifier's, a drafter's or a shard's) is changed."""
    return tuple(
        replace(spec, config=change(spec.config)) if isinstance(spec.config, config_type) else spec for spec in plan
    )
