"""The engine's own thread: order, errors, closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
import torch

from draftmesh.core.errors import ConfigError, InternalError, UnavailableError
from draftmesh.engine.engine import Engine
from draftmesh.engine.engine_thread import EngineThread
from tests.helpers.engines import RecordingListener, fake_engine, open_sequence
from tests.helpers.fake_runner import CountingRunner


def thread_and_runner() -> tuple[EngineThread, CountingRunner]:
    """A thread around a counting engine, not yet started."""
    engine, runner = fake_engine()
    return EngineThread(lambda: engine, threads=1), runner


def starts(prompt: list[int], *, run: int) -> Callable[[Engine], tuple[RecordingListener, asyncio.Event]]:
    """Opens a sequence and submits; the event is set when its run is over."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def start(engine: Engine) -> tuple[RecordingListener, asyncio.Event]:
        seq, listener = open_sequence(engine, prompt)
        listener.on_step = lambda: None if seq.busy else loop.call_soon_threadsafe(done.set)
        listener.on_failure = lambda: loop.call_soon_threadsafe(done.set)
        engine.submit(seq, run=run)
        return listener, done

    return start


async def test_requests_are_stepped_until_they_end() -> None:
    """A posted request wakes the thread, which works until nothing is left."""
    thread, _ = thread_and_runner()
    with thread:
        listener, done = await thread.call(starts([1], run=4))
        await done.wait()
    assert listener.tokens == [2, 3, 4, 5, 6]


async def test_a_step_is_put_off_until_something_is_posted() -> None:
    """As long as patience lasts; then the thread works as always."""
    engine, runner = fake_engine()
    patience_s = [60.0]
    with EngineThread(lambda: engine, threads=1, patience_s=lambda _: patience_s[0]) as thread:
        listener, done = await thread.call(starts([1], run=1))
        assert await thread.call(lambda _: len(runner.batches)) == 0
        await thread.call(lambda _: patience_s.__setitem__(0, 0.0))
        await done.wait()
    assert listener.tokens == [2, 3]


async def test_a_step_that_nothing_comes_for_is_made_in_the_end() -> None:
    """Patience is asked again when it is over."""
    engine, _ = fake_engine()
    patience_s = iter((0.001, 0.001))
    with EngineThread(lambda: engine, threads=1, patience_s=lambda _: next(patience_s, 0.0)) as thread:
        listener, done = await thread.call(starts([1], run=1))
        await done.wait()
    assert listener.tokens == [2, 3]


async def test_everything_runs_on_the_one_thread_in_inference_mode() -> None:
    """Building, posted calls and steps share it."""
    built_on: list[str] = []

    def build() -> Engine:
        built_on.append(threading.current_thread().name)
        return fake_engine()[0]

    with EngineThread(build, name="the engine") as thread:
        called_on = await thread.call(lambda _: (threading.current_thread().name, torch.is_inference_mode_enabled()))
    assert (built_on, called_on) == (["the engine"], ("the engine", True))


async def test_calls_run_in_the_order_in_which_they_were_posted() -> None:
    """One inbox, first in, first out."""
    thread, _ = thread_and_runner()
    order: list[int] = []
    with thread:
        for number in range(20):
            thread.post(lambda _, number=number: order.append(number))  # type: ignore[misc]  # bound by default
        await thread.call(lambda _: None)
    assert order == list(range(20))


async def test_an_error_in_a_call_is_its_callers() -> None:
    """And the thread goes on."""
    thread, _ = thread_and_runner()

    def fail(_: Engine) -> None:
        raise ConfigError("no")

    with thread:
        with pytest.raises(ConfigError, match="no"):
            await thread.call(fail)
        assert await thread.call(lambda _: 5) == 5


async def test_an_error_in_a_posted_function_harms_nobody() -> None:
    """It is logged, and what was posted behind it runs."""
    thread, _ = thread_and_runner()

    def fail(_: Engine) -> None:
        raise ValueError("no")

    with thread:
        thread.post(fail)
        assert await thread.call(lambda _: 5) == 5


async def test_a_call_cancelled_before_its_turn_does_not_run() -> None:
    """A caller that has gone away leaves nothing behind."""
    thread, _ = thread_and_runner()
    entered, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ran: list[bool] = []

    def occupy(_: Engine) -> None:
        loop.call_soon_threadsafe(entered.set)
        leave.wait()

    with thread:
        thread.post(occupy)
        await entered.wait()
        task = asyncio.create_task(thread.call(lambda _: ran.append(True)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()
        await thread.call(lambda _: None)
    assert ran == []


async def test_a_broken_step_fails_every_open_sequence_and_the_thread_goes_on() -> None:
    """Nothing is known of the sequences' state any more; new ones are served."""
    thread, runner = thread_and_runner()
    with thread:
        runner.fails = True
        listener, done = await thread.call(starts([1], run=4))
        await done.wait()
        assert [type(error) for error in listener.errors] == [InternalError]
        assert thread.engine.stats.free_blocks == thread.engine.stats.total_blocks
        runner.fails = False
        listener, done = await thread.call(starts([1], run=1))
        await done.wait()
    assert listener.tokens == [2, 3]


async def test_closing_fails_what_is_open_and_joins() -> None:
    """Listeners hear that the engine is gone, and nothing can be posted any more."""
    thread, _ = thread_and_runner()
    with thread:
        _, listener = await thread.call(lambda engine: open_sequence(engine, [1]))
    assert [type(error) for error in listener.errors] == [UnavailableError]
    with pytest.raises(UnavailableError):
        thread.post(lambda _: None)


def test_an_error_while_building_is_raised_on_start() -> None:
    """And no thread is left behind."""

    def build() -> Engine:
        raise ConfigError("no such model")

    before = threading.active_count()
    with pytest.raises(ConfigError, match="no such model"):
        EngineThread(build).start()
    assert threading.active_count() == before
