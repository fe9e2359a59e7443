"""What a verifier refuses, and why."""

from __future__ import annotations

import dataclasses
import math

import pytest

from draftmesh.core.endpoint import VerifierInfo
from draftmesh.core.errors import (
    DraftmeshError,
    InvalidRequestError,
    InvalidTokenError,
    MalformedBlockError,
    PromptEmptyError,
    PromptTooLongError,
    StateError,
    UnsupportedError,
    UnsupportedMethodError,
)
from draftmesh.core.evidence import Evidence, ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import VerifyOpen, VerifyRound
from draftmesh.decoding.judge import SUPPORTED_METHODS
from draftmesh.verifier.admission import METHODS, check_open, check_round

INFO = VerifierInfo(
    model="tiny",
    target_digest=b"target",
    vocabulary_digest=b"",
    tokenizer_digest=b"",
    methods=METHODS,
    max_context_tokens=100,
    max_draft_tokens=4,
    max_sessions=1,
)
GOOD = VerifyOpen(
    session_id="s",
    fence=Fence(),
    prompt_ids=(1, 2, 3),
    committed_ids=(),
    sampling=SamplingParams(),
    stop=StopConditions(max_tokens=97),
    noise_key=NoiseKey(bytes(16)),
    method=Method.EXACT,
)


@pytest.mark.parametrize("method", METHODS)
def test_good_open_is_taken(method: Method) -> None:
    """A session that fills the context exactly is taken, by every offered method."""
    check_open(dataclasses.replace(GOOD, method=method, target_digest=b"target"), INFO, vocabulary_size=10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"prompt_ids": ()}, PromptEmptyError, "no tokens"),
        ({"prompt_ids": (1, 10)}, InvalidTokenError, "prompt id 10"),
        ({"committed_ids": (11,)}, InvalidTokenError, "committed id 11"),
        ({"prompt_ids": (1, 2, 3, 4)}, PromptTooLongError, "context of 100"),
        ({"stop": StopConditions(max_tokens=101)}, InvalidRequestError, "max_tokens"),
        ({"stop": StopConditions(max_tokens=0)}, InvalidRequestError, "max_tokens"),
        ({"stop": StopConditions(max_tokens=1, stop=(b"",))}, InvalidRequestError, "stop string"),
        ({"sampling": SamplingParams(temperature=-1)}, InvalidRequestError, "temperature"),
        ({"sampling": SamplingParams(temperature=math.nan)}, InvalidRequestError, "temperature"),
        ({"sampling": SamplingParams(top_p=0)}, InvalidRequestError, "top_p"),
        ({"noise_key": NoiseKey(b"short")}, InvalidRequestError, "16 bytes"),
        ({"noise_key": NoiseKey(bytes(16), version=2)}, UnsupportedError, "version 2"),
        ({"method": Method.AUTO}, UnsupportedMethodError, "method auto is not offered"),
        ({"target_digest": b"other!"}, StateError, f"{b'other!'.hex()}.*{b'target'.hex()}"),
    ],
)
def test_bad_open_is_refused(change: dict[str, object], error: type[DraftmeshError], message: str) -> None:
    """Each field of an Open that is wrong is refused by an error that names it."""
    with pytest.raises(error, match=message):
        check_open(dataclasses.replace(GOOD, **change), INFO, vocabulary_size=10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("draft", "method", "error", "message"),
    [
        ((1, 2, 3, 4, 5), Method.EXACT, InvalidRequestError, "at most 4 tokens"),
        ((1, 10), Method.EXACT, InvalidTokenError, "draft id 10"),
        ((1,), Method.OFF, InvalidRequestError, "method is off"),
        ((1,), Method.TLI, MalformedBlockError, "method tli needs the proposal"),
        ((1,), Method.SLRS, MalformedBlockError, "method slrs needs ψ"),
    ],
)
def test_bad_round_is_refused(
    draft: tuple[int, ...], method: Method, error: type[DraftmeshError], message: str
) -> None:
    """A draft that is too long, not of the vocabulary, or not wanted is refused."""
    with pytest.raises(error, match=message):
        check_round(VerifyRound(1, TokenPrefix(), draft), method, INFO, vocabulary_size=10)


TABLE = ProposalEvidence((SparseDistribution((1, 2), (0.25, 0.75)),))


@pytest.mark.parametrize(
    ("draft", "method", "evidence", "message"),
    [
        ((1,), Method.EXACT, TABLE, "exact takes no evidence"),
        ((), Method.TLI, PsiEvidence((), missing_next=True), "method tli needs"),
        ((1,), Method.SLRS, TABLE, "method slrs needs"),
        ((1, 2), Method.TLI, TABLE, "1 positions for 2 draft tokens"),
        ((3,), Method.REJECTION, TABLE, "outside its own distribution"),
        ((1,), Method.TLI, ProposalEvidence((SparseDistribution((1, 10), (0.5, 0.5)),)), "outside the vocabulary"),
        ((1,), Method.TLI, ProposalEvidence((SparseDistribution((1,), (math.nan,)),)), "outside"),
        ((1,), Method.SLRS, PsiEvidence((0.0,)), "ψ of draft token 0"),
    ],
)
def test_evidence_that_contradicts_is_refused(
    draft: tuple[int, ...], method: Method, evidence: Evidence, message: str
) -> None:
    """Evidence must be of the method's kind and agree with the draft."""
    with pytest.raises(MalformedBlockError, match=message):
        check_round(VerifyRound(1, TokenPrefix(), draft, evidence), method, INFO, vocabulary_size=10)


@pytest.mark.parametrize("method", METHODS)
def test_round_without_a_draft_needs_no_evidence(method: Method) -> None:
    """Free runs are taken by every method."""
    check_round(VerifyRound(1, TokenPrefix(), free_run=5), method, INFO, vocabulary_size=10)


@pytest.mark.parametrize("draft", [(), (1,)])
def test_free_run_after_a_block_of_slrs_is_refused(draft: tuple[int, ...]) -> None:
    """The position after a block belongs to the next one, be the block but a missing proposal."""
    evidence = PsiEvidence((0.5,) * len(draft), missing_next=True)
    check_round(VerifyRound(1, TokenPrefix(), draft, evidence), Method.SLRS, INFO, vocabulary_size=10)
    with pytest.raises(InvalidRequestError, match="no free run may follow"):
        check_round(VerifyRound(1, TokenPrefix(), draft, evidence, 1), Method.SLRS, INFO, vocabulary_size=10)


def test_every_offered_method_can_be_judged() -> None:
    """What a verifier offers is what the judge supports."""
    assert set(METHODS) == SUPPORTED_METHODS


def test_good_round_is_taken() -> None:
    """A draft of the greatest length is taken."""
    check_round(VerifyRound(1, TokenPrefix(), (1, 2, 3, 9)), Method.EXACT, INFO, vocabulary_size=10)
