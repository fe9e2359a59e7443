"""What ``draftmesh bench peers`` refuses, and what it measures unasked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from draftmesh.cli.bench.peers import PeersOptions
from draftmesh.cli.options import SplitOptions
from draftmesh.core.errors import ConfigError, DraftmeshError, InvalidRequestError


def test_methods_go_by_the_temperature() -> None:
    """The first one is compared by name; what is asked for comes first."""
    options = PeersOptions()
    assert (options.methods_at(0.0), options.methods_at(1.0)) == (("exact",), ("exact", "auto"))
    assert replace(options, methods=("slrs",)).methods_at(1.0) == ("slrs",)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (PeersOptions(prompts=0), ConfigError),
        (PeersOptions(prompts=201), ConfigError),
        (PeersOptions(repeats=0), ConfigError),
        (PeersOptions(max_tokens=0), ConfigError),
        (PeersOptions(temperatures=()), ConfigError),
        (PeersOptions(temperatures=(1.0, 1.0)), ConfigError),
        (PeersOptions(threads=-1), ConfigError),
        (PeersOptions(temperatures=(-1.0,)), InvalidRequestError),
    ],
)
def test_options_that_make_no_sense_are_refused(options: PeersOptions, error: type[DraftmeshError]) -> None:
    """Before models are loaded."""
    with pytest.raises(error):
        options.check(SplitOptions())


def test_a_quantised_target_has_no_peers() -> None:
    """They would compute something else."""
    with pytest.raises(ConfigError, match="quantised"):
        PeersOptions().check(SplitOptions(quantization="bitsandbytes-8bit"))
