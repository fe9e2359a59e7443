"""The plan of a deployment, and what it amounts to."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from draftmesh.coordinator.replicas import Membership, ReplicaKind, ReplicaStatus, membership_of
from draftmesh.core.errors import ConfigError
from tests.helpers.toy_daemon import STARTED, STOPPED, ToyConfig, ToyDaemon, lines, memberships, spec


def status(name: str, kind: ReplicaKind, address: str) -> ReplicaStatus:
    """A replica at an address, or down."""
    return ReplicaStatus(name, kind, address)


def test_membership_has_the_addresses_by_kind() -> None:
    """Every address is listed under its kind, in the order of the plan."""
    statuses = [
        status("v0", ReplicaKind.VERIFIER, "v:0"),
        status("d0", ReplicaKind.DRAFTER, "d:0"),
        status("s0", ReplicaKind.SHARD, "s:0"),
        status("d1", ReplicaKind.DRAFTER, "d:1"),
        status("s1", ReplicaKind.SHARD, "s:1"),
    ]
    assert membership_of(statuses) == Membership(("d:0", "d:1"), ("v:0",), ("s:0", "s:1"))


def test_drafters_and_verifiers_that_are_down_are_left_out() -> None:
    """A pool has only members that can be dialled."""
    statuses = [status("v0", ReplicaKind.VERIFIER, ""), status("d0", ReplicaKind.DRAFTER, "")]
    assert membership_of(statuses) == Membership()


def test_a_shard_that_is_down_keeps_its_place() -> None:
    """Session ids name shards by number, so that the others' places must not move."""
    statuses = [status("s0", ReplicaKind.SHARD, ""), status("s1", ReplicaKind.SHARD, "s:1")]
    assert membership_of(statuses).shards == ("", "s:1")


@pytest.mark.parametrize(("address", "is_up"), [("", False), ("host:1", True)])
def test_a_replica_is_up_when_it_has_an_address(address: str, is_up: bool) -> None:
    """No address means that it starts or restarts."""
    assert status("d0", ReplicaKind.DRAFTER, address).is_up is is_up


async def test_a_spec_runs_its_daemon_by_name(tmp_path: Path) -> None:
    """The entry's function gets the configuration; its context starts and stops the daemon."""
    config = ToyConfig(tmp_path / "journal", host="here")
    started, stopped = (f"{event} {os.getpid()}" for event in (STARTED, STOPPED))
    async with spec("d0", ReplicaKind.DRAFTER, config).running() as daemon:
        assert daemon.address == f"here:{os.getpid()}"
        assert lines(config.journal) == [started]
    assert lines(config.journal) == [started, stopped]


async def test_a_spec_still_runs_after_it_was_pickled(tmp_path: Path) -> None:
    """What travels to another process is the spec, not the daemon."""
    travelled = pickle.loads(pickle.dumps(spec("d0", ReplicaKind.DRAFTER, ToyConfig(tmp_path / "journal"))))
    async with travelled.running() as daemon:
        assert daemon.address == f"toy:{os.getpid()}"


async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its own error passes through."""
    config = ToyConfig(tmp_path / "journal", obstacle=tmp_path)
    with pytest.raises(ConfigError, match="does not start"):
        async with spec("d0", ReplicaKind.DRAFTER, config).running():
            pass


@pytest.mark.parametrize(
    ("entry", "error"), [("draftmesh.nowhere:running", ModuleNotFoundError), ("draftmesh.cli:running", AttributeError)]
)
def test_an_entry_that_is_not_there_is_an_error(tmp_path: Path, entry: str, error: type[Exception]) -> None:
    """A misspelled module or function is noticed when the replica is to run."""
    replica = replace(spec("d0", ReplicaKind.DRAFTER, ToyConfig(tmp_path / "journal")), entry=entry)
    with pytest.raises(error):
        replica.running()


def test_a_toy_shard_notes_its_membership(tmp_path: Path) -> None:
    """What is written down is read back the same (the end-to-end tests rely on it)."""
    config = ToyConfig(tmp_path / "journal")
    membership = Membership(("d:0",), (), ("", "s:1"))
    ToyDaemon(config).update_membership(membership)
    assert memberships(config.journal) == [membership]
