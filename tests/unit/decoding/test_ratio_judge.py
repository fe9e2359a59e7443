"""Judging by ratios: edge cases of one batch."""

from __future__ import annotations

import math

import pytest
import torch

from draftmesh.core.errors import InternalError, InvalidTokenError, MalformedBlockError
from draftmesh.core.evidence import Evidence, ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import History
from draftmesh.decoding.judge import Case, Judge, Judgement
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.decoding.sampler import Sampler
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([b"a", b"b", b"c", Role.EOS])
PREFERS = torch.eye(4)  # row i prefers token i
GREEDY = SamplingParams()
HOT = SamplingParams(temperature=1.0)


def case(draft: tuple[int, ...], terms: Evidence | None, method: Method, params: SamplingParams = GREEDY) -> Case:
    """A fresh sequence's draft."""
    return Case(History(TABLE, params, mint_noise_key(1, [0]), [0]), draft, method, terms)


def certain(*tokens: int) -> ProposalEvidence:
    """A drafter that is sure of each token."""
    return ProposalEvidence(tuple(SparseDistribution((token,), (1.0,)) for token in tokens))


def judge(rows: list[int] | torch.Tensor, *cases: Case, vocab_rows: int = 4) -> list[Judgement]:
    """Judge cases on rows that prefer the tokens named, or on other logits."""
    logits = rows if isinstance(rows, torch.Tensor) else PREFERS[rows]
    return Judge(Sampler(TABLE, "cpu", vocab_rows)).judge(logits, cases)


@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION])
def test_at_temperature_zero_the_argmax_is_said(method: Method) -> None:
    """Accepted if proposed, recovered if not, and as a bonus."""
    assert judge([1, 2, 0], case((1, 2), certain(1, 2), method)) == [Judgement(2, (1, 2, 0))]
    assert judge([1, 3, 0], case((1, 2), certain(1, 2), method)) == [Judgement(1, (1, 3))]
    assert judge([2], case((), None, method)) == [Judgement(0, (2,))]


def test_at_temperature_zero_equal_logits_are_the_lowest_id() -> None:
    """As for every other method, so that all say the same text."""
    tied = torch.tensor([[0.0, 5.0, 5.0, 5.0]])
    assert judge(tied, case((), None, Method.TLI)) == [Judgement(0, (1,))]


def test_at_temperature_zero_psi_below_one_still_accepts_the_argmax() -> None:
    """And the bonus follows, with nothing left to ask."""
    assert judge([1, 2], case((1,), PsiEvidence((0.3,)), Method.SLRS)) == [Judgement(1, (1, 2))]


def test_a_rejected_string_waits_for_its_residual() -> None:
    """Tokens are the accepted ones alone; the residual asks for the argmax and says it."""
    (judgement,) = judge([1, 3, 0], case((1, 2), PsiEvidence((0.5, 0.5)), Method.SLRS))
    assert (judgement.accepted, judgement.tokens) == (1, (1,))
    assert judgement.residual is not None
    assert judgement.residual.ids == (3,)
    recovered = judgement.residual.answer([0.25]) or judgement.residual.answer([])
    assert recovered is not None
    assert recovered.token == 3


def test_a_missing_proposal_is_a_rejection() -> None:
    """Behind accepted tokens and alone; after a rejection it does not matter."""
    behind, alone, after = judge(
        [1, 2, 3, 0, 1],
        case((1,), PsiEvidence((0.5,), missing_next=True), Method.SLRS),
        case((), PsiEvidence((), missing_next=True), Method.SLRS),
        case((2,), PsiEvidence((0.5,), missing_next=True), Method.SLRS),
    )
    assert [(j.accepted, j.tokens) for j in (behind, alone, after)] == [(1, (1,)), (0, ()), (0, ())]
    asked = [judgement.residual.ids for judgement in (behind, alone, after) if judgement.residual is not None]
    assert asked == [(2,), (3,), (0,)]


def test_a_string_draft_without_evidence_of_anything_is_a_free_draw() -> None:
    """No draft and nothing missing: the token comes from p."""
    assert judge([2], case((), PsiEvidence(()), Method.SLRS)) == [Judgement(0, (2,))]


def test_methods_share_a_batch() -> None:
    """Rows belong to cases in order, whatever their kind; each case is judged as if alone."""
    cases = [
        case((1, 3), None, Method.EXACT),
        case((2,), certain(2), Method.TLI),
        case((), None, Method.OFF),
        case((1,), PsiEvidence((0.5,)), Method.SLRS),
        case((0,), certain(0), Method.REJECTION),
    ]
    expected = [(1, (1, 2)), (1, (2, 1)), (0, (3,)), (1, (1, 0)), (0, (3,))]
    judgements = judge([1, 2, 0, 2, 1, 3, 1, 0, 3, 0], *cases)
    assert [(judgement.accepted, judgement.tokens) for judgement in judgements] == expected


def test_exact_draws_do_not_depend_on_the_company() -> None:
    """The same token alone and beside another method."""
    logits = torch.tensor([[0.1, 0.5, 0.2, 0.3]] * 3)
    exact, other = case((), None, Method.EXACT, HOT), case((1,), certain(1), Method.TLI, HOT)
    assert judge(logits, exact, other)[0] == judge(logits[:1], exact)[0]


def test_many_cases_are_judged_in_blocks() -> None:
    """More rows than the work arrays take at once."""
    cases = [case((index % 3, 3), certain(index % 3, 3), Method.TLI) for index in range(9)]
    rows = [token for index in range(9) for token in (index % 3, (index + 1) % 4, 0)]
    sampler = Sampler(TABLE, "cpu", 4)
    sampler.block_rows = 4
    assert Judge(sampler).judge(PREFERS[rows], cases) == judge(rows, *cases)


