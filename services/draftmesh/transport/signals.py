"""The signals that stop a daemon."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KILLED_BY = 128  # exit status of a process that a signal ended, less the signal's number, as shells count it


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; a second one cancels the present task, and ends the process.

    Raises:
        SystemExit: a second signal came; what was inside the context has been cleaned up.
    """
    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None, "runs inside a task"
    second: list[signal.Signals] = []

    def handle(number: signal.Signals) -> None:
        if stop.is_set():
            second.append(number)
            task.cancel()
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield stop
    except asyncio.CancelledError:
        if not second:
            raise
        raise SystemExit(_KILLED_BY + second[0]) from None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
