"""Rounds of the methods that test ratios, over real gRPC: evidence goes in, questions come out.

At temperature 0 the target's law leaves no choice, so every method must say the greedy text whatever is drafted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.evidence import ProposalEvidence, PsiEvidence, SparseDistribution
from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import PsiQuery, PsiReply, RoundStatus, Verdict
from tests.helpers.verifier_bench import SessionBench, opening, verifier_bench


def certain(draft: Sequence[int]) -> ProposalEvidence:
    """Each token was proposed with probability 1."""
    return ProposalEvidence(tuple(SparseDistribution((token,), (1.0,)) for token in draft))


def other(token: int) -> int:
    """Another token."""
    return (token + 1) % 700


def spoiled(draft: Sequence[int], rng: random.Random) -> list[int]:
    """A draft with one token, perhaps, replaced by another."""
    position = rng.randrange(2 * max(1, len(draft)))
    return [other(token) if index == position else token for index, token in enumerate(draft)]


async def verdict_of(session: SessionBench, psi: float = 0.0) -> Verdict:
    """The verdict on a block; questions before it are answered."""
    while True:
        message = await session.stream.receive()
        if isinstance(message, PsiQuery):
            await session.reply(message, psi)
        else:
            session.ids += message.tokens
            session.said.finish_reason = message.finish_reason
            return message


@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION])
async def test_greedy_text_does_not_depend_on_the_proposals(method: Method) -> None:
    """Right, partly right and wrong proposals, and free runs between them, leave the greedy text as it is."""
    rng = random.Random(1)
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening(method=method)) as session:
            while session.said.finish_reason is None:
                start = len(session.ids)
                draft = spoiled(truth[start : start + rng.randrange(9)], rng)
                await session.judge(draft, free_run=rng.choice((0, 0, 3)), evidence=certain(draft) if draft else None)
            assert session.ids == truth


async def test_proposal_is_accepted_by_its_ratio() -> None:
    """What the target is sure of and the drafter was not is accepted; what only the drafter was sure of is not."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        unsure = SparseDistribution((truth[0], other(truth[0])), (0.25, 0.75))
        sure = SparseDistribution((other(truth[1]),), (1.0,))
        async with bench.session(opening(method=Method.TLI)) as session:
            (verdict,) = await session.judge((truth[0], other(truth[1])), evidence=ProposalEvidence((unsure, sure)))
            assert (verdict.accepted, list(verdict.tokens)) == (1, truth[:2])


async def test_seed_fixes_the_text_of_a_ratio_method() -> None:
    """The same proposals under the same noise key give the same text, under another key another one."""
    proposals = ProposalEvidence((SparseDistribution((5, 6, 7), (0.5, 0.25, 0.25)),) * 3)
    sampling = SamplingParams(temperature=1.0)
    said = []
    async with verifier_bench() as bench:
        for noise in (1, 2, 1):
            request = opening(method=Method.TLI, sampling=sampling, noise=noise, max_tokens=20)
            async with bench.session(request) as session:
                await session.judge((5, 6, 5), free_run=20, evidence=proposals)
                said.append(session.ids)
    assert said[0] == said[2] != said[1]


async def test_rest_of_proposals_that_a_free_run_has_begun_is_judged() -> None:
    """Proposals that were committed meanwhile are skipped, with their distributions."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening(method=Method.TLI)) as session:
            await session.judge(free_run=2)
            await session.ask(truth[:5], base=[], evidence=certain(truth[:5]))
            verdict = await session.hear()
            assert (verdict.base.length, verdict.accepted, list(verdict.tokens)) == (2, 3, truth[2:6])


async def test_greedy_text_does_not_depend_on_the_blocks() -> None:
    """Whole, rejected and missing blocks of slrs leave the greedy text as it is."""
    rng = random.Random(2)
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening(method=Method.SLRS)) as session:
            while session.said.finish_reason is None:
                start = len(session.ids)
                draft = spoiled(truth[start : start + rng.randrange(6)], rng)
                evidence = PsiEvidence((1.0,) * len(draft), missing_next=rng.random() < 0.5)
                await session.ask(draft, evidence=evidence)
                await verdict_of(session)
            assert session.ids == truth


async def test_rejected_block_waits_for_psi() -> None:
    """The question is about the token after the accepted ones; the answer brings one verdict with all of them."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening(method=Method.SLRS)) as session:
            await session.ask((*truth[:2], other(truth[2]), 5), evidence=PsiEvidence((1.0, 0.5, 0.5, 1.0)))
            query = await session.hear_query()
            assert query == PsiQuery(1, TokenPrefix().extend(truth[:2]), (truth[2],))
            await session.reply(query, 0.0)
            verdict = await session.hear()
            assert (verdict.accepted, list(verdict.tokens), verdict.final) == (2, truth[:3], True)


