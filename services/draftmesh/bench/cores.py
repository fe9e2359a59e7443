"""Cores to compute on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from draftmesh.core.errors import ConfigError


def usable_cores() -> int:
    """Cores that this process, and those that it starts, may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def pinned_to(cores: int) -> Iterator[None]:
    """Keep the calling thread, and the threads and processes that it starts meanwhile, on so many of its cores.

    Raises:
        ConfigError: it has fewer cores, or this system does not let a process choose.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError("this system does not let a process choose its cores")
    allowed = os.sched_getaffinity(0)
    if not 1 <= cores <= len(allowed):
        raise ConfigError(f"{cores} cores are wanted, and {len(allowed)} may be used")
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
