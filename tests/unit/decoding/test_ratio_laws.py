"""Committed tokens have the target's law, whatever a drafter of another vocabulary proposes.

Each test runs thousands of sessions through the judge, all with the same two models and a key each, and compares the
first two tokens with the processed distribution as its definition has it. ``tests/lossless`` does the same at scale.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest
import torch

from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import Role, items_length
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.judge import Case, Judge, Judgement
from draftmesh.decoding.longest_match import LongestMatch, Reading
from draftmesh.decoding.noise_key import NoisePosition, mint_noise_key
from draftmesh.decoding.proposal import Proposal, ProposalSampler, ProposalShape, own_choices, shared_choices
from draftmesh.decoding.psi import Path, PsiTree
from draftmesh.decoding.sampler import Sampler
from draftmesh.decoding.streams import Stream, block_key, stream_key
from draftmesh.tokenization.intersection import intersect
from tests.helpers.chi_square import chi_square_p_value
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.reference_decoding import reference_distribution
from tests.helpers.toy_blocks import AMPLE

CPU = torch.device("cpu")
TARGET = FakeTokenTable([b"a", b"b", b"ab", b"a", b"c", Role.EOS, None, b"bc"])
DRAFTER = FakeTokenTable([b"b", b"a", b"c", b"a", Role.EOS, b"z", b"abc"])
BIAS: dict[str, dict[int, float]] = {"target": {}, "drafter": {4: -2.0, 5: 2.0}}
"""Added to some logits: the drafter says what the target cannot, and seldom ends a text."""

PROMPT = [0, 4]
SESSIONS = 2500
SETTINGS = [
    SamplingParams(temperature=1.0),
    SamplingParams(temperature=0.4, top_k=4),
    SamplingParams(temperature=1.5, top_p=0.8),
    SamplingParams(temperature=0.9, repetition_penalty=1.6, presence_penalty=0.5, frequency_penalty=0.3),
]
KEYS = [mint_noise_key(seed, PROMPT) for seed in range(SESSIONS)]
Committed = tuple[int, ...]


@cache
def logits(model: str, path: tuple[int, ...], size: int) -> tuple[float, ...]:
    """A model: any function of the path."""
    source = random.Random(f"{model} {path}")
    return tuple(source.gauss(BIAS[model].get(token, 0.0), 1.5) for token in range(size))


def assert_law(committed: Sequence[Committed], params: SamplingParams) -> None:
    """First tokens have the law p, and second tokens that follow each the law p given it."""
    p_values = [p_value(Counter(tokens[0] for tokens in committed), (), params)]
    for first in {tokens[0] for tokens in committed}:
        seconds = Counter(tokens[1] for tokens in committed if len(tokens) > 1 and tokens[0] == first)
        if sum(seconds.values()) >= 100:
            p_values.append(p_value(seconds, (first,), params))
    assert len(p_values) >= 2
    assert min(p_values) > 1e-3 / len(p_values), p_values


def p_value(counts: Counter[int], path: tuple[int, ...], params: SamplingParams) -> float:
    """Of the counts of tokens after a path; a test on a single possible token is passed by naming it."""
    law = reference_distribution(logits("target", path, len(TARGET)), params, PROMPT, path)
    if (law > 0.0).sum() == 1:
        return float(set(counts) == {int(law.argmax())})
    return chi_square_p_value([counts[token] for token in range(len(TARGET))], law)


def judge(cases: Sequence[Case]) -> list[Judgement]:
    """One batch."""
    rows = [
        logits("target", case.draft[:length], len(TARGET)) for case in cases for length in range(len(case.draft) + 1)
    ]
    return Judge(Sampler(TARGET, "cpu", len(TARGET))).judge(torch.tensor(rows, dtype=torch.float64), cases)


def propose(
    paths: Sequence[Path], positions: Sequence[NoisePosition], shapes: Sequence[ProposalShape]
) -> list[Proposal]:
    """One more draft token for each session; the drafter has a temperature of its own."""
    rows = torch.tensor([logits("drafter", path, len(DRAFTER)) for path in paths])
    sampler = ProposalSampler(Sampler(DRAFTER, "cpu", len(DRAFTER)), len(DRAFTER))
    return sampler.propose(rows, [DrawRow(SamplingParams(temperature=0.8), p) for p in positions], shapes)


def history(params: SamplingParams, key: NoiseKey) -> History:
    """A session's, at its start."""
    return History(TARGET, params, key, PROMPT)


def shared_drafts(support: int) -> list[list[Proposal]]:
    """Two draft tokens a session, or one that ends the text."""
    shared = intersect(TARGET, DRAFTER)
    shape = ProposalShape(shared_choices(TARGET, shared.target_ids, shared.drafter_ids, len(DRAFTER), CPU), support)
    drafts: list[list[Proposal]] = [[] for _ in KEYS]
    for index in range(2):
        going = [i for i, draft in enumerate(drafts) if not draft or TARGET.role(draft[-1].choice) is None]
        paths = [tuple(proposal.token for proposal in drafts[i]) for i in going]
        positions = [
            NoisePosition(
                stream_key(KEYS[i], Stream.DRAFT), items_length([DRAFTER.token_bytes(t) for t in path]), index
            )
            for i, path in zip(going, paths, strict=True)
        ]
        for i, proposal in zip(going, propose(paths, positions, [shape] * len(going)), strict=True):
            drafts[i].append(proposal)
    return drafts


