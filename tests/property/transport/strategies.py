"""Core values of every kind, for round trips through the codec."""

from __future__ import annotations

from hypothesis import strategies as st

from draftmesh.core.draft import Block, Commit, DraftExtent, DraftOpen, Evaluate, Evaluated
from draftmesh.core.endpoint import CostPoint, DrafterInfo, LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import Item, Role, TextPrefix, TokenPrefix, join_items
from draftmesh.core.verify import (
    PsiQuery,
    PsiReply,
    RoundStatus,
    RoundTimings,
    TokenLogprobs,
    Verdict,
    VerifyOpen,
    VerifyRound,
)
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.codec_draft import DraftOpened
from draftmesh.transport.codec_verify import VerifyOpened
from draftmesh.transport.codec_vocabulary import RegisteredVocabulary

u32 = st.integers(0, (1 << 32) - 1)
u64 = st.integers(0, (1 << 64) - 1)
counts = st.integers(1, (1 << 63))
ids = st.lists(u32, max_size=8).map(tuple)
some_ids = st.lists(u32, min_size=1, max_size=8).map(tuple)
finite = st.floats(allow_nan=False, allow_infinity=False)
digests = st.binary(max_size=32)
names = st.text(max_size=12)

fences = st.builds(Fence, counts, counts)
roles = st.sampled_from(Role)
methods = st.sampled_from([method for method in Method if method is not Method.AUTO])
method_tuples = st.lists(methods, max_size=4).map(tuple)
tokens: st.SearchStrategy[Item] = st.binary(min_size=1, max_size=6) | roles
items = st.lists(tokens, max_size=8).map(join_items)
text_prefixes = st.builds(TextPrefix, u64, u64)
token_prefixes = st.builds(TokenPrefix, u64, u64)
noise_keys = st.builds(NoiseKey, st.binary(min_size=16, max_size=16), st.integers(1, 9))

samplings = st.builds(
    SamplingParams,
    temperature=st.floats(0, 100),
    top_k=st.integers(0, 1 << 31),
    top_p=st.floats(0, 1, exclude_min=True),
    min_p=st.floats(0, 1, exclude_max=True),
    repetition_penalty=st.floats(0, 100, exclude_min=True),
    presence_penalty=st.floats(-100, 100),
    frequency_penalty=st.floats(-100, 100),
    logprobs=st.none() | st.integers(0, 20),
)
stops = st.builds(
    StopConditions,
    max_tokens=st.integers(1, 1 << 31),
    stop=st.lists(st.binary(min_size=1, max_size=9), max_size=4).map(tuple),
    ignore_eos=st.booleans(),
)
psis = st.lists(st.floats(0, 1), max_size=6).map(tuple)


@st.composite
def sparse_distributions(draw: st.DrawFn) -> SparseDistribution:
    """Powers of two that add up to 1, which single precision holds exactly."""
    support = draw(st.lists(u32, min_size=1, max_size=6, unique=True))
    halves = [2.0**-n for n in range(1, len(support))]
    return SparseDistribution(tuple(support), (*halves, 2.0 ** -(len(support) - 1)))


