"""The process of one engine that is measured: its memory is its own, and it computes only when asked."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from draftmesh.core.errors import ConfigError, DraftmeshError
from draftmesh.engine.building import build_engine
from draftmesh.engine.calibration import StepProbe
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import LoadedModel, load_model


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What to measure."""

    config: EngineConfig
    context: str
    """Text that the session begins with; repeated, and cut to ``context_tokens``."""

    context_tokens: int
    most_rows: int
    """The largest number of rows that will be asked for."""


@dataclass(frozen=True, slots=True)
class EngineReady:
    """Sent when the model is loaded and the context computed."""

    parameters: int
    weight_bytes: int
    """What a step reads at least."""

    packed_layers: int


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """Sent instead."""

    reason: str


class MemoryQuestion:
    """Asks for the memory in use, which is answered by :class:`Memory`, or by None where the system does not tell."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process that is in use."""

    private_bytes: int
    """Its own: packed weights, KV, torch itself."""

    mapped_bytes: int
    """Of files: plain weights as they were loaded. What is not used any more can be taken back at any time."""


def serve_engine(pipe: Connection, spec: EngineSpec) -> None:
    """Load, say so, and answer: a number of rows with the milliseconds of one step, or a question for memory."""
    torch.set_num_threads(spec.config.threads)  # as the engine's own thread does, and no gradients either
    try:
        with torch.inference_mode():
            _serve(pipe, spec, load_model(spec.config))
    except DraftmeshError as error:
        pipe.send(EngineFailure(f"{error.reason}: {error}"))


def _serve(pipe: Connection, spec: EngineSpec, loaded: LoadedModel) -> None:
    engine = build_engine(loaded, spec.config)
    ids = loaded.tokenizer.encode_prompt(spec.context)
    ids = (ids * -(-spec.context_tokens // len(ids)))[: spec.context_tokens]
    with StepProbe(engine, loaded.tokenizer.vocabulary, ids) as probe:
        if not probe.fits(spec.most_rows):
            raise ConfigError(f"{spec.most_rows} rows do not fit behind {spec.context_tokens} tokens of context")
        weight_bytes = loaded.parameters * loaded.dtype.itemsize
        pipe.send(EngineReady(loaded.parameters, weight_bytes, loaded.prepared.packing.packed_layers))
        _answer_all(pipe, probe)


def _answer_all(pipe: Connection, probe: StepProbe) -> None:
    try:
        while True:
            question = pipe.recv()
            pipe.send(_memory() if isinstance(question, MemoryQuestion) else probe.step(question).milliseconds)
    except EOFError:
        return


def _memory() -> Memory | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines) if value.strip()}
    private, mapped = (int(kilobytes[key]) * 1024 for key in ("RssAnon", "RssFile"))
    return Memory(private, mapped)