@pytest.mark.parametrize("support", [2, 64])
@pytest.mark.parametrize("params", SETTINGS)
def test_rejection_commits_the_targets_law(params: SamplingParams, support: int) -> None:
    """``tli``: restricted to what is shared, truncated, with duplicates on both sides."""
    cases = []
    for key, draft in zip(KEYS, shared_drafts(support), strict=True):
        laws = [proposal.distribution for proposal in draft]
        evidence = ProposalEvidence(tuple(law for law in laws if law is not None))
        cases.append(Case(history(params, key), tuple(p.choice for p in draft), Method.TLI, evidence))
    judgements = judge(cases)
    assert_law([judgement.tokens for judgement in judgements], params)
    assert 0 < sum(judgement.accepted for judgement in judgements) < sum(len(case.draft) for case in cases)


class Blocks:
    """``slrs`` drafts of two target tokens, all from one base."""

    def __init__(self, cap_bytes: int) -> None:
        self.rule = LongestMatch(TARGET, cap_bytes)
        self.tree = PsiTree(self.rule, DRAFTER, AMPLE)
        self._shape = ProposalShape(own_choices(DRAFTER, len(DRAFTER), CPU), 5)
        self._follows = ProposalShape(self._shape.choices, 5, lambda token: token != 3)
        self._psi: dict[tuple[int, ...], float] = {(): 1.0}

    def draw(self) -> list[Path]:
        """One draft a session, drawn until two target tokens are settled or nothing more can be."""
        paths: list[Path] = [() for _ in KEYS]
        while going := [i for i, path in enumerate(paths) if not self._is_complete(path)]:
            positions = [
                NoisePosition(block_key(stream_key(KEYS[i], Stream.DRAFT), 0, 0), len(paths[i]), 0) for i in going
            ]
            for i, proposal in zip(going, self._propose([paths[i] for i in going], positions), strict=True):
                paths[i] = (*paths[i], proposal.token)
        return paths

    def read(self, path: Path) -> Reading:
        """What a draft settles to."""
        return self.rule.read([DRAFTER.role(t) or DRAFTER.token_bytes(t) for t in path], limit=2)

    def conditional(self, sequence: tuple[int, ...]) -> float:
        """ψ of the last token given those before it."""
        return self._whole(sequence) / self._whole(sequence[:-1])

    def _whole(self, sequence: tuple[int, ...]) -> float:
        if sequence not in self._psi:
            while paths := self.tree.missing([sequence]):
                self._propose(paths, [NoisePosition(KEYS[0], 0, 0)] * len(paths))
            self._psi[sequence] = self.tree.psi(sequence)
        return self._psi[sequence]

    def _propose(self, paths: Sequence[Path], positions: Sequence[NoisePosition]) -> list[Proposal]:
        found = propose(paths, positions, [self._follows if path else self._shape for path in paths])
        for path, proposal in zip(paths, found, strict=True):
            assert isinstance(proposal.distribution, SparseDistribution)
            self.tree.add(path, proposal.distribution)
        return found

    def _is_complete(self, path: Path) -> bool:
        reading = self.read(path)
        ended = bool(path) and DRAFTER.role(path[-1]) is not None
        return len(reading.ids) == 2 or reading.missing or ended


@pytest.mark.parametrize("cap_bytes", [1, 16])
@pytest.mark.parametrize("params", SETTINGS)
def test_string_rejection_commits_the_targets_law(params: SamplingParams, cap_bytes: int) -> None:
    """``slrs``: texts that the rule cannot read, and tokens over the cap, count as rejections."""
    blocks = Blocks(cap_bytes)
    cases = []
    for key, path in zip(KEYS, blocks.draw(), strict=True):
        reading = blocks.read(path)
        values = tuple(blocks.conditional(reading.ids[: length + 1]) for length in range(len(reading.ids)))
        cases.append(Case(history(params, key), reading.ids, Method.SLRS, PsiEvidence(values, reading.missing)))
    judgements = judge(cases)
    committed = []
    for judgement in judgements:
        tokens = judgement.tokens
        while judgement.residual is not None and len(tokens) == judgement.accepted:
            psi = [blocks.conditional((*tokens, token)) for token in judgement.residual.ids]
            if (recovered := judgement.residual.answer(psi)) is not None:
                tokens = (*tokens, recovered.token)
        committed.append(tokens)
    assert_law(committed, params)
    assert sum(judgement.accepted for judgement in judgements) > 0
    assert any(isinstance(case.terms, PsiEvidence) and case.terms.missing_next for case in cases)


@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION, Method.SLRS])
def test_free_tokens_have_the_targets_law(method: Method) -> None:
    """Without a draft the token comes from p, under the residual's key."""
    params = SETTINGS[2]
    counts = Counter(judgement.tokens[0] for judgement in judge([Case(history(params, k), (), method) for k in KEYS]))
    assert p_value(counts, (), params) > 1e-3
