"""The same engine on a GPU: with the reference attention, and the attention made for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from draftmesh.core.sampling import Method
from draftmesh.engine.attention import varlen_kernels
from draftmesh.engine.attention.register import ATTENTION_NAME, register_attention
from draftmesh.engine.building import assemble
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.decoders.transformers_decoder import TransformersDecoder
from draftmesh.engine.loading import prepare_model
from draftmesh.engine.self_test import Proof, probe_layers
from tests.helpers.engines import GreedyJudge, RecordingListener, new_history, run_dry
from tests.helpers.tiny_models import TINY_CONFIGS, VOCABULARY_SIZE, tiny_model, whole_logits

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
_WITH_SOFT_CAPS = frozenset({"gemma2"})


@pytest.mark.parametrize("family", TINY_CONFIGS)
def test_a_gpu_says_what_a_cpu_says(family: str) -> None:
    """Greedy decoding of a few sequences with drafts, in float32."""
    config = EngineConfig(model=family, device="cuda", dtype="float32", block_size_tokens=4, kv_cache_tokens=256)
    plain = tiny_model(family)
    with torch.inference_mode():
        engine = assemble(prepare_model(tiny_model(family), config), config, GreedyJudge(), VOCABULARY_SIZE)
        listeners = []
        for start in range(3):
            prompt = list(range(start, start + 9))
            listener = RecordingListener()
            seq = engine.open(prompt, [], new_history(prompt, VOCABULARY_SIZE), listener, method=Method.EXACT)
            engine.submit(seq, [1, 2, 3], run=5)
            listeners.append((prompt, listener))
        run_dry(engine)
    for prompt, listener in listeners:
        text = list(prompt)
        for _ in listener.tokens:
            text.append(int(whole_logits(plain, text)[-1].argmax()))
        assert listener.tokens == text[len(prompt) :]


@pytest.mark.parametrize("family", sorted(TINY_CONFIGS.keys() - _WITH_SOFT_CAPS))
def test_the_gpu_attention_gives_what_the_reference_gives(family: str) -> None:
    """In chunks, with a draft taken back, beside a stranger; as near to the model's own as the reference is."""
    register_attention()
    model = tiny_model(family).to(device="cuda", dtype=torch.bfloat16).eval()
    model.set_attn_implementation(ATTENTION_NAME)
    with torch.inference_mode():
        shapes, decoder = probe_layers(model), TransformersDecoder(model)
        reference = Proof.of(model, 256, "sdpa_ragged").difference(decoder, shapes)
        varlen = Proof.of(model, 256, "varlen_paged").difference(decoder, shapes)
    assert varlen <= max(2 * reference, 0.02)


def test_graphs_say_what_the_reference_says() -> None:
    """Greedy decoding of several sequences with drafts; FlashAttention 3 is needed."""
    if not varlen_kernels.FlashKernel.active().reads_block_tables:
        pytest.skip("FlashAttention 3 is not active")
    config = EngineConfig(
        model="llama", device="cuda", dtype="bfloat16", attention="varlen_paged", kv_cache_tokens=1024
    )
    said = []
    with torch.inference_mode():
        for step_graphs in (False, True):
            own = replace(config, step_graphs=step_graphs)
            engine = assemble(prepare_model(tiny_model("llama"), own), own, GreedyJudge(), VOCABULARY_SIZE)
            listeners = [RecordingListener() for _ in range(3)]
            for start, listener in enumerate(listeners):
                prompt = list(range(start, start + 9))
                seq = engine.open(prompt, [], new_history(prompt, VOCABULARY_SIZE), listener, method=Method.EXACT)
                engine.submit(seq, [1, 2, 3], run=5)
            run_dry(engine)
            said.append([listener.tokens for listener in listeners])
    assert said[0] == said[1]
