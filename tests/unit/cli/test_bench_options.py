"""What benchmarks let one say is understood before anything is loaded."""

from __future__ import annotations

import pytest

from draftmesh.cli.bench.guard import GuardOptions, guard
from draftmesh.cli.bench.network import NetworkOptions, network
from draftmesh.cli.bench.options import WorkOptions
from draftmesh.cli.bench.overhead import OverheadOptions, overhead
from draftmesh.cli.bench.serve import ServeOptions, serve
from draftmesh.cli.main import app
from draftmesh.core.errors import ConfigError


@pytest.mark.parametrize("command", ["pair", "peers", "network", "serve", "overhead", "guard"])
def test_a_benchmark_takes_the_options_that_it_inherits(command: str) -> None:
    """Also where the class that declares them lies in another module than the one that inherits them."""
    _, bound, _ = app.parse_args(["bench", command, "--drafter-threads", "3", "--verifier-threads", "2"])
    models = bound.arguments["models"]
    assert (models.drafter_threads, models.verifier_threads) == (3, 2)


@pytest.mark.parametrize(
    ("run", "options"),
    [
        (network, NetworkOptions(rtt_ms=(5.0, -1.0))),
        (serve, ServeOptions(concurrency=(4, 0))),
        (serve, ServeOptions(rate=(0.0,))),
        (overhead, OverheadOptions(streams=())),
        (guard, GuardOptions(max_tokens=65, skipped_tokens=64)),
        (guard, GuardOptions(prompts=0)),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_makes_no_sense_is_refused_before_models_are_loaded(run: object, options: WorkOptions) -> None:
    """The target does not even exist."""
    assert callable(run)
    with pytest.raises(ConfigError):
        run(options=options)
