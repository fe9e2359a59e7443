"""transformers in processes of its own, on the packaged models."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from draftmesh.bench.peers.contestant import Task
from draftmesh.bench.peers.transformers_peer import transformers_peer
from draftmesh.bench.peers.transformers_process import Assistance, PeerSpec
from draftmesh.core.errors import UnsupportedError
from draftmesh.demo.models import DRAFTER_SENTENCEPIECE, TARGET, demo_model_path
from draftmesh.demo.prompts import demo_prompts
from draftmesh.tokenization.loading import load_tokenizer

pytestmark = pytest.mark.timeout(120)

SPEC = PeerSpec(
    target=str(demo_model_path(TARGET)),
    drafter=str(demo_model_path(DRAFTER_SENTENCEPIECE)),
    assistance=Assistance.NONE,
    threads=1,
    dtype="float32",
    device="cpu",
    end_ids=(0,),
)
PROMPT = tuple(load_tokenizer(demo_model_path(TARGET)).encode_prompt(demo_prompts()[0]))
GREEDY = Task(PROMPT, temperature=0.0, max_tokens=12, seed=7)
SAMPLED = Task(PROMPT, temperature=1.0, max_tokens=12, seed=7)


@pytest.fixture(scope="module")
def greedy_ids() -> list[int]:
    """What the target says, in this process."""
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(SPEC.target, dtype=torch.float32)
    out = model.generate(torch.tensor([PROMPT]), max_new_tokens=GREEDY.max_tokens, do_sample=False)
    ids: list[int] = out[0, len(PROMPT) :].tolist()
    return ids


async def test_plain_generation_is_the_targets_own(greedy_ids: list[int]) -> None:
    """Without an assistant nothing is drafted; a seed fixes what is drawn."""
    async with transformers_peer("plain", SPEC) as peer:
        greedy = await peer.generate(GREEDY)
        sampled = [await peer.generate(replace(SAMPLED, seed=seed)) for seed in (7, 7, 8)]
    assert list(greedy.ids) == greedy_ids
    assert (greedy.way, greedy.drafted_tokens, greedy.accepted_tokens, greedy.rounds) == ("", 0, 0, 0)
    assert sampled[0].ids == sampled[1].ids != sampled[2].ids


async def test_slem_says_what_greedy_decoding_says(greedy_ids: list[int]) -> None:
    """In fewer forwards of the target, each of which commits one token more than it accepts; it also samples."""
    async with transformers_peer("slem", replace(SPEC, assistance=Assistance.SLEM)) as peer:
        greedy, sampled = await peer.generate(GREEDY), await peer.generate(SAMPLED)
    assert list(greedy.ids) == greedy_ids
    assert greedy.way == sampled.way == "SLEM"
    assert greedy.accepted_tokens + greedy.rounds == len(greedy_ids)
    assert 0 < greedy.accepted_tokens <= greedy.drafted_tokens


async def test_sampling_is_tli_by_transformers_own_choice() -> None:
    """Nobody asked for it; drafted tokens are accepted."""
    async with transformers_peer("tli", replace(SPEC, assistance=Assistance.CHOSEN)) as peer:
        served = [await peer.generate(replace(SAMPLED, seed=seed)) for seed in (7, 8)]
    assert {one.way for one in served} == {"TLI"}
    assert all(len(one.ids) == one.accepted_tokens + one.rounds for one in served)
    assert sum(one.accepted_tokens for one in served) > 0


async def test_tli_says_what_the_target_would_say() -> None:
    """0.7 to 0.8 nats a token, as its own text has; with draft tokens judged by the probabilities of others, 3.4."""
    model = AutoModelForCausalLM.from_pretrained(SPEC.target, dtype=torch.float32)
    surprises: list[float] = []
    async with transformers_peer("tli", replace(SPEC, assistance=Assistance.CHOSEN)) as peer:
        for seed in range(6):
            said = (await peer.generate(replace(SAMPLED, seed=seed, max_tokens=48))).ids
            with torch.inference_mode():
                laws = model(torch.tensor([PROMPT + said])).logits[0].log_softmax(dim=-1)
            surprises += [-float(laws[len(PROMPT) - 1 + index, token]) for index, token in enumerate(said)]
    assert sum(surprises) / len(surprises) < 1.5


async def test_what_cannot_be_loaded_refuses_its_tasks() -> None:
    """With the reason; the others go on."""
    async with transformers_peer("nothing", replace(SPEC, target="/no-such-folder")) as peer:
        with pytest.raises(UnsupportedError, match="no-such-folder"):
            await peer.generate(GREEDY)
