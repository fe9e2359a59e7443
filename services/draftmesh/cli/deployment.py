"""A whole deployment under Ray, for as long as a command needs it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from draftmesh.cli.options import RayOptions
from draftmesh.coordinator.ray_runtime import RayConfig, RayRuntime, ray_runtime
from draftmesh.coordinator.replicas import ReplicaSpec, ReplicaStatus


@contextmanager
def deployment(plan: Sequence[ReplicaSpec], options: RayOptions, console: Console) -> Iterator[RayRuntime]:
    """Start the plan, wait until everything is up, and end it when the context is left."""
    config = RayConfig(
        address=options.ray_address,
        start_timeout_s=options.start_timeout_s,
        log_to_driver=options.show_replica_logs,
    )
    started_s = time.monotonic()
    console.print(f"starting {len(plan)} replicas under Ray …", style="dim", highlight=False)
    with ray_runtime(plan, config) as runtime:
        runtime.wait_until_up(time.sleep, lambda: time.monotonic() - started_s)
        console.print(f"all up after {time.monotonic() - started_s:.1f} s", style="dim", highlight=False)
        yield runtime
        console.print("draining …", style="dim", highlight=False)


def status_table(statuses: Sequence[ReplicaStatus]) -> Table:
    """What runs where."""
    table = Table("replica", "address", "machine", "process", "CPUs", "GPUs", title="what runs where")
    for status in statuses:
        address = status.address or "restarting"
        table.add_row(status.name, address, status.node, str(status.pid or ""), f"{status.cpus:g}", f"{status.gpus:g}")
    return table


def status_json(listen: str, statuses: Sequence[ReplicaStatus]) -> str:
    """The same for programs."""
    return json.dumps({"listen": listen, "replicas": [asdict(status) for status in statuses]})
