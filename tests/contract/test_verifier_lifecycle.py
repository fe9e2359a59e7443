"""A verifier as a daemon: what it says of itself, how sessions end, how it stops."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from draftmesh.core.errors import ConfigError, DataLossError, NotFoundError, UnavailableError
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import VerifyRound
from draftmesh.engine.scheduler import Ready
from draftmesh.tokenization import tokenizer_from_files
from draftmesh.transport.codec_verify import verify_request_to_proto
from draftmesh.v1 import verifier_pb2_grpc
from draftmesh.verifier.app import run, running
from draftmesh.verifier.gathering import Gathering
from draftmesh.verifier.service import SERVICE_NAME
from tests.helpers.tokenizers import write_tokenizer
from tests.helpers.verifier_bench import CONFIG, ENGINE, opening, tiny_target, tiny_weights, verifier_bench


async def test_info_tells_who_it_is() -> None:
    """Name, digests, methods and limits are those of the model and the configuration."""
    async with verifier_bench(dataclasses.replace(CONFIG, model_name="public")) as bench:
        info = await bench.peer.info()
        target = tiny_target()
        assert info == bench.running.info
        assert (info.model, info.target_digest, info.parameters) == ("public", target.digest, target.parameters)
        assert set(info.methods) == set(Method) - {Method.AUTO}
        assert (info.max_context_tokens, info.max_draft_tokens, info.max_sessions) == (256, 8, 8)


async def test_draft_limit_fits_the_token_budget() -> None:
    """No draft is allowed that one engine step could not judge."""
    engine = dataclasses.replace(ENGINE, token_budget_tokens=6)
    async with verifier_bench(dataclasses.replace(CONFIG, engine=engine)) as bench:
        truth = (await bench.alone(opening())).ids
        assert (await bench.peer.info()).max_draft_tokens == 5
        async with bench.session(opening()) as session:
            assert (await session.judge(truth[:5]))[0].accepted == 5


@pytest.mark.parametrize("gathers", [True, False])
async def test_steps_are_put_off_only_where_that_is_configured(gathers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked before each step how long, while a session is away; the answer of the moment is, not at all."""
    asked: list[Ready] = []

    def wait_s(_: Gathering, ready: Ready, costs: object, now_s: float) -> float:  # noqa: ARG001
        asked.append(ready)
        return 0.0

    monkeypatch.setattr(Gathering, "wait_s", wait_s)
    async with verifier_bench(dataclasses.replace(CONFIG, gathers=gathers)) as bench, bench.session(opening()) as away:
        await away.judge(())
        await bench.alone(opening())
    assert any(ready.sequences == ready.going_on == 1 for ready in asked) is gathers


async def test_tokenizer_travels_whole() -> None:
    """The files that the verifier sends make the very same tokenizer; another digest is not found."""
    async with verifier_bench() as bench:
        tokenizer = tokenizer_from_files(await bench.peer.tokenizer_files(bench.running.info.tokenizer_digest))
        assert tokenizer.digest == bench.running.info.tokenizer_digest
        assert tokenizer.vocabulary.digest == bench.running.info.vocabulary_digest
        with pytest.raises(NotFoundError):
            await bench.peer.tokenizer_files(b"other")


async def test_watch_follows_the_sessions() -> None:
    """Who watches hears of every session that comes or goes."""
    async with verifier_bench() as bench, aclosing(bench.peer.watch()) as reports:
        assert (await anext(reports)).active_sessions == 0
        async with bench.session(opening()):
            while (await anext(reports)).active_sessions != 1:
                pass
        while (await anext(reports)).active_sessions != 0:
            pass


@pytest.mark.parametrize(("calibrate", "sizes"), [(True, [1, 2, 4, 8, 16]), (False, [])])
async def test_cost_curve_is_there_from_the_start(calibrate: bool, sizes: list[int]) -> None:
    """Before the first session a report has measured costs, unless the operator wants none."""
    config = dataclasses.replace(CONFIG, calibrate=calibrate)
    async with verifier_bench(config) as bench, aclosing(bench.peer.watch()) as reports:
        report = await anext(reports)
        assert report.token_budget == ENGINE.token_budget_tokens
        assert [point.rows for point in report.costs] == sizes
        assert all(point.milliseconds > 0 for point in report.costs)


async def test_watch_tells_the_cost_curve() -> None:
    """After some steps a report has their measured costs."""
    config = dataclasses.replace(CONFIG, calibrate=False)
    async with verifier_bench(config) as bench:
        await bench.alone(opening())
        async with aclosing(bench.peer.watch()) as reports:
            report = await anext(reports)
        assert 1 in [point.rows for point in report.costs]
        assert all(point.milliseconds > 0 for point in report.costs)


