"""Steps that are filled up and replayed give what the reference gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import pytest
import structlog
import torch
from torch import Tensor

from draftmesh.engine import building
from draftmesh.engine.attention.register import ATTENTION_NAME, register_attention
from draftmesh.engine.attention.sdpa_ragged import SdpaRagged
from draftmesh.engine.attention.varlen_paged import VarlenPaged
from draftmesh.engine.building import assemble
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.decoders.decoder import RecordableDecoder
from draftmesh.engine.decoders.transformers_decoder import TransformersDecoder
from draftmesh.engine.kv_storage import KvStorage
from draftmesh.engine.loading import prepare_model
from draftmesh.engine.model_runner import ModelRunner, Runner
from draftmesh.engine.packing import PackedRows
from draftmesh.engine.self_test import probe_layers
from draftmesh.engine.step_graphs import GraphInputs, GraphRunner
from tests.helpers.engines import GreedyJudge
from tests.helpers.tiny_models import VOCABULARY_SIZE, tiny_model
from tests.helpers.varlen import PlainKernel

BLOCK_SIZE, SEQUENCES, BLOCKS_EACH = 4, 3, 10
SIZES = (1, 4, 8)
POOL_BLOCKS = SEQUENCES * BLOCKS_EACH
SPARE = range(POOL_BLOCKS, POOL_BLOCKS + 2)
CPU = torch.device("cpu")


@dataclass
class Recorded:
    """Computes anew, and leaves the result where a graph would."""

    compute: Callable[[], Tensor]
    output: Tensor
    replays: int = 0

    def replay(self) -> None:
        """Compute from what the tensors hold by now."""
        self.replays += 1
        self.output.copy_(self.compute())


@dataclass
class Recorder:
    """Keeps what it has recorded."""

    graphs: list[Recorded] = field(default_factory=list)

    def __call__(self, compute: Callable[[], Tensor]) -> Recorded:
        """Run it twice, as a warm-up and a recording do."""
        compute()
        self.graphs.append(Recorded(compute, compute()))
        return self.graphs[-1]


def decoder_of(family: str, *, fused: bool) -> RecordableDecoder:
    """The family's tiny model, by our own forward or by that of transformers."""
    config = EngineConfig(model=family, packed_linear=False, fused_layers=fused)
    decoder = prepare_model(tiny_model(family), config).decoder
    assert isinstance(decoder, RecordableDecoder)
    return decoder


def runners(decoder: RecordableDecoder, family: str) -> tuple[Runner, Runner, Recorder]:
    """The reference, and one with graphs, each over KV of its own."""
    register_attention()
    model = tiny_model(family)
    model.set_attn_implementation(ATTENTION_NAME)
    shapes, recorder = probe_layers(model), Recorder()
    storages = [KvStorage(shapes, (POOL_BLOCKS + len(SPARE)) * BLOCK_SIZE, torch.float32, CPU) for _ in range(2)]
    paged = VarlenPaged(storages[1], BLOCK_SIZE, PlainKernel())
    graphs = GraphRunner(
        ModelRunner(decoder, paged),
        decoder,
        paged,
        sizes=SIZES,
        most_blocks=BLOCKS_EACH,
        spare=SPARE,
        record=recorder,
    )
    return ModelRunner(decoder, SdpaRagged(storages[0], BLOCK_SIZE)), graphs, recorder


def random_steps(seed: int) -> list[list[PackedRows]]:
    """Steps of some of the sequences, on blocks out of order; now and then rows are taken back, as drafts are."""
    random = Random(seed)
    blocks = random.sample(range(POOL_BLOCKS), POOL_BLOCKS)
    tables = [blocks[number::SEQUENCES] for number in range(SEQUENCES)]
    lengths, steps = [0] * SEQUENCES, []
    for _ in range(12):
        batch = []
        for number in random.sample(range(SEQUENCES), random.randint(1, SEQUENCES)):
            start = max(0, lengths[number] - random.choice([0, 0, 2]))
            count = random.choice([1, 1, 2, 5])
            if start + count <= BLOCKS_EACH * BLOCK_SIZE:
                tokens = [random.randrange(VOCABULARY_SIZE) for _ in range(count)]
                batch.append(PackedRows(tokens, start, tables[number], random.randint(0, count)))
                lengths[number] = start + count
        if batch:
            steps.append(batch)
    return steps


