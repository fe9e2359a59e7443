"""Through the whole product, over gRPC: what a pair of trained models says has the target's law, whoever drafts.

The law of the first tokens after one prompt, from the plain model's logits; hundreds of generations, for gross errors
of a pair's translation or intersection. ``make real`` asks the same of any two models.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
import torch

from draftmesh.client import GenerateOptions, Generation
from draftmesh.coordinator.loop.pace import PaceConfig
from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.sampling import Method, SamplingParams
from tests.helpers.deployment import PATIENT, Deployment, deployment, generate_each, target_engine
from tests.helpers.joint_law import Law, enumerated_law, shortened
from tests.helpers.served_models import served_models
from tests.lossless.cells import finding_of

MODELS = served_models()
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300 if MODELS.is_packaged else 7200)]

SAMPLING = SamplingParams(temperature=1.0, top_k=4)
TOKENS = 3
METHODS = (Method.OFF, Method.EXACT, Method.TLI_EXACT, Method.TLI, Method.SLRS)
OWN_METHODS = () if MODELS.is_packaged else (Method.REJECTION,)
"""The vocabularies of the packaged models differ, those of others may be equal."""

SHARD = replace(
    PATIENT,
    trust_drafters=True,
    generation=replace(PATIENT.generation, pace=PaceConfig(min_wait_ms=1000.0, max_wait_ms=1000.0)),
)
"""It waits even longer: sixteen sessions at once share one drafter, and few tokens are looked at."""


@dataclass(frozen=True, slots=True)
class Lab:
    """The deployment, and the law of the first tokens after the prompt."""

    running: Deployment
    law: Law

    async def generations(self, method: Method, seeds: range) -> list[Generation]:
        """One for each seed; one token more than is looked at, so that a whole draft and its bonus fit."""
        options = GenerateOptions(
            temperature=SAMPLING.temperature,
            top_k=SAMPLING.top_k,
            max_tokens=TOKENS + 1,
            max_draft_tokens=TOKENS,
            method=method.label,
            timeout_s=None,
        )
        requests = [(MODELS.prompts[0], replace(options, seed=seed)) for seed in seeds]
        return await generate_each(self.running.address, requests)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    """One deployment for all tests of the module."""
    torch.set_num_threads(1)
    drafter = MODELS.drafters[:1]
    async with deployment(drafters=drafter, engine=target_engine(MODELS.target), shard_config=SHARD) as running:
        yield Lab(running, _law())


def _law() -> Law:
    tokenizer, target = MODELS.plain_target()
    prompt = tokenizer.encode_prompt(MODELS.prompts[0])

    def logits(sequence: tuple[int, ...]) -> list[float]:
        row: list[float] = target.logits([*prompt, *sequence])[-1, : len(tokenizer.vocabulary)].tolist()
        return row

    return enumerated_law(logits, tokenizer.vocabulary, SAMPLING, prompt, TOKENS)


@pytest.mark.parametrize("method", [*METHODS, *OWN_METHODS], ids=lambda method: method.label)
async def test_what_is_said_has_the_targets_law(lab: Lab, method: Method) -> None:
    """The first 1, 2 and 3 tokens, with Bonferroni's correction for all laws; and drafts are accepted."""
    index = [*METHODS, *OWN_METHODS].index(method)
    seeds = range(index * 1_000_000, index * 1_000_000 + MODELS.law_samples)
    try:
        await lab.generations(method, seeds[:1])  # alone: those that a failure leaves behind would go on
    except UnsupportedMethodError as error:
        assert not MODELS.is_packaged, "every method suits the packaged pair"
        pytest.skip(str(error))
    generations = await lab.generations(method, seeds)
    laws = [shortened(lab.law, length) for length in range(1, TOKENS + 1)]
    finding = finding_of([generation.token_ids[:TOKENS] for generation in generations], laws)
    accepted = sum(token.drafted for generation in generations for token in generation.tokens)
    print(f"\n{method.label}: {finding.joint}, {len(lab.law)} sequences, {accepted} accepted")
    assert finding.is_faithful(len(METHODS) + len(OWN_METHODS))
    assert (accepted > 0) is (method is not Method.OFF)


async def test_control_another_law_is_seen(lab: Lab) -> None:
    """What the target says at half the temperature is not this law."""
    sharper = {sequence: chance**2 for sequence, chance in lab.law.items()}
    total = sum(sharper.values())
    law = {sequence: chance / total for sequence, chance in sharper.items()}
    generations = await lab.generations(Method.OFF, range(MODELS.law_samples))
    finding = finding_of([generation.token_ids[:TOKENS] for generation in generations], [law])
    assert not finding.is_faithful(1)
