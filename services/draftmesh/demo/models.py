"""Where the demo models are, and how a benchmark gets a large one."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from draftmesh.core.errors import ConfigError
from draftmesh.demo.shape import LlamaShape, checkpoint_shape

TARGET = "target"
DRAFTER_SENTENCEPIECE = "drafter_sentencepiece"
DRAFTER_UNIGRAM = "drafter_unigram"
MODEL_NAMES = (TARGET, DRAFTER_SENTENCEPIECE, DRAFTER_UNIGRAM)

DEFAULT_EXPANDED_PARAMETERS = 220_000_000

ExpandedDtype = Literal["float32", "bfloat16"]

_ASSETS = Path(__file__).parent / "assets"
_LEAST_LAYERS = 16


def demo_model_path(name: str) -> Path:
    """The folder of a demo model, one of `MODEL_NAMES`; for AutoModelForCausalLM and AutoTokenizer.

    Raises ConfigError for another name.
    """
    if name not in MODEL_NAMES:
        raise ConfigError(f"no demo model {name!r}; there are {', '.join(MODEL_NAMES)}")
    return _ASSETS / name


def expanded_target(
    out_dir: Path,
    *,
    parameters: int = DEFAULT_EXPANDED_PARAMETERS,
    source: Path | None = None,
    dtype: ExpandedDtype = "float32",
) -> Path:
    """The demo target expanded to at least `parameters`, below `out_dir`; made once, then reused.

    It says exactly what the small target says, up to the rounding of `dtype`, and costs what its
    size costs. The folder's name holds the sizes and a digest of the small weights, so that a stale
    one is never reused. Two or four bytes of disk per parameter.
    """
    small = source or demo_model_path(TARGET)
    shape = shape_for(small, parameters)
    digest = hashlib.sha256((small / "model.safetensors").read_bytes()).hexdigest()[:12]
    suffix = "" if dtype == "float32" else f"-{dtype}"
    folder = out_dir / f"target-{shape.hidden_size}x{shape.layers}-{digest}{suffix}"
    if not folder.is_dir():
        import torch  # noqa: PLC0415 (slow to import, and its user below)

        from draftmesh.demo.expand import expand_checkpoint  # noqa: PLC0415

        out_dir.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=out_dir))
        partial.chmod(0o755)
        expand_checkpoint(small, partial, shape, getattr(torch, dtype))
        _publish(partial, folder)
    return folder


def shape_for(source: Path, parameters: int) -> LlamaShape:
    """Double a small Llama's width while `parameters` still take sixteen layers, then its depth."""
    small = checkpoint_shape(source)
    widths = (small.widened(2**doublings) for doublings in range(1, 8))
    deep = (shape.deepened(parameters) for shape in widths)
    fitting = [shape for shape in deep if shape.layers >= max(_LEAST_LAYERS, small.layers)]
    return fitting[-1] if fitting else replace(small, layers=max(small.layers, small.deepened(parameters).layers))


def _publish(partial: Path, folder: Path) -> None:
    """Rename into place; if another process was first, its folder is as good."""
    try:
        os.rename(partial, folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(partial)