async def test_trials_that_fail_are_followed_by_others() -> None:
    """A ψ that leaves nothing of p brings a question for other tokens, and the session goes on after its answer."""
    async with verifier_bench() as bench:
        request = opening(method=Method.SLRS, sampling=SamplingParams(temperature=1.5))
        async with bench.session(request) as session:
            await session.ask((), evidence=PsiEvidence((), missing_next=True))
            first = await session.hear_query()
            await session.reply(first, 1.0)
            second = await session.hear_query()
            assert (second.query_id, second.prefix) == (2, first.prefix)
            assert not set(first.ids) & set(second.ids)
            await session.reply(second, 0.0)
            assert (await session.hear()).tokens == second.ids[:1]
            verdicts = await session.judge(free_run=3)
            assert (verdicts[0].base.length, len(session.ids)) == (1, 4)


async def test_recovered_token_has_its_logprobs() -> None:
    """Accepted and recovered tokens alike."""
    async with verifier_bench() as bench:
        request = opening(method=Method.SLRS, sampling=SamplingParams(temperature=1.0, logprobs=2))
        async with bench.session(request) as session:
            await session.ask((3, 4), evidence=PsiEvidence((1.0, 1.0), missing_next=True))
            verdict = await verdict_of(session)
            assert len(verdict.logprobs) == len(verdict.tokens) == verdict.accepted + 1
            assert all(entry.chosen <= entry.top[0][1] <= 0 for entry in verdict.logprobs)


async def test_block_that_lags_is_stale() -> None:
    """A block whose base has been passed is answered with the present state, right as it may be."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening(method=Method.SLRS)) as session:
            await session.judge(free_run=1)
            await session.ask(truth[:5], base=[], evidence=PsiEvidence((1.0,) * 5))
            verdict = await session.hear()
            assert (verdict.status, verdict.base.length) == (RoundStatus.STALE, 1)


async def test_round_repeated_while_it_waits_is_asked_again() -> None:
    """The question comes again word for word; either answer will do, and the second is passed over."""
    async with verifier_bench() as bench, bench.session(opening(method=Method.SLRS)) as session:
        request = await session.ask((), evidence=PsiEvidence((), missing_next=True))
        query = await session.hear_query()
        await session.stream.send(request)
        assert await session.hear_query() == query
        await session.reply(query, 0.0)
        await session.reply(query, 0.0)
        first = await session.hear()
        await session.stream.send(request)
        assert await session.stream.receive() == first


async def test_answer_of_another_length_ends_that_session_only() -> None:
    """It is refused, frees what the session held, and others go on."""
    async with verifier_bench() as bench:
        async with bench.session(opening(method=Method.SLRS)) as session:
            await session.ask((), evidence=PsiEvidence((), missing_next=True))
            query = await session.hear_query()
            async with bench.session(opening()) as bystander:
                await session.stream.send(PsiReply(query.query_id, (0.5,) * (1 + len(query.ids))))
                with pytest.raises(InvalidRequestError, match=f"got {1 + len(query.ids)} values"):
                    await session.hear()
                await bystander.judge(free_run=2)
        assert await bench.free_blocks_at_rest() == bench.running.stats.total_blocks


async def test_session_that_vanishes_with_an_open_question_leaves_nothing_behind() -> None:
    """Its blocks are free again."""
    async with verifier_bench() as bench:
        async with bench.session(opening(method=Method.SLRS)) as session:
            await session.ask((), evidence=PsiEvidence((), missing_next=True))
            await session.hear_query()
        assert await bench.free_blocks_at_rest() == bench.running.stats.total_blocks
