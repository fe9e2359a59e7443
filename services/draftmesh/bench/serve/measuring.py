"""Puts rising loads on one verifier, with drafting and without, and on transformers' continuous batching, in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from draftmesh.bench.network.links import linked_client
from draftmesh.bench.pair_specs import PairSpecs, members_of
from draftmesh.bench.rotation import rotated
from draftmesh.bench.serve.continuous_batching import PeerConfig
from draftmesh.bench.serve.figures import figures, throughput
from draftmesh.bench.serve.load import LoadRun
from draftmesh.bench.serve.requests import Request, mixed_requests, poisson_arrivals
from draftmesh.bench.serve.result import ClosedLevel, OpenLevel, ServeResult
from draftmesh.bench.serve.servers import DraftmeshServer, TransformersServer, transformers_server
from draftmesh.bench.spread import Spread
from draftmesh.bench.subject import Pair, subject_of
from draftmesh.client import GenerateOptions
from draftmesh.core.errors import UnavailableError
from draftmesh.verifier.config import VerifierConfig

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ServePlan:
    """What to measure."""

    prompts: tuple[str, ...]
    options: GenerateOptions
    """Of the generations that draft, but for their lengths."""

    concurrency: tuple[int, ...]
    """Clients at a time, level by level."""

    rates_per_s: tuple[float, ...]
    """Arrivals a second of the open loop; none: shares of what ``off`` has answered at most in the closed loop."""

    rate_shares: tuple[float, ...]
    requests_per_client: int
    open_requests: int
    """Of each level of the open loop."""

    least_tokens: int
    most_tokens: int
    repeats: int
    seed: int
    peer_threads: int
    """Of transformers' continuous batching; 0: it is not measured."""

    level_timeout_s: float
    """For one load on one server; what has not been answered then does not count."""

    def requests(self, count: int) -> tuple[Request, ...]:
        """The same for everybody."""
        return mixed_requests(
            self.prompts, count, least_tokens=self.least_tokens, most_tokens=self.most_tokens, seed=self.seed
        )


@dataclass(frozen=True, slots=True)
class _Servers:
    """Those that take turns; fresh ones a level, since they keep what they are told."""

    off: DraftmeshServer
    drafting: DraftmeshServer
    peer: TransformersServer | None


async def measure(specs: PairSpecs, pair: Pair, plan: ServePlan, progress: Progress) -> ServeResult:
    """All levels of the closed loop, then those of the open one.

    Raises:
        UnavailableError: a daemon cannot start, or transformers has failed half-way.
        UnsupportedMethodError: the method is not offered for this pair.
    """
    progress(f"starting {pair.target} and {pair.drafter}")
    async with AsyncExitStack() as stack:
        members = await stack.enter_async_context(members_of(specs))
        subject = await subject_of(pair, members)
        client = await stack.enter_async_context(linked_client(specs.shard, members))
        peer, failure = await _peer(stack, specs, plan)

        def servers() -> _Servers:
            off = DraftmeshServer(client, replace(plan.options, method="off"))
            return _Servers(off, DraftmeshServer(client, plan.options), peer)

        await servers().drafting.warm_up(plan.prompts)
        closed = [await _closed(servers(), level, plan, progress) for level in plan.concurrency]
        opened = [await _open(servers(), rate, plan, progress) for rate in _rates(plan, closed)]
    return ServeResult(
        subject=subject,
        drafters=len(specs.drafters),
        method=plan.options.method,
        temperature=plan.options.temperature,
        prompts=len(plan.prompts),
        repeats=plan.repeats,
        requests_per_client=plan.requests_per_client,
        least_tokens=plan.least_tokens,
        most_tokens=plan.most_tokens,
        peer_threads=plan.peer_threads,
        peer_failure=failure,
        closed=tuple(closed),
        open=tuple(opened),
    )


async def _peer(stack: AsyncExitStack, specs: PairSpecs, plan: ServePlan) -> tuple[TransformersServer | None, str]:
    """The server of transformers, or why there is none."""
    if not plan.peer_threads or not plan.concurrency:
        return None, ""
    config = specs.verifier.config
    assert isinstance(config, VerifierConfig)
    peer = PeerConfig(
        model=config.engine.model,
        threads=plan.peer_threads,
        temperature=plan.options.temperature,
        prompts=plan.prompts,
        most_tokens=plan.most_tokens,
        concurrency=max(plan.concurrency),
    )
    try:
        return await stack.enter_async_context(transformers_server(peer)), ""
    except UnavailableError as error:
        return None, str(error)


async def _closed(servers: _Servers, concurrency: int, plan: ServePlan, progress: Progress) -> ClosedLevel:
    requests = plan.requests(concurrency * plan.requests_per_client)
    ways = {"off": servers.off.closed, "drafting": servers.drafting.closed}
    ways |= {"peer": servers.peer.closed} if servers.peer else {}
    runs: dict[str, list[LoadRun]] = {label: [] for label in ways}
    for repeat in range(plan.repeats):
        for label, closed in rotated(list(ways.items()), repeat):
            runs[label].append(await closed(requests, concurrency, plan.level_timeout_s))
            rate = throughput(runs[label][-1])
            progress(f"{concurrency} clients, repeat {repeat + 1} of {plan.repeats}, {label}: {rate:.1f} tokens/s")
    peer = runs.get("peer")
    return ClosedLevel(
        concurrency=concurrency,
        off=figures(runs["off"], servers.off.batch_sequences),
        drafting=figures(runs["drafting"], servers.drafting.batch_sequences),
        peer=figures(peer) if peer else None,
        drafting_of_off=_ratios(runs["drafting"], runs["off"]),
        drafting_of_peer=_ratios(runs["drafting"], peer),
        off_of_peer=_ratios(runs["off"], peer),
    )


async def _open(servers: _Servers, rate_per_s: float, plan: ServePlan, progress: Progress) -> OpenLevel:
    requests = plan.requests(plan.open_requests)
    runs: dict[str, list[LoadRun]] = {"off": [], "drafting": []}
    for repeat in range(plan.repeats):
        arrivals_s = poisson_arrivals(rate_per_s, len(requests), seed=plan.seed + repeat)
        for label, server in (("off", servers.off), ("drafting", servers.drafting)):
            runs[label].append(await server.open(requests, arrivals_s, plan.level_timeout_s))
            progress(f"{rate_per_s:.2f} requests/s, repeat {repeat + 1} of {plan.repeats}, {label}: done")
    return OpenLevel(
        rate_per_s,
        figures(runs["off"], servers.off.batch_sequences),
        figures(runs["drafting"], servers.drafting.batch_sequences),
    )


def _rates(plan: ServePlan, closed: Sequence[ClosedLevel]) -> Sequence[float]:
    most = max((level.off.requests_per_second for level in closed), default=0.0)
    return plan.rates_per_s or [share * most for share in plan.rate_shares if most]


def _ratios(runs: Sequence[LoadRun], others: Sequence[LoadRun] | None) -> Spread | None:
    """Throughputs by those of ``others``; None where those had none."""
    pairs = zip(runs, others or (), strict=others is not None)
    ratios = [throughput(run) / throughput(other) for run, other in pairs if throughput(other)]
    return Spread.of(ratios) if ratios else None
