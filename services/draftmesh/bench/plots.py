"""Plots as values, and the one place that draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from draftmesh.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION_LETTERS = 100  # to a line, at the figure's width


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one set of bars."""

    label: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    error: Sequence[float] | None = None
    """Half the length of an error bar at each point."""

    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """What is to be drawn."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    kind: Literal["lines", "bars"] = "lines"
    reference: float | None = None
    """A level to compare with, drawn as a thin line."""

    x_scale: Literal["linear", "log"] = "linear"
    caption: str = ""
    """What was measured on what: a plot that is passed on must still say it."""


def draw(plot: Plot, path: Path) -> None:
    """Draw to a file whose suffix names the format, ``.svg`` or ``.png``.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra: figures and tables do without it
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'draftmesh[bench]'") from error
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    _draw_series(axes, plot)
    if plot.reference is not None:
        axes.axhline(plot.reference, color="grey", linewidth=0.8)
    axes.set_title(plot.title, fontsize=11)
    axes.set_xlabel("\n".join([plot.x_label, *wrap(plot.caption, _CAPTION_LETTERS)]), fontsize=9)
    axes.set_ylabel(plot.y_label, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", linewidth=0.4)
    if len(plot.series) > 1:
        axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_series(axes: Axes, plot: Plot) -> None:
    if plot.kind == "bars":
        _draw_bars(axes, plot.series)
        return
    axes.set_xscale(plot.x_scale)
    for series in plot.series:
        style = "--" if series.is_dashed else "-"
        axes.errorbar(series.x, series.y, yerr=series.error, label=series.label, linestyle=style, marker="o", ms=3)


def _draw_bars(axes: Axes, series: Sequence[Series]) -> None:
    """Side by side at every place of the first series."""
    width = 0.8 / len(series)
    for index, one in enumerate(series):
        places = [place + (index - (len(series) - 1) / 2) * width for place in range(len(one.x))]
        axes.bar(places, one.y, width, yerr=one.error, label=one.label)
    axes.set_xticks(range(len(series[0].x)), [str(name).replace(" ", "\n") for name in series[0].x], fontsize=8)
