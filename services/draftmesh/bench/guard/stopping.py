"""A process that hangs for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Hang:
    """Stops a process when told to."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.has_begun = False

    def begin(self) -> None:
        """Stop it, once."""
        if not self.has_begun:
            self.has_begun = True
            os.kill(self._pid, signal.SIGSTOP)


@contextmanager
def hanging(pid: int) -> Iterator[Hang]:
    """A hang of a process of ours, which ends with the context."""
    hang = Hang(pid)
    try:
        yield hang
    finally:
        if hang.has_begun:
            os.kill(pid, signal.SIGCONT)
