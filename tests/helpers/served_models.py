"""Which models the tests of the whole product serve: the packaged ones, or a pair of one's own (``make real``).

``DRAFTMESH_TARGET`` and ``DRAFTMESH_DRAFTER`` name such a pair, by folder or hub name; ``DRAFTMESH_PROMPTS`` says from
how many prompts texts are generated, and ``DRAFTMESH_LAW_SAMPLES`` how often a law is sampled. ``make lossless`` asks
for more than what is said here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM

from draftmesh.demo.models import TARGET, demo_model_path
from draftmesh.demo.prompts import all_prompts, spread
from draftmesh.tokenization import Tokenizer, load_tokenizer
from draftmesh.tokenization.hub import model_folder
from tests.helpers.deployment import DRAFTERS, NGRAM
from tests.helpers.near_ties import Target

PROMPTS = 50
LAW_SAMPLES = 200
_TOKENIZER_FILES = ("*.json", "*.jinja", "*.model")


@dataclass(frozen=True, slots=True)
class ServedModels:
    """A target, its drafters, and how much is asked of them."""

    target: str
    """Folder or hub name."""

    drafters: tuple[str, ...]
    """Names of packaged drafters, folders, hub names, or ``ngram``."""

    prompts: tuple[str, ...]
    law_samples: int
    is_packaged: bool

    def plain_target(self) -> tuple[Tokenizer, Target]:
        """The target outside of draftmesh, and its tokenizer."""
        tokenizer = load_tokenizer(model_folder(self.target, _TOKENIZER_FILES))
        model = AutoModelForCausalLM.from_pretrained(self.target, dtype=torch.float32).eval()
        return tokenizer, Target(model, tokenizer.vocabulary)


def served_models(environment: Mapping[str, str] = os.environ) -> ServedModels:
    """What the environment names.

    Raises:
        ValueError: a target without a drafter, a drafter without a target, or a number that is none.
    """
    target, drafter = (environment.get(f"DRAFTMESH_{name}", "") for name in ("TARGET", "DRAFTER"))
    if bool(target) != bool(drafter):
        raise ValueError("DRAFTMESH_TARGET and DRAFTMESH_DRAFTER go together")
    return ServedModels(
        target=target or str(demo_model_path(TARGET)),
        drafters=(drafter, NGRAM) if drafter else DRAFTERS,
        prompts=spread(all_prompts(), int(environment.get("DRAFTMESH_PROMPTS", PROMPTS))),
        law_samples=int(environment.get("DRAFTMESH_LAW_SAMPLES", LAW_SAMPLES)),
        is_packaged=not target,
    )
