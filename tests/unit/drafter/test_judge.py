"""One step's cases of all kinds, judged together."""

from __future__ import annotations

import pytest
import torch

from draftmesh.core.errors import InternalError
from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import History
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.proposal import ProposalShape, own_choices
from draftmesh.drafter.confidence import confidences_of
from draftmesh.drafter.judge import DrawText, Propose, confidences, draft_judge, proposal_of, runners_up_of
from draftmesh.engine.judging import Case, Judgement
from draftmesh.tokenization.vocabulary import Vocabulary

VOCABULARY = Vocabulary((b"a", b"ab", b"b", b"c", b""), {4: Role.EOS})
SAMPLING = SamplingParams(temperature=1.0)
SHAPE = ProposalShape(own_choices(VOCABULARY, len(VOCABULARY), torch.device("cpu")), 3)


def history(key: int = 0) -> History:
    """An empty generation."""
    return History(VOCABULARY, SAMPLING, NoiseKey(bytes([key] * 16)), [0])


CASES = (
    Case(history(1)),
    Case(history(2), (), terms=Propose(SHAPE)),
    Case(history(3), (0, 2), terms=DrawText(1)),
    Case(history(4), (), terms=Propose(SHAPE, NoisePosition(NoiseKey(bytes(16)), 9, 1))),
    Case(history(5), (3,)),
)


def test_a_mixed_batch_is_judged_as_its_cases_alone() -> None:
    """What a case gets does not depend on its neighbours."""
    judge = draft_judge(VOCABULARY, len(VOCABULARY), "cpu")
    logits = torch.randn(8, len(VOCABULARY), generator=torch.Generator().manual_seed(1))
    alone, start = [], 0
    for case in CASES:
        rows = 1 + len(case.draft)
        alone += judge.judge(logits[start : start + rows].clone(), [case])
        start += rows
    assert judge.judge(logits.clone(), CASES) == alone


def test_position_of_the_terms_is_where_noise_is_read() -> None:
    """The same logits give different draws at different positions, and the history's own without one."""
    judge = draft_judge(VOCABULARY, len(VOCABULARY), "cpu")
    logits = torch.zeros(1, len(VOCABULARY))
    tokens = {
        judge.judge(logits, [Case(history(), (), terms=Propose(SHAPE, NoisePosition(NoiseKey(bytes(16)), offset, 0)))])[
            0
        ].tokens
        for offset in range(20)
    }
    own = judge.judge(logits, [Case(history(), (), terms=Propose(SHAPE))])[0]
    named = judge.judge(logits, [Case(history(), (), terms=Propose(SHAPE, history().position))])[0]
    assert (len(tokens) > 1, own) == (True, named)


def test_a_draft_token_has_the_probability_that_the_model_gives_it() -> None:
    """At the session's temperature, or at 1 where the likeliest token is taken; one for each token that is told."""
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    halved = (logits / 0.5).softmax(-1)
    first, second = confidences_of(logits, [0.5, 0.5], [[2, 1], [0]])
    assert first == pytest.approx([halved[0, 2].item(), halved[0, 1].item()])
    assert second == pytest.approx([halved[1, 0].item()])
    assert confidences_of(logits[:1], [0.0], [[1]])[0] == pytest.approx([logits.softmax(-1)[0, 1].item()])


def test_every_token_that_is_told_has_its_confidence() -> None:
    """Of texts and of proposals, redrawn ones among them."""
    judge = draft_judge(VOCABULARY, len(VOCABULARY), "cpu")
    logits = torch.randn(8, len(VOCABULARY), generator=torch.Generator().manual_seed(1))
    for judgement in judge.judge(logits, CASES):
        assert len(confidences(judgement)) == len(judgement.tokens) > 0
        assert all(0.0 < confidence <= 1.0 for confidence in confidences(judgement))


def test_runners_up_are_of_the_token_that_follows_the_whole_draft() -> None:
    """As many as a case asks for, in the order of its noise; none where the draft is not what would be drawn."""
    judge = draft_judge(VOCABULARY, len(VOCABULARY), "cpu")
    greedy = History(VOCABULARY, SamplingParams(), NoiseKey(bytes(16)), [0])
    logits = torch.tensor([[0.0, 2.0, 1.0, 3.0, -1.0], [0.5, 0.0, 4.0, 1.0, 3.0]])
    cases = [Case(greedy, (3,), terms=DrawText(runners_up=2)), Case(greedy, (1,), terms=DrawText(runners_up=2))]
    whole, parted = judge.judge(logits.repeat(2, 1), cases)
    law = logits.softmax(-1)
    assert [one.token for one in runners_up_of(whole)] == [4, 3]
    assert [one.confidence for one in runners_up_of(whole)] == pytest.approx([law[1, 4].item(), law[1, 3].item()])
    assert confidences(whole) == pytest.approx([law[0, 3].item(), law[1, 2].item()])
    assert (whole.tokens, parted.tokens, runners_up_of(parted)) == ((3, 2), (3,), ())


def test_judgement_without_confidences_is_a_bug() -> None:
    """Who asks a drafter's judge gets them."""
    with pytest.raises(InternalError):
        confidences(Judgement(0, (1,)))


def test_judgement_without_a_proposal_is_a_bug() -> None:
    """Who asks for a proposal gets one."""
    with pytest.raises(InternalError):
        proposal_of(Judgement(0, (1,)))
