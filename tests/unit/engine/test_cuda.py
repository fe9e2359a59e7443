"""The same engine on a GPU: with the reference attention, and the attention made for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from draftmesh.core.sampling import Method
from draftmesh.engine.attention.register import ATTENTION_NAME, register_attention
from draftmesh.engine.building import assemble
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.decoders.transformers_decoder import TransformersDecoder
from draftmesh.engine.loading import prepare_model
from draftmesh.engine.self_test import Proof, probe_layers
from draftmesh.engine.step_graphs import GraphRunner
from tests.helpers.engines import GreedyJudge, RecordingListener, new_history, run_dry
from tests.helpers.tiny_models import TINY_CONFIGS, VOCABULARY_SIZE, tiny_model, whole_logits

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.02}  # of the largest logit


def said(config: EngineConfig) -> list[list[int]]:
    """Greedy decoding of a few sequences with drafts: what is said to each."""
    with torch.inference_mode():
        prepared = prepare_model(tiny_model(config.model), config)
        engine = assemble(prepared, config, GreedyJudge(), VOCABULARY_SIZE)
        listeners = []
        for start in range(3):
            prompt = list(range(start, start + 9))
            listeners.append(RecordingListener())
            seq = engine.open(prompt, [], new_history(prompt, VOCABULARY_SIZE), listeners[-1], method=Method.EXACT)
            engine.submit(seq, [1, 2, 3], run=5)
        run_dry(engine)
        assert config.records_steps is isinstance(engine._runner, GraphRunner)
    return [listener.tokens for listener in listeners]


@pytest.mark.parametrize("ways", [{"attention": "sdpa_ragged"}, {"step_graphs": False}, {}])
@pytest.mark.parametrize("family", TINY_CONFIGS)
def test_a_gpu_says_what_a_cpu_says(family: str, ways: dict[str, Any]) -> None:
    """In float32, with the reference attention, the one made for it, and steps that are replayed."""
    config = EngineConfig(
        model=family, device="cuda", dtype="float32", block_size_tokens=4, kv_cache_tokens=256, **ways
    )
    plain = tiny_model(family)
    for start, tokens in enumerate(said(config)):
        text = list(range(start, start + 9))
        with torch.inference_mode():
            for token in tokens:
                assert token == int(whole_logits(plain, text)[-1].argmax())
                text.append(token)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", TINY_CONFIGS)
def test_the_gpu_attention_gives_what_the_reference_gives(family: str, dtype: torch.dtype) -> None:
    """In chunks, with a draft taken back, beside a stranger; as near to the model's own as the reference is."""
    register_attention()
    model = tiny_model(family).to(device="cuda", dtype=dtype).eval()
    model.set_attn_implementation(ATTENTION_NAME)
    with torch.inference_mode():
        shapes, decoder = probe_layers(model), TransformersDecoder(model)
        reference = Proof.of(model, 256, "sdpa_ragged").difference(decoder, shapes)
        varlen = Proof.of(model, 256, "varlen_paged").difference(decoder, shapes)
    assert varlen <= max(2 * reference, _TOLERANCE[dtype])