async def test_what_calibration_computed_is_no_sessions() -> None:
    """The counters start from nothing, and no block is held."""
    async with verifier_bench() as bench:
        stats = bench.running.stats
        assert (stats.steps, stats.rows, stats.sequences, stats.free_blocks) == (0, 0, 0, stats.total_blocks)


@pytest.mark.parametrize("free_run", [0, 250], ids=["at rest", "in a free run"])
async def test_client_that_vanishes_leaves_nothing_behind(free_run: int) -> None:
    """When a client goes away in the middle, its sequence and its KV blocks are freed at once."""
    async with verifier_bench() as bench:
        async with bench.session(opening(max_tokens=250)) as session:
            await session.ask((1, 2, 3), free_run=free_run)
            await session.hear()
            assert bench.running.stats.free_blocks < bench.running.stats.total_blocks
        assert await bench.free_blocks_at_rest() == bench.running.stats.total_blocks
        assert bench.running.stats.sequences == 0


async def test_half_closed_stream_ends() -> None:
    """A client that says that it is done is told the same, even in the middle of a free run."""
    async with verifier_bench() as bench, grpc.aio.insecure_channel(bench.running.address) as channel:
        call = verifier_pb2_grpc.VerifierServiceStub(channel).Verify(timeout=30)
        await call.write(verify_request_to_proto(opening(max_tokens=250), Fence()))
        await call.write(verify_request_to_proto(VerifyRound(1, TokenPrefix(), free_run=250), Fence()))
        await call.done_writing()
        tokens = [token async for response in call for token in response.verdict.tokens]
        assert await call.code() is grpc.StatusCode.OK
        assert len(tokens) < 250
        assert await bench.free_blocks_at_rest() == bench.running.stats.total_blocks


async def test_engine_that_gives_up_ends_the_stream() -> None:
    """When the engine fails a sequence its stream ends with that error, and new sessions are served."""
    async with verifier_bench() as bench:
        async with bench.session(opening()) as session:
            await bench.running.engine.call(lambda engine: engine.fail_all(DataLossError("the device is gone")))
            with pytest.raises(DataLossError, match="the device is gone"):
                await session.hear()
        assert len((await bench.alone(opening())).ids) == 40


async def test_silent_stream_is_refused() -> None:
    """A stream without a first message does not stay open for ever."""
    config = dataclasses.replace(CONFIG, open_timeout_s=0.05)
    async with verifier_bench(config) as bench, grpc.aio.insecure_channel(bench.running.address) as channel:
        call = verifier_pb2_grpc.VerifierServiceStub(channel).Verify(timeout=30)
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_drain_tells_everybody_and_waits() -> None:
    """A draining verifier says so to watchers, health checks and sessions, refuses new ones, and ends with the last."""
    async with verifier_bench() as bench, aclosing(bench.peer.watch()) as reports:
        async with grpc.aio.insecure_channel(bench.running.address) as channel, bench.session(opening()) as session:
            health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE_NAME))
            assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
            drained = asyncio.create_task(bench.running.drain(60.0))
            while not (await anext(reports)).draining:
                pass
            assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            await session.judge()
            assert session.stream.draining
            with pytest.raises(UnavailableError):
                await bench.alone(opening())
            await session.judge()
            assert not drained.done()
        await drained


async def test_model_is_loaded_from_a_folder(tmp_path: Path) -> None:
    """A verifier given a model's folder serves that model."""
    write_tokenizer("gpt2", tmp_path / "tiny")
    tiny_weights().save_pretrained(tmp_path / "tiny")
    engine = dataclasses.replace(ENGINE, model=str(tmp_path / "tiny"))
    async with running(dataclasses.replace(CONFIG, engine=engine)) as verifier:
        assert (verifier.info.model, verifier.info.parameters) == ("tiny", tiny_target().parameters)


async def test_signal_stops_the_daemon(tmp_path: Path) -> None:
    """``run`` returns after SIGTERM."""
    write_tokenizer("gpt2", tmp_path)
    tiny_weights().save_pretrained(tmp_path)
    config = dataclasses.replace(CONFIG, engine=dataclasses.replace(ENGINE, model=str(tmp_path)))
    daemon = asyncio.create_task(run(config))
    await asyncio.sleep(0)  # the handlers are set before anything is loaded
    os.kill(os.getpid(), signal.SIGTERM)
    await daemon


async def test_address_in_use_is_a_configuration_error() -> None:
    """A second verifier on the same port says which address it could not have."""
    async with verifier_bench() as bench:
        config = dataclasses.replace(CONFIG, listen=bench.running.address)
        with pytest.raises(ConfigError, match=bench.running.address):
            async with verifier_bench(config):
                pass
