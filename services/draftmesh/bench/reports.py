"""What every benchmark leaves behind: its figures with the machine that they were measured on, and a plot of them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from draftmesh.bench.gpus import gpu_names
from draftmesh.bench.plots import Plot, draw

_PACKAGES = ("draftmesh", "torch", "transformers", "grpcio")


class Benchmark(Protocol):
    """A benchmark's result: a dataclass of figures that can draw itself."""

    def plots(self) -> Sequence[Plot]:
        """The figures as plots."""


def _processor() -> str:
    """The processor's name as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


@dataclass(frozen=True, slots=True)
class Machine:
    """Where figures were measured."""

    processor: str = field(default_factory=_processor)
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    accelerators: tuple[str, ...] = field(default_factory=gpu_names)
    system: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")
    python: str = field(default_factory=platform.python_version)
    versions: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in _PACKAGES})


def as_json(result: Benchmark) -> dict[str, Any]:
    """The figures, with their machine beside them."""
    return {**asdict(result), "machine": asdict(Machine())}  # type: ignore[call-overload]  # results are dataclasses


def write(result: Benchmark, folder: Path, name: str) -> tuple[Path, ...]:
    """Write ``name.json``, and ``name.svg`` (``name-1.svg`` and so on, if there are several plots); what was written.

    Raises:
        ConfigError: there is no library to draw plots with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / f"{name}.json"
    figures.write_text(json.dumps(as_json(result), indent=1) + "\n")
    plots = result.plots()
    paths = [folder / (f"{name}.svg" if len(plots) == 1 else f"{name}-{n}.svg") for n in range(1, len(plots) + 1)]
    for plot, path in zip(plots, paths, strict=True):
        draw(plot, path)
    return (figures, *paths)
