"""The ``draftmesh`` command: which subcommands there are, where options come from, and how errors are shown.

Options can also come from the environment (``DRAFTMESH_VERIFIER_LISTEN``) and from ``draftmesh.toml`` in the working
directory, in a table named like the command; a flag wins over the environment, which wins over the file. Subcommands
are imported when they are called: ``generate`` must not wait for torch.
"""

from __future__ import annotations

import sys

from cyclopts import App, Parameter
from cyclopts.config import Env, Toml
from rich.console import Console

from draftmesh import __version__
from draftmesh.core.errors import ConfigError, DraftmeshError
from draftmesh.engine.wait_policy import wait_briefly

app = App(
    name="draftmesh",
    help="Lossless speculative decoding with any drafter, over a network.",
    version=__version__,
    default_parameter=Parameter(negative_iterable=()),
    config=[Env("DRAFTMESH_"), Toml("draftmesh.toml", must_exist=False, allow_unknown=True)],
)
app.command("draftmesh.cli.demo:demo", help="Show what drafting does, on packaged models: text, speed, acceptance.")
app.command("draftmesh.cli.up:up", help="Run a whole deployment under Ray; Ctrl-C drains and ends it.")
app.command("draftmesh.cli.generate:generate", help="Stream one generation; shows which text was drafted.")
app.command("draftmesh.cli.inspect:inspect", help="Say what a target and a drafter share, and which method suits them.")
app.command("draftmesh.cli.bench:app", name="bench", help="Measure draftmesh, on the packaged models or your own.")
app.command("draftmesh.cli.pools:pools", help="List drafters and verifiers, and what drafting won with each.")
app.command("draftmesh.cli.daemons:verifier", help="Run one verifier: a target model that judges drafts.")
app.command("draftmesh.cli.daemons:drafter", help="Run one drafter: a small model, or none, that proposes text.")
app.command("draftmesh.cli.daemons:coordinator", help="Run one coordinator shard over given drafters and verifiers.")


def main() -> None:
    """Entry point of the console command."""
    wait_briefly()  # before a subcommand loads torch
    try:
        app()
    except ConfigError as error:
        _fail(error, 2)
    except DraftmeshError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: DraftmeshError, code: int) -> None:
    line = f"draftmesh: {error.reason}: {error}"
    Console(stderr=True).print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(code)
