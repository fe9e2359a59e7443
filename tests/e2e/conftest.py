"""One deployment under Ray for all end-to-end tests of a run: starting it takes most of their time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.up import UpProcess, up


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """Two shards, one verifier, three drafters of three kinds."""
    drafters = ("--drafter", "demo", "--drafter", "demo-unigram", "--drafter", "ngram")
    with up("--shards", "2", *drafters, log=tmp_path_factory.mktemp("up") / "log") as process:
        yield process
