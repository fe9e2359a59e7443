"""The thread that owns an engine: everything that touches the model happens here, and nowhere else.

The thread steps while there is work, unless more is about to come that a step had better wait for, and sleeps on a
condition while there is none. Callables posted from other threads run between two steps, in order. If a step itself
breaks (a bug, or a device that is gone), every open sequence fails with InternalError and the thread goes on: with no
sequence left it sleeps, so it cannot spin.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

import structlog
import torch

from draftmesh.core.errors import InternalError, UnavailableError
from draftmesh.engine.engine import Engine

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class EngineThread:
    """Builds an engine on a thread of its own and keeps it there. A context manager; ``close`` joins the thread.

    Raises, on entering: whatever ``build`` raises.
    """

    def __init__(
        self,
        build: Callable[[], Engine],
        *,
        threads: int = 0,
        name: str = "engine",
        patience_s: Callable[[Engine], float] = lambda _: 0.0,
    ) -> None:
        """Have torch compute with so many ``threads``, 0: as many as it likes.

        ``patience_s`` is asked before every step how long it had better wait for what is about to be posted.
        """
        self._build = build
        self._patience_s = patience_s
        self._threads = threads
        self._inbox: deque[Callable[[Engine], None]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._engine: Engine | None = None
        self._built: Future[Engine] = Future()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> Self:
        """Start the thread and wait until the engine is built (a model may take minutes: not on an event loop)."""
        self._thread.start()
        try:
            self._engine = self._built.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def close(self) -> None:
        """End after the step under way, fail what is open with UnavailableError, and join the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def engine(self) -> Engine:
        """For its ``limits`` and ``stats`` alone, which may be read from any thread."""
        assert self._engine is not None, "the thread has not been started"
        return self._engine

    def post(self, fn: Callable[[Engine], None]) -> None:
        """Run ``fn`` on the engine's thread between two steps; an exception in it is logged.

        Raises:
            UnavailableError: the thread is closing or closed.
        """
        with self._wake:
            if self._closing:
                raise UnavailableError("the engine has been closed")
            self._inbox.append(fn)
            self._wake.notify()

    async def call(self, fn: Callable[[Engine], T]) -> T:
        """The result of ``fn``, run as by :meth:`post`; awaitable on any event loop.

        A call that is cancelled before its turn does not run.
        """
        future: Future[T] = Future()

        def run(engine: Engine) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(engine))
            except Exception as error:
                future.set_exception(error)

        self.post(run)
        return await asyncio.wrap_future(future)

    def _main(self) -> None:
        if self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            try:
                engine = self._build()
            except BaseException as error:
                self._built.set_exception(error)
                return
            self._built.set_result(engine)
            self._serve(engine)

    def _serve(self, engine: Engine) -> None:
        wait_s: float | None = 0.0
        while self._drain(engine, wait_s):
            try:
                wait_s = self._patience_s(engine)
                if not wait_s:
                    wait_s = 0.0 if engine.step() is not None else None
            except Exception as error:
                _log.exception("an engine step failed")
                failure = InternalError(f"an engine step failed: {type(error).__name__}: {error}")
                failure.__cause__ = error
                engine.fail_all(failure)
        engine.fail_all(UnavailableError("the engine has been closed"))

    def _drain(self, engine: Engine, wait_s: float | None) -> bool:
        """Run what has been posted, waiting for it so long (None: for ever); False when it is time to end."""
        with self._wake:
            self._wake.wait_for(lambda: self._inbox or self._closing, wait_s)
            posted, self._inbox = self._inbox, deque()
            closing = self._closing
        for fn in posted:
            try:
                fn(engine)
            except Exception:
                _log.exception("a posted call failed")
        return not closing
