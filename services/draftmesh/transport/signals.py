"""The signals that stop a daemon."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; a second one cancels the present task."""
    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None, "runs inside a task"

    def handle() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, handle)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
