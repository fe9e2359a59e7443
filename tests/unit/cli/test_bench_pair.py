"""Options of ``draftmesh bench pair``."""

from __future__ import annotations

import pytest

from draftmesh.cli.bench.pair import SETTINGS, PairBenchOptions
from draftmesh.core.errors import ConfigError, DraftmeshError, InvalidRequestError


def test_rows_are_those_of_the_methods_asked_for() -> None:
    """All of them without a wish; a method may have several."""
    assert PairBenchOptions().settings == SETTINGS
    labels = [setting.label for setting in PairBenchOptions(methods=("auto", "tli")).settings]
    assert labels == ["tli", "auto", "auto, seeded"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (PairBenchOptions(prompts=0), ConfigError),
        (PairBenchOptions(repeats=0), ConfigError),
        (PairBenchOptions(methods=("exact", "fastest")), ConfigError),
        (PairBenchOptions(methods=("rejection",)), ConfigError),
        (PairBenchOptions(temperatures=(-1.0,)), InvalidRequestError),
    ],
)
def test_what_cannot_be_measured_is_refused_before_models_load(
    options: PairBenchOptions, error: type[DraftmeshError]
) -> None:
    """By the command's own check."""
    with pytest.raises(error):
        options.check()
    PairBenchOptions().check()
