"""The ``draftmesh`` command: every subcommand, its flags, and nothing else.

Flags can also come from the environment (``DRAFTMESH_VERIFIER_LISTEN``) and from ``draftmesh.toml`` in the working
directory, in a table named like the command; a flag wins over the environment, which wins over the file.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.config import Env, Toml
from rich.console import Console
from rich.table import Table

from draftmesh import __version__
from draftmesh.cli.demo import DemoOptions, run_demo
from draftmesh.cli.deployment import deployment, status_json, status_table
from draftmesh.cli.generate import print_summary, read_prompt, stream_to_console
from draftmesh.cli.options import LogOptions, ModelOptions, PoolOptions, RayOptions
from draftmesh.cli.painting import legend
from draftmesh.cli.plan import deployment_plan
from draftmesh.client import Client, GenerateOptions
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.core.errors import ConfigError, DraftmeshError
from draftmesh.drafter.config import DrafterConfig
from draftmesh.telemetry.logs import configure_logging
from draftmesh.verifier.config import VerifierConfig

Flat = Parameter(name="*")
ColorOption = Annotated[Literal["auto", "always", "never"], Parameter(help="Colour the text.")]
AddressOption = Annotated[str, Parameter(help="Address of a coordinator shard, host:port.")]
DEFAULT_ADDRESS = PoolOptions().listen

app = App(
    name="draftmesh",
    help="Lossless speculative decoding with any drafter, over a network.",
    version=__version__,
    default_parameter=Parameter(negative_iterable=()),
    config=[Env("DRAFTMESH_"), Toml("draftmesh.toml", must_exist=False, allow_unknown=True)],
)


@app.command
def up(
    *,
    models: Annotated[ModelOptions, Flat] = ModelOptions(),
    pools: Annotated[PoolOptions, Flat] = PoolOptions(),
    ray: Annotated[RayOptions, Flat] = RayOptions(),
    json: Annotated[bool, Parameter(help="When all is up, print what runs where as one JSON object.")] = False,
) -> None:
    """Run a whole deployment under Ray: verifiers, drafters and coordinator shards. Ctrl-C drains and ends it.

    Without options it runs the packaged demo models. A replica that dies is restarted.
    """
    console = Console(stderr=True)
    with deployment(deployment_plan(models, pools), ray, console) as runtime, _stop_signal() as stopped:
        console.print(status_table(runtime.statuses()))
        console.print(f"ready: draftmesh generate --address {pools.listen} 'def main('", highlight=False)
        if json:
            print(status_json(pools.listen, runtime.statuses()), flush=True)
        stopped.wait()


@app.command
def verifier(*, config: Annotated[VerifierConfig, Flat], log: Annotated[LogOptions, Flat] = LogOptions()) -> None:
    """Run one verifier: a target model that judges drafts."""
    from draftmesh.verifier import app as daemon  # noqa: PLC0415 (torch takes seconds to import)

    _run_daemon(daemon.run(config), log)


@app.command
def drafter(
    *, config: Annotated[DrafterConfig, Flat] = DrafterConfig(), log: Annotated[LogOptions, Flat] = LogOptions()
) -> None:
    """Run one drafter: a small model, or none at all, that proposes text."""
    from draftmesh.drafter import app as daemon  # noqa: PLC0415 (torch takes seconds to import)

    _run_daemon(daemon.run(config), log)


@app.command
def coordinator(
    *, config: Annotated[CoordinatorConfig, Flat] = CoordinatorConfig(), log: Annotated[LogOptions, Flat] = LogOptions()
) -> None:
    """Run one coordinator shard, for drafters and verifiers that are given by address."""
    from draftmesh.coordinator import app as daemon  # noqa: PLC0415

    _run_daemon(daemon.run(config), log)


@app.command
def generate(
    prompt: Annotated[str, Parameter(help="The prompt; - reads it from standard input.")],
    *,
    address: AddressOption = DEFAULT_ADDRESS,
    options: Annotated[GenerateOptions, Flat] = GenerateOptions(),
    color: ColorOption = "auto",
) -> None:
    """Stream one generation: drafted-and-accepted text in one colour, the target's own in another."""
    console = _console(color)
    with Client(address) as client:
        generation = stream_to_console(client, read_prompt(prompt), options, console)
    summary = Console(stderr=True)
    console.print()
    if console.is_terminal:
        legend(summary)
    print_summary(generation, summary)


@app.command
def pools(*, address: AddressOption = DEFAULT_ADDRESS) -> None:
    """List the drafters and verifiers that a coordinator sees, and what drafting won with each."""
    with Client(address) as client:
        members = client.pools()
    table = Table("pool", "model", "address", "ready", "sessions", "acceptance", "tokens")
    for member in members:
        ledger = member.ledger
        table.add_row(
            member.kind,
            member.model,
            member.address,
            "yes" if member.ready else "no",
            f"{member.load.active_sessions}/{member.load.max_sessions}",
            f"{ledger.acceptance_rate:.2f}" if ledger.drafted_tokens else "",
            str(ledger.committed_tokens),
        )
    Console().print(table)


@app.command
def demo(
    *,
    options: Annotated[DemoOptions, Flat] = DemoOptions(),
    models: Annotated[ModelOptions, Flat] = ModelOptions(),
    color: ColorOption = "auto",
) -> None:
    """Show what drafting does: the packaged target made large, helped by a small drafter with another tokenizer."""
    run_demo(options, models, _console(color))


def main() -> None:
    """Entry point of the console command."""
    try:
        app()
    except ConfigError as error:
        _fail(error, 2)
    except DraftmeshError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: DraftmeshError, code: int) -> None:
    Console(stderr=True).print(f"draftmesh: {error.reason}: {error}", style="red", highlight=False, markup=False)
    sys.exit(code)


def _console(color: str) -> Console:
    return Console(force_terminal={"auto": None, "always": True, "never": False}[color])


def _run_daemon(work: Coroutine[Any, Any, None], log: LogOptions) -> None:
    configure_logging(log.log_format, log.log_level)
    asyncio.run(work)


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; the signals are ignored while what follows winds down."""
    stopped = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        signal.signal(number, lambda *_: stopped.set())
    yield stopped
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
