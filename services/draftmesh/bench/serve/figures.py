"""From what came of a load to its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from statistics import fmean

from draftmesh.bench.serve.load import LoadRun
from draftmesh.bench.spread import Percentiles, Spread
from draftmesh.bench.token_times import Rate
from draftmesh.core.ledger import Ledger, add


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """One way of decoding under one load, over all repeats. Latencies are those of all requests."""

    tokens_per_second: Spread
    """Of all requests together while the whole load was there, repeat by repeat."""

    requests_per_second: float
    """Answered by the time from the first request to the last answer."""

    first_token_ms: Percentiles | None
    """From the request, or from when it was due; None if nothing was answered."""

    per_token_ms: Percentiles | None
    """Of each request after its first chunk."""

    duration_ms: Percentiles | None
    tokens: int
    requests: int
    """Answered."""

    refused: int
    unfinished: int
    """Not answered in time; their tokens count nowhere."""

    acceptance_rate: float
    draft_length: float
    """Mean target tokens of the drafts that were judged."""

    batch_sequences: float | None
    """Mean sequences in a step of the target; None where nobody says."""


def figures(runs: Sequence[LoadRun], batch_sequences: Sequence[float] = ()) -> LoadFigures:
    """Of the repeats of one load, at least one; ``batch_sequences`` as sampled while they ran."""
    done = [one for run in runs for one in run.done]
    ledger = reduce(add, (one.ledger for one in done), Ledger())
    times = [one.times for one in done]
    return LoadFigures(
        tokens_per_second=Spread.of([throughput(run) for run in runs]),
        requests_per_second=fmean(map(_answer_rate, runs)),
        first_token_ms=_milliseconds([one.first_token_s for one in times]),
        per_token_ms=_milliseconds([one.per_token_s for one in times]),
        duration_ms=_milliseconds([one.seconds for one in times]),
        tokens=sum(one.tokens for one in times),
        requests=len(done),
        refused=sum(run.refused for run in runs),
        unfinished=sum(run.unfinished for run in runs),
        acceptance_rate=ledger.acceptance_rate,
        draft_length=ledger.drafted_tokens / ledger.rounds if ledger.rounds else 0.0,
        batch_sequences=fmean(batch_sequences) if batch_sequences else None,
    )


def throughput(run: LoadRun) -> float:
    """Tokens a second of all requests together while the whole load was there."""
    tokens = sum(one.times.between(run.started_s, run.full_until_s) for one in run.done)
    return Rate(tokens, run.full_until_s - run.started_s).tokens_per_second


def _answer_rate(run: LoadRun) -> float:
    if not run.done:
        return 0.0
    return len(run.done) / (max(one.times.ended_s for one in run.done) - run.started_s)


def _milliseconds(seconds: Sequence[float | None]) -> Percentiles | None:
    known = [1e3 * one for one in seconds if one is not None]
    return Percentiles.of(known) if known else None
