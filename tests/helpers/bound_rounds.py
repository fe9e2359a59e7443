"""What must hold of the rounds of an ``slrs`` session, whoever drafted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from draftmesh.core.evidence import PsiEvidence, check_evidence
from draftmesh.core.sampling import Method
from draftmesh.core.verify import VerifyRound
from tests.helpers.generation_bench import tiny_tokenizer
from tests.helpers.peers.id_drafters import FakeIdDrafter, conditional_psi

TABLE = tiny_tokenizer().vocabulary


def check_blocks(rounds: Sequence[VerifyRound], max_tokens: int, draft_tokens: int) -> None:
    """Every block is whole but for what max_tokens cuts, and one base has one block."""
    blocks: dict[int, tuple[tuple[int, ...], object]] = {}
    for request in rounds:
        if request.evidence is None:
            continue
        check_evidence(Method.SLRS, request.draft_ids, request.evidence, len(TABLE))
        assert isinstance(request.evidence, PsiEvidence)
        assert request.evidence.values == pytest.approx([conditional_psi(token) for token in request.draft_ids])
        assert request.free_run == 0
        room = min(draft_tokens, max_tokens - request.base.length - 1)
        ends = bool(request.draft_ids) and request.draft_ids[-1] in TABLE.terminal_ids
        assert len(request.draft_ids) == room or request.evidence.missing_next or ends
        assert len(request.draft_ids) < room or not request.evidence.missing_next
        known = blocks.setdefault(request.base.length, (request.draft_ids, request.evidence))
        assert known == (request.draft_ids, request.evidence)


def bases_told(peer: FakeIdDrafter) -> list[int]:
    """Committed tokens, each time that the drafter was told of a base."""
    told: list[int] = []
    for request, stream in zip(peer.opened, peer.streams, strict=True):
        tokens = request.committed_tokens
        told.append(tokens)
        for commit in stream.commits:
            tokens += len(commit.items)
            told.append(tokens)
    return told
