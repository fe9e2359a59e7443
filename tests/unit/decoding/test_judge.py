"""The engine's batch entry."""

from __future__ import annotations

import pytest
import torch

from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import History
from draftmesh.decoding.judge import SUPPORTED_METHODS, Case, Judge, Judgement, require_supported
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.decoding.sampler import Sampler
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([b"a", b"b", b"c", Role.EOS])
PREFERS = torch.eye(4)  # row i prefers token i


def history(params: SamplingParams | None = None) -> History:
    """A fresh sequence."""
    return History(TABLE, params or SamplingParams(), mint_noise_key(1, [0]), [0])


def judge() -> Judge:
    """A judge of the table's logits."""
    return Judge(Sampler(TABLE, "cpu", len(TABLE)))


def test_rows_belong_to_cases_in_order() -> None:
    """One batch holds a draft with a mismatch, a free run, and a draft that matches whole."""
    cases = [
        Case(history(), (1, 3)),
        Case(history(), (), Method.OFF),
        Case(history(), (2,), Method.TLI_EXACT),
    ]
    judgements = judge().judge(PREFERS[[1, 2, 0, 3, 2, 0]], cases)
    assert judgements == [Judgement(1, (1, 2)), Judgement(0, (3,)), Judgement(1, (2, 0))]


def test_logprobs_come_with_each_committed_token_alone() -> None:
    """Rows after the mismatch are not reported."""
    case = Case(history(SamplingParams(logprobs=1)), (1, 3, 0))
    (judgement,) = judge().judge(PREFERS[[1, 2, 0, 3]], [case])
    assert [entry.top[0][0] for entry in judgement.logprobs] == [1, 2]


def test_a_draft_is_judged_under_the_penalties_of_its_own_tokens() -> None:
    """The penalty for the first draft token keeps the second row from repeating it."""
    case = Case(history(SamplingParams(presence_penalty=9.0)), (1, 1))
    (judgement,) = judge().judge(PREFERS[[1, 1, 1]], [case])
    assert judgement == Judgement(1, (1, 0))


def test_judging_leaves_the_history_alone() -> None:
    """The engine commits; the judge does not."""
    case = Case(history(), (1,))
    judge().judge(PREFERS[[1, 2]], [case])
    assert len(case.history) == 0


@pytest.mark.parametrize("method", sorted(set(Method) - SUPPORTED_METHODS))
def test_methods_that_cannot_be_judged_are_refused(method: Method) -> None:
    """Both the check beforehand and the batch itself refuse them, by name."""
    with pytest.raises(UnsupportedMethodError, match=method.label):
        require_supported(method)
    with pytest.raises(UnsupportedMethodError, match=method.label):
        judge().judge(PREFERS[[1]], [Case(history(), (), method)])
