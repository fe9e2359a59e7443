"""A temperature that no server takes is refused before a model is loaded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from draftmesh.cli.bench.pair import PairBenchOptions, pair
from draftmesh.cli.demo import DemoOptions, demo
from draftmesh.cli.inspect import InspectOptions, inspect
from draftmesh.core.errors import InvalidRequestError


@pytest.mark.parametrize(
    "run",
    [
        lambda: pair(options=PairBenchOptions(target="nowhere", temperatures=(1.0, -1.0))),
        lambda: demo(options=DemoOptions(temperature=-1.0)),
        lambda: inspect("nowhere", "nowhere", options=InspectOptions(temperatures=(-1.0,))),
    ],
)
def test_a_temperature_below_zero_is_refused_by_name(run: Callable[[], None]) -> None:
    """The message says what was wrong with which option."""
    with pytest.raises(InvalidRequestError, match="temperature"):
        run()
