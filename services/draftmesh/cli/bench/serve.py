"""``draftmesh bench serve``: a verifier under rising load, with drafting and without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from draftmesh.bench.cores import usable_cores
from draftmesh.bench.serve.measuring import ServePlan, measure
from draftmesh.cli.bench.options import ReportOptions, WorkOptions, begin, leave
from draftmesh.cli.bench.serve_tables import tables
from draftmesh.cli.options import Flat, PairOptions
from draftmesh.core.errors import ConfigError
from draftmesh.transport import event_loop


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions(WorkOptions):
    """What is measured."""

    prompts: int = 16
    """Held-out prompts that requests take turns with, 1 to 200."""

    max_tokens: int = 64
    """Tokens of a request at most; each has a length of its own between a third of this and this."""

    concurrency: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Clients at a time, may be given several times."""

    requests_per_client: int = 3
    """Requests of each level are so many times its clients."""

    rate: tuple[float, ...] = ()
    """Arrivals a second of the open loop, may be given several times; otherwise half and four fifths of what the
    target answers at most without drafting."""

    open_requests: int = 24
    """Requests of each level of the open loop; 0: no open loop."""

    drafters: int = 1
    """Replicas of the drafter."""

    peer: bool = True
    """Measure transformers' continuous batching too."""

    peer_threads: int = 0
    """Its CPU threads; 0: as many as verifier and drafters have together, as far as there are cores."""

    level_timeout_s: float = 900.0
    """For one load on one server."""


def serve(
    *,
    options: Annotated[ServeOptions, Flat] = ServeOptions(),
    models: Annotated[PairOptions, Flat] = PairOptions(),
    report: Annotated[ReportOptions, Flat] = ReportOptions(),
) -> None:
    """Measure a verifier under load, with drafting, without, and transformers' continuous batching, taking turns.

    Closed loop: so many clients, each with the next request when its last one is answered. Open loop: requests arrive
    at random at a rate, whoever is being served. The machine should do nothing else meanwhile: the threads of
    transformers spin while they wait for each other, as they do for its users, and lose most where others compute.
    """
    options.check()
    if min((*options.concurrency, options.requests_per_client, options.drafters), default=1) < 1:
        raise ConfigError("concurrency, requests_per_client and drafters must be at least 1")
    if not all(rate > 0 for rate in options.rate):
        raise ConfigError("a rate must be positive")
    specs = options.specs(models, drafters=options.drafters)
    result = event_loop.run(measure(specs, options.pair(models), _plan(options, models), begin()))
    notes = (f"transformers' continuous batching did not run: {result.peer_failure}",) if result.peer_failure else ()
    leave(result, "serve", (*tables(result), result.caption, *notes), report)


def _plan(options: ServeOptions, models: PairOptions) -> ServePlan:
    cores = usable_cores()
    used = (models.verifier_threads or cores) + options.drafters * models.drafter_threads
    return ServePlan(
        prompts=options.texts.texts,
        options=options.generation(),
        concurrency=options.concurrency,
        rates_per_s=options.rate if options.open_requests else (),
        rate_shares=(0.5, 0.8) if options.open_requests else (),
        requests_per_client=options.requests_per_client,
        open_requests=options.open_requests,
        least_tokens=max(1, options.max_tokens // 3),
        most_tokens=options.max_tokens,
        repeats=options.repeats,
        seed=options.seed,
        peer_threads=(options.peer_threads or min(used, cores)) if options.peer else 0,
        level_timeout_s=options.level_timeout_s,
    )
