"""``draftmesh up``: a whole deployment under Ray."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from draftmesh.cli.deployment import deployment, status_json, status_table
from draftmesh.cli.options import Flat, ModelOptions, PoolOptions, RayOptions
from draftmesh.cli.plan import deployment_plan


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
