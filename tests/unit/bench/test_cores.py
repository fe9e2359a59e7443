"""Cores to compute on."""

from __future__ import annotations

import os

import pytest

from draftmesh.bench.cores import pinned_to
from draftmesh.core.errors import ConfigError


def test_cores_are_given_back() -> None:
    """Inside there are as many as asked for, afterwards all again."""
    before = os.sched_getaffinity(0)
    with pinned_to(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("cores", [0, 1 << 16])
def test_cores_that_are_not_there_are_refused(cores: int) -> None:
    """Before anything is changed."""
    with pytest.raises(ConfigError, match="may be used"), pinned_to(cores):
        pass
