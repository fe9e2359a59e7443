"""What benchmarks let one say is understood before anything is loaded."""

from __future__ import annotations

import pytest

from draftmesh.cli.main import app


@pytest.mark.parametrize("command", ["pair", "peers"])
def test_a_benchmark_takes_the_options_that_it_inherits(command: str) -> None:
    """Also where the class that declares them lies in another module than the one that inherits them."""
    _, bound, _ = app.parse_args(["bench", command, "--drafter-threads", "3", "--verifier-threads", "2"])
    models = bound.arguments["models"]
    assert (models.drafter_threads, models.verifier_threads) == (3, 2)
