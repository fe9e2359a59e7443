"""Processes of this machine: who descends from whom, and waiting until one has gone."""

from __future__ import annotations

import os
import select
import subprocess


def descendants(pid: int) -> frozenset[int]:
    """Every process that ``pid`` has started, and those that they have started, and so on."""
    listing = subprocess.run(["ps", "-Ao", "pid=,ppid="], capture_output=True, text=True, check=True, timeout=30)
    parents = {int(child): int(parent) for child, parent in map(str.split, listing.stdout.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return frozenset(found - {pid})


def survivors(pids: frozenset[int], timeout_s: float) -> frozenset[int]:
    """Those that have not ended after so long."""
    return frozenset(pid for pid in pids if not _has_ended(pid, timeout_s))


def _has_ended(pid: int, timeout_s: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], timeout_s)[0])
    finally:
        os.close(handle)