@pytest.mark.parametrize(("family", "fused"), [("llama", True), ("llama", False), ("qwen3", True), ("mistral", False)])
def test_graphs_give_what_the_reference_gives(family: str, fused: bool) -> None:
    """Whatever the number of rows, and whatever was in the tensors before; larger steps go without a graph."""
    decoder = decoder_of(family, fused=fused)
    assert isinstance(decoder, TransformersDecoder) is not fused
    with torch.inference_mode():
        reference, graphs, recorder = runners(decoder, family)
        assert len(recorder.graphs) == len(SIZES)
        steps = [step for seed in range(4) for step in random_steps(seed)]
        for batch in steps:
            expected = reference.run(batch)
            assert torch.allclose(graphs.run(batch), expected, atol=1e-4)
    sizes = [sum(rows.count for rows in batch) for batch in steps]
    expected_replays = [
        sum(low < size <= high for size in sizes) for low, high in zip((0, *SIZES), SIZES, strict=False)
    ]
    assert [graph.replays for graph in recorder.graphs] == expected_replays
    assert min(expected_replays) > 0
    assert max(sizes) > max(SIZES)


def kv_of(runner: Runner) -> Sequence[Tensor]:
    """The keys of all layers, for blocks of the pool."""
    assert isinstance(runner, ModelRunner)
    storage: KvStorage = runner._attention._storage  # type: ignore[attr-defined]
    return [layer.keys[:, : POOL_BLOCKS * BLOCK_SIZE] for layer in storage.layers]


def test_rows_that_fill_up_write_where_nobody_reads() -> None:
    """Recording and replaying leave the pool's blocks alone but for the step's own."""
    decoder = decoder_of("llama", fused=True)
    with torch.inference_mode():
        _, graphs, _ = runners(decoder, "llama")
        assert isinstance(graphs, GraphRunner)
        keys = kv_of(graphs._eager)
        assert not any(part.any() for part in keys)
        graphs.run([PackedRows([1, 2, 3], 0, [5], 1)])
        written = [part.abs().sum((0, 2)).nonzero().flatten().tolist() for part in keys]
    assert written == [[20, 21, 22]] * len(written)


def test_rows_may_fill_up_more_blocks_than_a_sequence_has() -> None:
    """Where contexts are short."""
    inputs = GraphInputs(8, most_blocks=1, block_size=BLOCK_SIZE, spare=SPARE, device=CPU)
    assert inputs.fill([PackedRows([7, 8], 1, [3], 1)]) == [1]
    assert inputs.ids.tolist() == [7, 8, 0, 0, 0, 0, 0, 0]
    assert inputs.layout.write_slots.tolist() == [13, 14, 120, 121, 122, 123, 124, 125]
    assert inputs.layout.kv_lengths.tolist() == [3, 6, 0, 0, 0, 0, 0, 0, 0]


def test_a_model_that_cannot_be_recorded_runs_without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one whose forward looks at values on the device; somebody is told."""

    def refuse(compute: Callable[[], Tensor]) -> Recorded:
        del compute
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(building, "record_cuda_graph", refuse)
    monkeypatch.setattr(
        building, "attention_backend", lambda _, storage, size: VarlenPaged(storage, size, PlainKernel())
    )
    decoder = decoder_of("llama", fused=True)
    prepared = replace(prepare_model(tiny_model("llama"), EngineConfig(model="llama")), decoder=decoder)
    config = EngineConfig(model="llama", device="cuda", kv_cache_tokens=64)
    with structlog.testing.capture_logs() as logs, torch.inference_mode():
        engine = assemble(prepared, config, GreedyJudge(), VOCABULARY_SIZE)
    assert isinstance(engine._runner, ModelRunner)
    assert [entry["event"] for entry in logs] == ["steps cannot be recorded as graphs"]
