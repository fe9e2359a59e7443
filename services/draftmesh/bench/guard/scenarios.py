"""Drafting that does not pay, in the ways that it can fail to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from draftmesh.bench.guard.random_drafter import write_random_drafter
from draftmesh.bench.guard.slow_drafter import ENTRY, SlowDrafterConfig
from draftmesh.bench.network.links import Delays
from draftmesh.bench.pair_specs import ChangeShard
from draftmesh.client import GenerateOptions
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.replicas import ReplicaSpec
from draftmesh.core.errors import ConfigError
from draftmesh.drafter.config import DrafterConfig

FAR_RTT_MS = 100.0
SLOWDOWN = 20.0
HOT_TEMPERATURE = 2.0
"""At which, with noise of its own, the packaged drafter has 4 % of its first draft tokens accepted after random words,
and 1 % of all when it drafts eight; 10 and 2 % at 1.5."""

LEAST_RATIO = 0.95
"""Of the throughput of ``off``, that drafting must reach."""

_RANDOM_WORDS = 24


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way."""

    label: str
    drafter: ReplicaSpec | None = None
    """That takes the place of the benchmark's; None: none does."""

    delays: Delays = Delays()
    hangs: bool = False
    """The drafter's process is stopped while a session drafts, and goes on when the session is over."""

    temperature: float | None = None
    """None: the benchmark's."""

    is_unrelated: bool = False
    """Generates from words that mean nothing, where the models have learnt nothing to agree about."""

    change_shard: ChangeShard = lambda config: config

    def options(self, options: GenerateOptions) -> GenerateOptions:
        """Of its generations, given the benchmark's."""
        return options if self.temperature is None else replace(options, temperature=self.temperature)

    def texts(self, prompts: tuple[str, ...], seed: int) -> tuple[str, ...]:
        """Its prompts, given the benchmark's."""
        return tuple(random_words(seed + number) for number in range(len(prompts))) if self.is_unrelated else prompts


def scenarios(drafter: ReplicaSpec, folder: Path, *, seed: int) -> tuple[Scenario, ...]:
    """All of them, around a drafter with a model; ``folder`` takes a model with random weights.

    Raises:
        ConfigError: the drafter has no model.
    """
    return (
        Scenario("random weights", _randomised(drafter, folder, seed)),
        Scenario(f"{SLOWDOWN:g} times too slow", _slowed(drafter)),
        Scenario("hangs", hangs=True),
        Scenario(f"behind {FAR_RTT_MS:g} ms", delays=Delays(drafter_ms=FAR_RTT_MS)),
        Scenario(
            f"little accepted: noise of its own, T = {HOT_TEMPERATURE:g}, random words",
            temperature=HOT_TEMPERATURE,
            is_unrelated=True,
            change_shard=_uncoupled,
        ),
    )


def random_words(seed: int) -> str:
    """A line of letters that no text holds, seeded."""
    random = Random(seed)
    return " ".join(map("".join, _words(random))) + "\n"


def _words(random: Random) -> Iterator[list[str]]:
    for _ in range(_RANDOM_WORDS):
        yield random.choices("abcdefghijklmnopqrstuvwxyz0123456789#$%&", k=random.randint(2, 9))


def _config(spec: ReplicaSpec) -> DrafterConfig:
    config = spec.config
    if not isinstance(config, DrafterConfig) or config.engine is None:
        raise ConfigError("the guard needs a drafter with a model")
    return config


def _randomised(spec: ReplicaSpec, folder: Path, seed: int) -> ReplicaSpec:
    config = _config(spec)
    assert config.engine is not None, "checked"
    model = write_random_drafter(config.engine.model, folder / "random-drafter", seed=seed)
    return replace(spec, config=replace(config, engine=replace(config.engine, model=str(model))))


def _slowed(spec: ReplicaSpec) -> ReplicaSpec:
    return replace(spec, entry=ENTRY, config=SlowDrafterConfig(_config(spec), SLOWDOWN))


def _uncoupled(config: CoordinatorConfig) -> CoordinatorConfig:
    """A shard whose drafters draw with noise of their own."""
    generation = config.generation
    proposals = replace(generation.proposals, couple_draft_noise=False)
    return replace(config, generation=replace(generation, proposals=proposals))
