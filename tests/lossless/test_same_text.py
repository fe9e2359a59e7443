"""Through the whole product, over gRPC: drafting never changes the text.

The target alone (`off`) says what the text is; every drafter, at every temperature and under every rule, must give the
same tokens, the same bytes and the same end. Where two generations part, the parting must be a proven near tie.
Fifty prompts here, for gross errors; ``make lossless`` takes all 200. ``make real`` asks the same of any two models.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio
import torch
from transformers import GenerationConfig, PreTrainedModel

from draftmesh.client import GenerateOptions, Generation
from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import TERMINAL_ROLES
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.tokenization import Tokenizer
from tests.helpers.deployment import NGRAM, Deployment, deployment, drafter_config, generate_all, target_engine
from tests.helpers.near_ties import NEAR_TIE_LOGITS, Target, parting
from tests.helpers.served_models import served_models

MODELS = served_models()
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900 if MODELS.is_packaged else 7200)]

SEED = 7
TOKENS = 32
MAIN_SETTINGS = {
    "T=0": GenerateOptions(temperature=0.0, max_tokens=TOKENS, seed=SEED),
    "T=0.8": GenerateOptions(temperature=0.8, max_tokens=TOKENS, seed=SEED),
    "T=1": GenerateOptions(temperature=1.0, max_tokens=TOKENS, seed=SEED),
}
SPECIAL_SETTINGS = {
    "top-p": replace(MAIN_SETTINGS["T=1"], top_p=0.8),
    "top-k and min-p": replace(MAIN_SETTINGS["T=1"], top_k=20, min_p=0.02),
    "penalties": replace(MAIN_SETTINGS["T=0.8"], repetition_penalty=1.2, presence_penalty=0.3, frequency_penalty=0.2),
    "greedy penalties": replace(MAIN_SETTINGS["T=0"], repetition_penalty=1.3),
    "stop strings": replace(MAIN_SETTINGS["T=0.8"], stop=("):\n", "\n\n", "self.", " = ")),
    "greedy stop strings": replace(MAIN_SETTINGS["T=0"], stop=("):\n        ", "return ", "\n\n    def")),
    "max_tokens in mid-block": replace(MAIN_SETTINGS["T=0"], max_tokens=5),
    "one token": replace(MAIN_SETTINGS["T=1"], max_tokens=1),
    "long drafts": replace(MAIN_SETTINGS["T=0.8"], max_draft_tokens=16),
    "ignored end": replace(MAIN_SETTINGS["T=1"], ignore_eos=True),
}
SPECIAL_PROMPTS = MODELS.prompts[:24]


@dataclass
class Lab:
    """The deployment, what the target alone says, and the count of near ties."""

    running: Deployment
    tokenizer: Tokenizer
    target: Target
    said: dict[GenerateOptions, list[Generation]] = field(default_factory=dict)
    tokens: int = 0
    near_ties: int = 0

    async def off(self, prompts: tuple[str, ...], options: GenerateOptions) -> list[Generation]:
        """What the target says without drafting; computed once for all drafters."""
        alone = replace(options, method="off")
        if alone not in self.said:
            self.said[alone] = await generate_all(self.running.address, prompts, alone)
        return self.said[alone]

    async def drafted(self, prompts: tuple[str, ...], options: GenerateOptions, drafter: str) -> list[Generation]:
        """What it says with a drafter."""
        name = drafter_config(drafter).public_name
        return await generate_all(self.running.address, prompts, replace(options, method="exact", drafter=name))

    def check_same(self, prompt: str, options: GenerateOptions, alone: Generation, drafted: Generation) -> None:
        """Equal in every respect, or parted at a near tie, of which there may be one in 100,000 tokens."""
        self.tokens += alone.completion_tokens
        where = parting(alone.token_ids, drafted.token_ids)
        if where is None:
            assert _outcome(alone) == _outcome(drafted), prompt
            return
        prompt_ids = self.tokenizer.encode_prompt(prompt)
        common = alone.token_ids[: where.position]
        key = mint_noise_key(SEED, prompt_ids)
        assert self.target.is_near_tie(where, common, prompt_ids, sampling=_sampling(options), key=key), (
            f"parted at token {where.position}: {where.left} or {where.right}"
        )
        self.near_ties += 1
        assert self.near_ties <= 1 + self.tokens / 100_000


def _outcome(generation: Generation) -> tuple[object, ...]:
    return (
        generation.data,
        generation.token_ids,
        generation.finish_reason,
        generation.prompt_tokens,
        generation.completion_tokens,
    )


def _sampling(options: GenerateOptions) -> SamplingParams:
    return SamplingParams(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=1.0 if options.top_p is None else options.top_p,
        min_p=options.min_p,
        repetition_penalty=1.0 if options.repetition_penalty is None else options.repetition_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    """One deployment for all tests of the module."""
    torch.set_num_threads(1)
    tokenizer, target = MODELS.plain_target()
    async with deployment(drafters=MODELS.drafters, engine=target_engine(MODELS.target)) as running:
        lab = Lab(running, tokenizer, target)
        yield lab
    print(f"near ties: {lab.near_ties} in {lab.tokens} compared tokens")


@pytest.mark.parametrize("drafter", MODELS.drafters)
@pytest.mark.parametrize("setting", MAIN_SETTINGS)
async def test_every_drafter_leaves_the_text_as_it_is(lab: Lab, setting: str, drafter: str) -> None:
    """All prompts give the same text with this drafter as without drafting, and the drafter did propose."""
    options, prompts = MAIN_SETTINGS[setting], MODELS.prompts
    alone, drafted = await lab.off(prompts, options), await lab.drafted(prompts, options, drafter)
    for prompt, one, other in zip(prompts, alone, drafted, strict=True):
        lab.check_same(prompt, options, one, other)
    proposed = sum(generation.ledger.drafted_tokens for generation in drafted)
    accepted = sum(generation.ledger.accepted_tokens for generation in drafted)
    print(f"{setting} {drafter}: {accepted}/{proposed} accepted ({accepted / max(1, proposed):.3f})")
    assert proposed > 0
    assert accepted > 0 or drafter == NGRAM


@pytest.mark.parametrize("drafter", MODELS.drafters)
@pytest.mark.parametrize("setting", SPECIAL_SETTINGS)
async def test_rules_and_limits_hold_whoever_drafts(lab: Lab, setting: str, drafter: str) -> None:
    """Filters, penalties, stop strings and limits give the same text, counts and finish reason as without drafting."""
    options, prompts = SPECIAL_SETTINGS[setting], SPECIAL_PROMPTS
    alone, drafted = await lab.off(prompts, options), await lab.drafted(prompts, options, drafter)
    for prompt, one, other in zip(prompts, alone, drafted, strict=True):
        lab.check_same(prompt, options, one, other)


async def test_greedy_text_is_what_transformers_says(lab: Lab) -> None:
    """At T = 0 the tokens are those of transformers' own greedy generate, up to near ties shown by teacher forcing."""
    options, prompts = MAIN_SETTINGS["T=0"], MODELS.prompts
    ties = 0
    for prompt, ours in zip(prompts, await lab.off(prompts, options), strict=True):
        prompt_ids = lab.tokenizer.encode_prompt(prompt)
        theirs = _generate(lab, prompt_ids)[: len(ours.token_ids)]
        if tuple(theirs) != ours.token_ids:
            ties += 1
        _check_teacher_forced(lab.target, prompt_ids, ours.token_ids)
    print(f"transformers: {ties} of {len(prompts)} texts part at a near tie")
    assert ties <= 1 + len(prompts) * TOKENS / 100_000


@torch.inference_mode()
def _generate(lab: Lab, prompt_ids: list[int]) -> list[int]:
    ids = torch.tensor([prompt_ids])
    config = GenerationConfig(
        max_new_tokens=TOKENS,
        do_sample=False,
        repetition_penalty=1.0,  # a checkpoint's own default would fill it in
        eos_token_id=[token for role in TERMINAL_ROLES for token in lab.tokenizer.vocabulary.ids_of_role(role)],
    )
    model: PreTrainedModel = lab.target.model
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    generated: list[int] = out[0, len(prompt_ids) :].tolist()
    return generated


def _check_teacher_forced(target: Target, prompt_ids: list[int], generated: tuple[int, ...]) -> None:
    """Every token is the argmax of the plain model's logits, or within NEAR_TIE_LOGITS of it."""
    logits = target.logits([*prompt_ids, *generated])[len(prompt_ids) - 1 : -1, : len(target.table)]
    chosen = logits.gather(1, torch.tensor(generated).unsqueeze(1)).squeeze(1)
    assert float((logits.max(dim=1).values - chosen).max()) <= NEAR_TIE_LOGITS