def test_a_draft_of_an_id_without_a_row_is_rejected() -> None:
    """The model cannot say it, so its probability is 0; the vocabulary may have more ids than the head."""
    logits = torch.tensor([[0.0, 2.0, 1.0]] * 2)
    tli = case((3,), certain(3), Method.TLI, HOT)
    slrs = case((3,), PsiEvidence((0.9,)), Method.SLRS, HOT)
    (first,) = judge(logits, tli, vocab_rows=3)
    (second,) = judge(logits, slrs, vocab_rows=3)
    assert first.accepted == second.accepted == 0
    assert first.tokens[0] in (0, 1, 2)


def test_padding_is_never_said() -> None:
    """Rows beyond the vocabulary are not tokens, whatever their logits."""
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0, 99.0, math.inf]] * 2)
    for params in (GREEDY, HOT):
        (judgement,) = judge(logits, case((1,), certain(1), Method.TLI, params), vocab_rows=6)
        assert all(token < 4 for token in judgement.tokens)


def test_a_token_outside_the_processed_distribution_is_rejected() -> None:
    """Top-k leaves it no probability, though the model gives it some."""
    top = SamplingParams(temperature=1.0, top_k=1)
    assert judge([1, 2], case((2,), certain(2), Method.TLI, top)) == [Judgement(0, (1,))]


def test_a_draft_is_judged_under_the_penalties_of_its_own_tokens() -> None:
    """The penalty for the first draft token keeps the second row from repeating it."""
    penalised = SamplingParams(presence_penalty=9.0)
    assert judge([1, 1, 1], case((1, 1), certain(1, 1), Method.TLI, penalised)) == [Judgement(1, (1, 0))]


def test_logprobs_come_with_every_committed_token() -> None:
    """Those of the target's processed distribution, whichever way the token came."""
    params = SamplingParams(temperature=1.0, top_k=2, logprobs=1)
    logits = torch.tensor([[0.0, 3.0, 1.0, -1.0], [2.0, 0.0, 1.0, -1.0]])
    evidence = ProposalEvidence((SparseDistribution((0, 1), (0.875, 0.125)),))
    (judgement,) = judge(logits, case((1,), evidence, Method.TLI, params))
    law = torch.log_softmax(torch.tensor([[3.0, 1.0], [2.0, 1.0]], dtype=torch.float64), -1)
    assert judgement.accepted == 1
    assert math.isclose(judgement.logprobs[0].chosen, float(law[0, 0]), rel_tol=1e-12)
    chosen = {0: float(law[1, 0]), 2: float(law[1, 1])}[judgement.tokens[1]]
    assert math.isclose(judgement.logprobs[1].chosen, chosen, rel_tol=1e-12)
    assert [entry.top[0][0] for entry in judgement.logprobs] == [1, 0]


def test_a_recovered_string_token_has_its_logprobs() -> None:
    """They wait with the residual; accepted tokens have theirs at once."""
    params = SamplingParams(logprobs=1)
    (judgement,) = judge([1, 3, 0], case((1, 2), PsiEvidence((0.5, 0.5)), Method.SLRS, params))
    assert [entry.top[0][0] for entry in judgement.logprobs] == [1]
    assert judgement.residual is not None
    recovered = judgement.residual.answer([0.0])
    assert recovered is not None
    assert recovered.logprobs is not None
    assert recovered.logprobs.top[0][0] == 3


@pytest.mark.parametrize(
    ("draft", "terms", "method"),
    [
        ((1,), None, Method.TLI),
        ((1,), PsiEvidence((0.5,)), Method.REJECTION),
        ((1,), certain(1), Method.SLRS),
        ((1,), certain(2), Method.TLI),
        ((1, 2), certain(1), Method.TLI),
        ((1,), PsiEvidence((0.0,)), Method.SLRS),
        ((), PsiEvidence((0.5,)), Method.SLRS),
    ],
)
def test_evidence_that_is_not_the_drafts_is_refused(draft: tuple[int, ...], terms: Evidence, method: Method) -> None:
    """No evidence, that of another method, or that of another draft."""
    with pytest.raises(MalformedBlockError):
        judge([0] * (1 + len(draft)), case(draft, terms, method))


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    """It has no meaning, so it cannot be judged."""
    with pytest.raises(InvalidTokenError):
        judge([0, 0], case((4,), certain(4), Method.TLI))


def test_logits_that_are_not_finite_are_refused() -> None:
    """No distribution can be made of them."""
    with pytest.raises(InternalError):
        judge(torch.full((1, 4), math.nan), case((), None, Method.TLI, HOT))


def test_judging_changes_neither_history_nor_logits_nor_evidence() -> None:
    """A batch that fails may be judged again, case by case."""
    logits = torch.tensor([[0.0, 2.0, 1.0, 0.0]] * 4)
    kept = logits.clone()
    evidence = ProposalEvidence((SparseDistribution((1, 2), (0.5, 0.5)),))
    cases = [case((1,), evidence, Method.TLI, HOT), case((2,), PsiEvidence((0.9,)), Method.SLRS, HOT)]
    first = judge(logits, *cases)
    assert [(j.accepted, j.tokens) for j in judge(logits, *cases)] == [(j.accepted, j.tokens) for j in first]
    assert logits.tolist() == kept.tolist()
    assert all(len(each.history) == 0 for each in cases)
