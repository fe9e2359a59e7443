"""A child process with a pipe to it, for as long as a context lasts."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Concatenate, ParamSpec

from draftmesh.core.errors import UnavailableError
from draftmesh.telemetry.logs import configure_logging

_END_TIMEOUT_S = 20.0
"""For a daemon to drain; its clients have gone by then."""

_SPAWN = multiprocessing.get_context("spawn")  # a forked process would inherit threads that are not there

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Child:
    """A process that runs, and our end of the pipe to it."""

    name: str
    pid: int
    pipe: Connection

    async def receive(self, timeout_s: float | None) -> object:
        """The next message.

        Raises:
            UnavailableError: the process has ended, or it has said nothing for so long.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await until_readable(self.pipe)
            return self.pipe.recv()
        except TimeoutError:
            raise UnavailableError(f"{self.name} has said nothing for {timeout_s:g} s") from None
        except EOFError:
            raise UnavailableError(f"{self.name} ended unasked") from None


@asynccontextmanager
async def child_process(
    name: str, main: Callable[Concatenate[Connection, P], None], *args: P.args, **kwargs: P.kwargs
) -> AsyncIterator[Child]:
    """Run ``main(pipe, ...)`` in a fresh interpreter; it is to end when the pipe closes, and is killed if it does not.

    The pipe closes when the context is left, and when this process ends, however it does.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_run, args=(main, theirs, *args), kwargs=kwargs, name=name, daemon=True)
    process.start()
    theirs.close()
    try:
        with ours:
            yield Child(name, process.pid or 0, ours)
    finally:
        await asyncio.to_thread(_end, process)


async def until_readable(pipe: Connection) -> None:
    """Until there is a message, or the other side is closed."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
        # uvloop has it return at once where it would wait; but what is long comes in parts that are to be waited for.
        os.set_blocking(pipe.fileno(), True)


def _run(main: Callable[Concatenate[Connection, P], None], pipe: Connection, *args: P.args, **kwargs: P.kwargs) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    configure_logging(level="error")
    with suppress(BrokenPipeError):  # nobody waits for the answer any more
        main(pipe, *args, **kwargs)


def _end(process: BaseProcess) -> None:
    process.join(_END_TIMEOUT_S)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()
