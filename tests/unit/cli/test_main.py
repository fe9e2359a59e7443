"""The draftmesh command as a process: help, exit codes, where options come from, what goes where."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from draftmesh.cli.bench.pair import PairBenchOptions
from draftmesh.cli.demo import DemoOptions
from draftmesh.cli.inspect import InspectOptions
from draftmesh.cli.options import LogOptions, ModelOptions, PairOptions, PoolOptions, RayOptions, ThreadOptions
from draftmesh.client import GenerateOptions
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.drafter.config import DrafterConfig
from draftmesh.v1 import coordinator_pb2
from draftmesh.verifier.config import VerifierConfig
from tests.helpers.scripted_coordinator import ScriptedCoordinator, chunk, finished, says, serving, started
from tests.helpers.up import free_port

CLIENT = ("address", "color")
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[type[Any], ...]]] = {
    "demo": (("color",), (DemoOptions, ModelOptions)),
    "up": (("json",), (ModelOptions, PoolOptions, RayOptions)),
    "generate": (CLIENT, (GenerateOptions,)),
    "inspect": ((), (InspectOptions, PairOptions)),
    "bench pair": ((), (PairBenchOptions, ThreadOptions)),
    "pools": (("address",), ()),
    "verifier": ((), (VerifierConfig, LogOptions)),
    "drafter": ((), (DrafterConfig, LogOptions)),
    "coordinator": ((), (CoordinatorConfig, LogOptions)),
}
NOTHING: Mapping[str, str] = {}
TIMEOUT_S = 90.0
WIDE = "400"
"""Columns, so that no help text is cut."""


@dataclass(frozen=True, slots=True)
class Done:
    """A process that has ended."""

    code: int | None
    out: str
    err: str


async def draftmesh(*arguments: str, cwd: Path, stdin: bytes = b"", environment: Mapping[str, str] = NOTHING) -> Done:
    """Run the command in a folder, with these variables and no other of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DRAFTMESH_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "draftmesh.cli", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**inherited, "NO_COLOR": "1", "COLUMNS": WIDE, "OMP_NUM_THREADS": "1", **environment},
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate(stdin)
    return Done(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("command", COMMANDS)
async def test_help_names_every_flag(command: str, tmp_path: Path) -> None:
    """``--help`` of every command ends well and names a flag for every option of its configuration."""
    flags, options = COMMANDS[command]
    names = (*flags, *(field.name for cls in options for field in fields(cls)))
    done = await draftmesh(*command.split(), "--help", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    wanted = [f"--{name.replace('_', '-')}" for name in names]
    assert [flag for flag in wanted if not re.search(rf"{flag}(?![\w-])", done.out)] == []


async def test_help_lists_every_command(tmp_path: Path) -> None:
    """``draftmesh --help`` names the commands."""
    done = await draftmesh("--help", cwd=tmp_path)
    assert done.code == 0
    assert [command for command in COMMANDS if not re.search(rf"\b{command.split()[0]}\b", done.out)] == []


async def test_nobody_at_the_address_is_one_line(tmp_path: Path) -> None:
    """An unreachable coordinator ends the command with 1 and says so in one line, not in a traceback."""
    address = f"127.0.0.1:{free_port()}"
    done = await draftmesh("generate", "x", "--address", address, cwd=tmp_path, environment={"COLUMNS": "40"})
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    assert done.err.startswith(f"draftmesh: UNAVAILABLE: {address}: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("coordinator", "--listen", "nowhere"), "draftmesh: CONFIG: listen must be host:port"),
        (("up", "--target", "x", "--shards", "0"), "draftmesh: CONFIG: a deployment needs at least one shard"),
        (("up", "--listen", "nonsense"), "draftmesh: CONFIG: listen must be host:port, got 'nonsense'"),
        (("coordinator", "--shard", "many"), "many"),
        (("inspect", "demo", "demo", "--corpus", "no/such/file"), "draftmesh: CONFIG: the corpus no/such/file"),
        (("inspect", "demo", "demo", "--methods", "guess"), "draftmesh: CONFIG: unknown method 'guess'"),
        (("inspect", "demo", "demo", "--prompts", "0"), "draftmesh: CONFIG: prompts must be at least 1, got 0"),
        (("inspect", "demo"), "drafter"),
        (("bench", "pair", "--prompts", "17"), "draftmesh: CONFIG: prompts must be 1 to 16"),
        (("generate", "x", "--sed", "3"), "--sed"),
    ],
)
async def test_a_wrong_value_ends_with_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """What no configuration can be is told before anything starts, without a traceback."""
    done = await draftmesh(*arguments, cwd=tmp_path)
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert message in done.err


async def test_a_value_that_cannot_be_sent_is_one_line(tmp_path: Path) -> None:
    """A negative seed is refused by the client, without a traceback."""
    done = await draftmesh("generate", "x", "--seed", "-1", cwd=tmp_path)
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert done.err.startswith("draftmesh: INVALID_REQUEST: ")


@pytest.mark.parametrize("source", ["file", "environment", "flag"])
async def test_flags_win_over_the_environment_and_that_over_the_file(source: str, tmp_path: Path) -> None:
    """The address that is dialled is that of the strongest source that names one."""
    addresses = {name: f"127.0.0.1:{free_port()}" for name in ("file", "environment", "flag")}
    (tmp_path / "draftmesh.toml").write_text(f'[generate]\naddress = "{addresses["file"]}"\n[other]\nx = 1\n')
    environment = {} if source == "file" else {"DRAFTMESH_GENERATE_ADDRESS": addresses["environment"]}
    flags = ("--address", addresses["flag"]) if source == "flag" else ()
    done = await draftmesh("generate", "x", *flags, cwd=tmp_path, environment=environment)
    assert done.code == 1
    assert done.err.startswith(f"draftmesh: UNAVAILABLE: {addresses[source]}: ")


async def test_text_and_summary_go_to_different_streams(tmp_path: Path) -> None:
    """Standard output has the text and nothing else, so that it can be piped; the summary goes to standard error."""
    script = says(started(), chunk("hé".encode()), chunk(b"llo", 3), finished())
    async with serving(ScriptedCoordinator(script)) as address:
        done = await draftmesh("generate", "x", "--address", address, cwd=tmp_path)
    assert (done.code, done.out) == (0, "héllo\n")
    assert "method exact" in done.err


async def test_a_prompt_is_read_from_standard_input_as_it_is(tmp_path: Path) -> None:
    """``-`` takes the bytes themselves: whether they are text is for the coordinator to say."""
    coordinator = ScriptedCoordinator()
    async with serving(coordinator) as address:
        done = await draftmesh("generate", "-", "--address", address, cwd=tmp_path, stdin=b"a\r\n\xff")
    assert (done.code, [request.text for request in coordinator.requests]) == (0, [b"a\r\n\xff"])


async def test_pools_prints_a_row_a_member(tmp_path: Path) -> None:
    """Address, readiness and acceptance of every member are shown, and what its drafts won: 3 / 17 of 51 B in 0.5 s."""
    books = coordinator_pb2.Ledger(
        drafted_tokens=4, accepted_tokens=3, committed_tokens=17, committed_bytes=51, elapsed_ms=500.0
    )
    member = coordinator_pb2.PoolMember(
        kind=coordinator_pb2.POOL_KIND_DRAFTER, address="host:1", model="small", ready=True, ledger=books
    )
    async with serving(ScriptedCoordinator(members=[member])) as address:
        done = await draftmesh("pools", "--address", address, cwd=tmp_path)
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["pool", "model", "address", "ready", "trusted", "sessions", "acceptance", "accepted-bytes/s", "tokens"],
        ["drafter", "small", "host:1", "yes", "no", "0/0", "0.75", "18", "17"],
    ]
