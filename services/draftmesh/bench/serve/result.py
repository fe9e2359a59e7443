"""What drafting does to a verifier under load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from draftmesh.bench.plots import Plot, Series
from draftmesh.bench.serve.figures import LoadFigures
from draftmesh.bench.spread import Spread
from draftmesh.bench.subject import Subject


@dataclass(frozen=True, slots=True)
class ClosedLevel:
    """So many clients at a time; ratios are of throughputs, repeat by repeat."""

    concurrency: int
    off: LoadFigures
    drafting: LoadFigures
    peer: LoadFigures | None
    """transformers' continuous batching; None where it was not measured."""

    drafting_of_off: Spread | None
    drafting_of_peer: Spread | None
    off_of_peer: Spread | None


@dataclass(frozen=True, slots=True)
class OpenLevel:
    """Requests that arrive at random, so many a second on average."""

    rate_per_s: float
    off: LoadFigures
    drafting: LoadFigures


@dataclass(frozen=True, slots=True)
class ServeResult:
    """The fields of the JSON object."""

    subject: Subject
    drafters: int
    method: str
    temperature: float
    prompts: int
    repeats: int
    requests_per_client: int
    least_tokens: int
    most_tokens: int
    peer_threads: int
    peer_failure: str
    """Why transformers' continuous batching did not run; empty if it did, or was not asked to."""

    closed: tuple[ClosedLevel, ...]
    open: tuple[OpenLevel, ...]

    @property
    def caption(self) -> str:
        """What was measured on what."""
        return (
            f"{self.subject.title}, {self.drafters} of them; {self.method} at T = {self.temperature:g}; "
            f"{self.requests_per_client} requests a client of {self.least_tokens} to {self.most_tokens} tokens, "
            f"prompts in every prefix cache, {self.repeats} times; medians and quartiles"
        )

    def plots(self) -> Sequence[Plot]:
        """Throughput and latency over concurrency."""
        return (
            self._over_concurrency("Tokens a second, all clients", "tokens/s", lambda of: of.tokens_per_second),
            self._over_concurrency("Time per output token, median", "ms", _per_token),
        )

    def _over_concurrency(self, title: str, unit: str, pick: Callable[[LoadFigures], Spread | float | None]) -> Plot:
        """One line a way of decoding."""
        ways: dict[str, list[tuple[int, LoadFigures | None]]] = {
            self.method: [(level.concurrency, level.drafting) for level in self.closed],
            "off": [(level.concurrency, level.off) for level in self.closed],
            "transformers, continuous batching": [(level.concurrency, level.peer) for level in self.closed],
        }
        series = []
        for label, levels in ways.items():
            known = [(at, value) for at, of in levels if of is not None and (value := pick(of)) is not None]
            if known:
                series.append(_line(label, known))
        return Plot(title, "clients at a time", unit, tuple(series), x_scale="log", caption=self.caption)


def _per_token(figures: LoadFigures) -> float | None:
    return figures.per_token_ms.p50 if figures.per_token_ms else None


def _line(label: str, points: Sequence[tuple[int, Spread | float]]) -> Series:
    middles = [value.median if isinstance(value, Spread) else value for _, value in points]
    errors = [value.half_range if isinstance(value, Spread) else 0.0 for _, value in points]
    return Series(label, [at for at, _ in points], middles, error=errors if any(errors) else None)