def psi_evidence(size: int) -> st.SearchStrategy[PsiEvidence]:
    """ψ of so many tokens, after which something may be missing."""
    values = st.lists(st.floats(0, 1), min_size=size, max_size=size).map(tuple)
    return st.builds(PsiEvidence, values, st.booleans())


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Blocks whose target ids and evidence fit their tokens."""
    drafted = tuple(draw(st.lists(tokens, max_size=6)))
    size = len(drafted)
    positions = st.lists(sparse_distributions(), min_size=size, max_size=size)
    proposal = positions.map(lambda drawn: ProposalEvidence(tuple(drawn)))
    return Block(
        commit_seq=draw(u64),
        start=draw(text_prefixes),
        items=drafted,
        paused=draw(st.booleans()),
        target_ids=draw(st.just(()) | st.lists(u32, min_size=size, max_size=size).map(tuple)),
        evidence=draw(st.none() | proposal | psi_evidence(size)),
    )


@st.composite
def rounds(draw: st.DrawFn) -> VerifyRound:
    """Rounds whose evidence fits their draft."""
    draft = draw(ids)
    size = len(draft)
    positions = st.lists(sparse_distributions(), min_size=size, max_size=size)
    return VerifyRound(
        round=draw(counts),
        base=draw(token_prefixes),
        draft_ids=draft,
        evidence=draw(st.none() | positions.map(lambda drawn: ProposalEvidence(tuple(drawn))) | psi_evidence(size)),
        free_run=draw(u32),
    )


logprobs = st.builds(TokenLogprobs, finite, st.lists(st.tuples(u32, finite), max_size=4).map(tuple))


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """Verdicts that do not contradict themselves."""
    committed = draw(ids)
    size = len(committed)
    finish_reason = draw(st.none() | st.sampled_from(FinishReason))
    return Verdict(
        round=draw(counts),
        status=RoundStatus.DONE if committed else draw(st.sampled_from(RoundStatus)),
        base=draw(token_prefixes),
        accepted=draw(st.integers(0, size)),
        tokens=committed,
        finish_reason=finish_reason,
        text_length=None if finish_reason is None else draw(u64),
        logprobs=draw(st.just(()) | st.lists(logprobs, min_size=size, max_size=size).map(tuple)),
        final=draw(st.booleans()),
        timings=RoundTimings(draw(finite), draw(finite), draw(finite)),
        batch_sequences=draw(u32),
        batch_rows=draw(u32),
    )


session_ids = st.text(min_size=1, max_size=128)
extents = st.builds(DraftExtent, u32, st.floats(0.0, 1.0, width=32), u32, u32)
draft_opens = st.builds(
    DraftOpen,
    session_id=session_ids,
    fence=fences,
    context=items,
    committed=items,
    sampling=samplings,
    noise_key=noise_keys,
    method=methods,
    max_ahead_tokens=u32,
    target_vocabulary_digest=digests,
    first_extent=extents,
)
draft_requests = (
    draft_opens
    | st.builds(Commit, counts, u64, items, extents)
    | st.builds(Evaluate, u64, text_prefixes, st.lists(some_ids, max_size=4).map(tuple))
)
draft_responses = (
    st.builds(DraftOpened, digests, u32, st.booleans())
    | blocks()
    | st.builds(Evaluated, u64, psis)
    | st.builds(Draining, u32)
)
verify_opens = st.builds(
    VerifyOpen,
    session_id=session_ids,
    fence=fences,
    prompt_ids=some_ids,
    committed_ids=ids,
    sampling=samplings,
    stop=stops,
    noise_key=noise_keys,
    method=methods,
    target_digest=digests,
)
verify_requests = verify_opens | rounds() | st.builds(PsiReply, u64, psis)
verify_responses = (
    st.builds(VerifyOpened, digests, u32)
    | verdicts()
    | st.builds(PsiQuery, u64, token_prefixes, ids)
    | st.builds(Draining, u32)
)
loads = st.builds(
    LoadReport,
    draining=st.booleans(),
    active_sessions=u32,
    max_sessions=u32,
    waiting_sequences=u32,
    kv_blocks_free=u32,
    kv_blocks_total=u32,
    batch_sequences=finite,
    token_budget=u32,
    costs=st.lists(st.builds(CostPoint, u32, finite), max_size=4).map(tuple),
)
drafter_infos = st.builds(
    DrafterInfo,
    name=names,
    digest=digests,
    vocabulary_digest=digests,
    methods=method_tuples,
    max_context_tokens=u32,
    max_ahead_tokens=u32,
    max_sessions=u32,
    parameters=u64,
    tokenizer_family=names,
)
verifier_infos = st.builds(
    VerifierInfo,
    model=names,
    target_digest=digests,
    vocabulary_digest=digests,
    tokenizer_digest=digests,
    methods=method_tuples,
    max_context_tokens=u32,
    max_draft_tokens=u32,
    max_sessions=u32,
    parameters=u64,
    dtype=names,
    device=names,
)
tokenizer_files = st.lists(
    st.builds(TokenizerFile, st.from_regex(r"[a-z]{1,8}\.json", fullmatch=True), st.binary(max_size=20)),
    max_size=4,
    unique_by=lambda file: file.name,
).map(tuple)


@st.composite
def vocabularies(draw: st.DrawFn) -> RegisteredVocabulary:
    """Tokens with bytes, holes, and special tokens with and without a role."""
    ordinary = st.tuples(st.binary(max_size=4), st.none(), st.just(False))
    special = st.tuples(st.just(b""), st.none() | roles, st.just(True))
    tokens = draw(st.lists(ordinary | special, min_size=1, max_size=9))
    return RegisteredVocabulary(
        draw(st.binary(min_size=1, max_size=32)),
        tuple(text for text, _, _ in tokens),
        tuple(role for _, role, _ in tokens),
        frozenset(token for token, (_, _, is_special) in enumerate(tokens) if is_special),
    )
