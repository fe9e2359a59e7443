"""What a benchmark leaves behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from draftmesh.bench.plots import Plot, Series, draw
from draftmesh.bench.reports import Machine, write
from draftmesh.core.errors import ConfigError

LINES = Plot("speeds", "rows", "ms", (Series("packed", [1, 2], [3.0, 4.0]), Series("plain", [1, 2], [3.0, 6.0])))
BARS = Plot("speeds", "", "tokens/s", (Series("off", ["T = 0"], [10.0], error=[1.0]),), kind="bars", caption="2 cores")


@dataclass(frozen=True, slots=True)
class Measured:
    """A result with some plots."""

    speed: float
    drawn: tuple[Plot, ...]

    def plots(self) -> Sequence[Plot]:
        """Those."""
        return self.drawn


def test_figures_come_with_their_machine(tmp_path: Path) -> None:
    """The JSON file holds the result's fields and where they were measured."""
    paths = write(Measured(2.5, (LINES,)), tmp_path / "new", "rows")
    assert [path.name for path in paths] == ["rows.json", "rows.svg"]
    figures = json.loads(paths[0].read_text())
    assert figures["speed"] == 2.5
    assert figures["machine"]["cores"] == Machine().cores
    assert set(figures["machine"]["versions"]) == {"draftmesh", "torch", "transformers", "grpcio"}


def test_several_plots_are_numbered(tmp_path: Path) -> None:
    """No plot overwrites another one."""
    paths = write(Measured(1.0, (LINES, BARS)), tmp_path, "peers")
    assert [path.name for path in paths] == ["peers.json", "peers-1.svg", "peers-2.svg"]


@pytest.mark.parametrize("plot", [LINES, BARS], ids=["lines", "bars"])
def test_a_plot_says_what_it_shows(plot: Plot, tmp_path: Path) -> None:
    """Both formats are written, and drawing again gives the same SVG but for the ids in it."""
    for suffix in (".svg", ".png"):
        draw(plot, tmp_path / f"plot{suffix}")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"draftmesh\[bench\]"):
        draw(LINES, tmp_path / "plot.svg")
