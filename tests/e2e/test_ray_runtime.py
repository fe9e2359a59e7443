"""Ray as supervisor of toy daemons: start, restart, membership, drain. The tests share one start and run in order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from draftmesh.coordinator.ray_runtime import RayConfig, RayRuntime, ray_runtime
from draftmesh.coordinator.replicas import Membership, ReplicaKind, ReplicaStatus
from draftmesh.core.errors import UnavailableError
from tests.helpers.processes import descendants, survivors
from tests.helpers.toy_daemon import STARTED, STOPPED, ToyConfig, lines, memberships, spec

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120)]

DRAFTER, LATE, SHARD = "drafter-0", "verifier-0", "shard-0"
CONFIG = RayConfig(poll_interval_s=0.1, start_timeout_s=90.0, stop_timeout_s=20.0)
END_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class World:
    """A drafter, a shard, and a verifier that cannot start while there is an obstacle."""

    runtime: RayRuntime
    journals: Path
    obstacle: Path
    strangers: frozenset[int]
    """Processes that were there before."""

    leave: Callable[[], None]
    """Drain and end everything."""

    def status(self, name: str) -> ReplicaStatus:
        """What is known of a replica."""
        return next(status for status in self.runtime.statuses() if status.name == name)

    def wait_until_up(self) -> None:
        """Until all three are up."""
        self.obstacle.unlink(missing_ok=True)
        until(lambda: not self.status(LATE).failure)
        began_s = time.monotonic()
        self.runtime.wait_until_up(time.sleep, lambda: time.monotonic() - began_s)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Ray for the module."""
    folder = tmp_path_factory.mktemp("toys")
    obstacle = folder / "obstacle"
    obstacle.touch()
    plan = (
        spec(LATE, ReplicaKind.VERIFIER, ToyConfig(folder / LATE, obstacle=obstacle)),
        spec(DRAFTER, ReplicaKind.DRAFTER, ToyConfig(folder / DRAFTER)),
        spec(SHARD, ReplicaKind.SHARD, ToyConfig(folder / SHARD)),
    )
    strangers = descendants(os.getpid())
    with ExitStack() as stack:
        runtime = stack.enter_context(ray_runtime(plan, CONFIG))
        yield World(runtime, folder, obstacle, strangers, stack.close)


def until(found: Callable[[], bool]) -> None:
    """Ask other processes until they say so; the test's timeout ends a wait in vain."""
    while not found():
        time.sleep(CONFIG.poll_interval_s)


def test_a_replica_that_cannot_start_says_why(world: World) -> None:
    """Waiting ends at once, with the name of the replica and the words of its daemon."""
    with pytest.raises(UnavailableError, match=f"{LATE} cannot start: this toy does not start"):
        world.runtime.wait_until_up(time.sleep, lambda: 0.0)


def test_replicas_run_in_processes_of_their_own(world: World) -> None:
    """All come up, the late one too once it can, each with its own process and address, in the order of the plan."""
    world.wait_until_up()
    statuses = world.runtime.statuses()
    pids = {status.pid for status in statuses}
    assert [status.name for status in statuses] == [LATE, DRAFTER, SHARD]
    assert [status.address for status in statuses] == [f"toy:{status.pid}" for status in statuses]
    assert len(pids - {os.getpid()}) == 3


def test_the_shard_is_told_who_is_up(world: World) -> None:
    """It hears the addresses of all, its own included."""
    world.wait_until_up()
    latest, drafter, shard = (world.status(name).address for name in (LATE, DRAFTER, SHARD))
    expected = Membership(drafters=(drafter,), verifiers=(latest,), shards=(shard,))
    until(lambda: memberships(world.journals / SHARD)[-1:] == [expected])


def test_a_killed_replica_comes_back(world: World) -> None:
    """After SIGKILL the replica runs in another process, and the shard hears its new address."""
    world.wait_until_up()
    killed = world.status(DRAFTER)
    os.kill(killed.pid, signal.SIGKILL)
    until(lambda: world.status(DRAFTER).pid not in {0, killed.pid})
    back = world.status(DRAFTER)
    until(lambda: memberships(world.journals / SHARD)[-1].drafters == (back.address,))
    assert lines(world.journals / DRAFTER) == [f"{STARTED} {killed.pid}", f"{STARTED} {back.pid}"]


def test_leaving_drains_everything_and_leaves_no_process(world: World) -> None:
    """Every daemon's context is left in order, and nothing that Ray has started runs on."""
    world.wait_until_up()
    pids = {status.name: status.pid for status in world.runtime.statuses()}
    ours = descendants(os.getpid()) - world.strangers
    assert ours >= set(pids.values())
    world.leave()
    last = {name: lines(world.journals / name)[-1] for name in pids}
    assert last == {name: f"{STOPPED} {pid}" for name, pid in pids.items()}
    assert survivors(ours, END_TIMEOUT_S) == frozenset()
