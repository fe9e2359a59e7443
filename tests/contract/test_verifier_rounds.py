"""Rounds over real gRPC on a tiny real target: whatever is drafted, the text is the target's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.sampling import FinishReason, Method, SamplingParams
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, VerifyOpen
from draftmesh.tokenization.vocabulary import Vocabulary
from tests.helpers.tiny_models import whole_logits
from tests.helpers.verifier_bench import PROMPT, VerifierBench, opening, tiny_target, tiny_weights, verifier_bench

GREEDY = SamplingParams()
SAMPLED = SamplingParams(temperature=0.8, top_p=0.95, top_k=100)
PENALISED = SamplingParams(
    temperature=1.0, repetition_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.2, min_p=0.02
)
SAMPLINGS = pytest.mark.parametrize("sampling", [GREEDY, SAMPLED, PENALISED], ids=["greedy", "sampled", "penalised"])


def spoiled(draft: Sequence[int], rng: random.Random) -> list[int]:
    """A draft with one token, perhaps, replaced by another."""
    draft = list(draft)
    if draft and rng.random() < 0.6:
        position = rng.randrange(len(draft))
        draft[position] = (draft[position] + 1) % 700
    return draft


async def drafted(bench: VerifierBench, request: VerifyOpen, truth: Sequence[int], rng: random.Random) -> list[int]:
    """A whole generation with right, partly right and wrong drafts, and free runs between."""
    async with bench.session(request) as session:
        while session.said.finish_reason is None:
            start = len(session.ids)
            await session.judge(spoiled(truth[start : start + rng.randrange(9)], rng), free_run=rng.choice((0, 0, 3)))
        return session.ids


@SAMPLINGS
async def test_text_does_not_depend_on_the_drafts(sampling: SamplingParams) -> None:
    """With right, partly right and wrong drafts the committed ids are those of the target alone."""
    async with verifier_bench() as bench:
        alone = await bench.alone(opening(sampling=sampling))
        ids = await drafted(bench, opening(sampling=sampling), alone.ids, random.Random(1))
        assert ids == alone.ids


async def test_greedy_text_is_the_models_own() -> None:
    """Without a draft the verifier says what a plain transformers forward of the same weights says."""
    plain = tiny_weights()
    async with verifier_bench() as bench:
        said = await bench.alone(opening(max_tokens=12))
        ids = list(PROMPT)
        for _ in said.ids:
            ids.append(int(whole_logits(plain, ids)[-1, : tiny_target().vocabulary_size].argmax()))
        assert ids[len(PROMPT) :] == said.ids


async def test_sampled_text_depends_on_the_noise_key() -> None:
    """Another noise key gives another text, the same one the same text."""
    async with verifier_bench() as bench:
        said = [(await bench.alone(opening(sampling=SAMPLED, noise=noise))).ids for noise in (1, 2, 1)]
        assert said[0] == said[2] != said[1]


async def test_right_draft_is_accepted_in_one_step() -> None:
    """A round whose draft is right commits it and one token more, in one batch of that many rows."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening()) as session:
            await session.judge(truth[:1])
            (verdict,) = await session.judge(truth[2:7])
            assert (verdict.accepted, list(verdict.tokens), verdict.batch_rows) == (5, truth[2:8], 6)


async def test_wrong_draft_costs_nothing_but_its_rows() -> None:
    """A round whose first draft token is wrong commits the one token that the target says instead."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening()) as session:
            (verdict,) = await session.judge([(truth[0] + 1) % 700, *truth[1:4]])
            assert (verdict.accepted, list(verdict.tokens)) == (0, truth[:1])


async def test_rounds_can_be_sent_ahead() -> None:
    """A round sent before its predecessor's verdict runs when it assumed the right tokens, and is stale otherwise."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening()) as session:
            await session.ask(truth[:3], base=[])
            await session.ask(truth[4:7], base=truth[:4])
            await session.ask(truth[8:9], base=[*truth[:7], (truth[7] + 1) % 700])
            verdicts = [await session.hear() for _ in range(3)]
            assert [(v.round, v.status, v.base.length, len(v.tokens)) for v in verdicts] == [
                (1, RoundStatus.DONE, 0, 4),
                (2, RoundStatus.DONE, 4, 4),
                (3, RoundStatus.STALE, 8, 0),
            ]


async def test_free_run_gives_way_to_a_matching_round() -> None:
    """A round that follows what a free run will say ends the free run there, and the text stays the target's."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening(max_tokens=200))).ids
        async with bench.session(opening(max_tokens=200)) as session:
            await session.ask(free_run=200, base=[])
            await session.ask(truth[120:128], base=truth[:120])
            verdicts = [await session.hear()]
            while verdicts[-1].round == 1:
                verdicts.append(await session.hear())
            assert [(v.round, v.base.length + len(v.tokens)) for v in verdicts if v.final] == [(1, 120), (2, 129)]
            assert (verdicts[-1].accepted, session.ids) == (8, truth[:129])


async def test_repeated_round_is_answered_again() -> None:
    """The verdict of a round that is asked again is word for word the first one."""
    async with verifier_bench() as bench, bench.session(opening()) as session:
        request = await session.ask((1, 2, 3))
        first = await session.stream.receive()
        await session.stream.send(request)
        assert await session.stream.receive() == first


@SAMPLINGS
@pytest.mark.parametrize("cut", [1, 13, 39])
async def test_session_goes_on_elsewhere(sampling: SamplingParams, cut: int) -> None:
    """A session opened with committed ids on another verifier of the same target ends as it would have here."""
    async with verifier_bench() as bench, verifier_bench() as other:
        alone = await bench.alone(opening(sampling=sampling))
        digest = bench.running.info.target_digest
        moved = opening(sampling=sampling, committed=alone.ids[:cut], target_digest=digest)
        rest = await other.alone(moved)
        assert (rest.ids, rest.finish_reason, rest.text_length) == (
            alone.ids,
            alone.finish_reason,
            alone.text_length,
        )


@pytest.mark.parametrize("prompt", [(1, 3), (3, 3), (4, 3), (5, 3)])
async def test_end_token_ends_the_generation(prompt: tuple[int, ...]) -> None:
    """The end token is committed, nothing follows it, and it is not part of the text."""
    async with verifier_bench() as bench:
        request = opening(prompt=prompt, ignore_eos=False)
        ignoring = await bench.alone(opening(prompt=prompt))
        end = next(i for i, token in enumerate(ignoring.ids) if token in vocabulary().terminal_ids)
        ids = await drafted(bench, request, ignoring.ids, random.Random(2))
        said = await bench.alone(request)
        assert ids == said.ids == ignoring.ids[: end + 1]
        assert (said.finish_reason, said.text_length) == (FinishReason.EOS, len(text_of(ids)))


async def test_end_token_inside_a_draft_is_the_last_one() -> None:
    """A draft that goes on after an accepted end token is cut there: no bonus token."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening(prompt=(3, 3)))).ids
        end = next(i for i, token in enumerate(truth) if token in vocabulary().terminal_ids)
        async with bench.session(opening(prompt=(3, 3), ignore_eos=False)) as session:
            (verdict,) = await session.judge(truth[: end + 3])
            assert (verdict.accepted, list(verdict.tokens)) == (end + 1, truth[: end + 1])
            assert verdict.finish_reason is FinishReason.EOS


async def test_stop_string_ends_the_generation() -> None:
    """The text ends before the first stop string, even one that spans tokens, and however it was drafted."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        text = text_of(truth)
        boundary = len(text_of(truth[:20]))
        stop = text[boundary - 1 : boundary + 1]
        request = opening(stop=(stop, b"never said"))
        said = await bench.alone(request)
        assert (said.finish_reason, said.text_length) == (FinishReason.STOP, text.index(stop))
        assert await drafted(bench, opening(stop=(stop, b"never said")), truth, random.Random(3)) == said.ids


@pytest.mark.parametrize("max_tokens", [1, 2, 9])
async def test_max_tokens_ends_the_generation(max_tokens: int) -> None:
    """max_tokens cuts in the middle of a draft and says so; a later round is stale and says so too."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening())).ids
        async with bench.session(opening(max_tokens=max_tokens)) as session:
            verdicts = await session.judge(truth[:8], free_run=30)
            late = (await session.judge(truth[:1]))[0]
            assert session.ids == truth[:max_tokens]
            assert (late.status, late.finish_reason) == (RoundStatus.STALE, FinishReason.LENGTH)
            assert verdicts[-1].text_length == late.text_length == len(text_of(truth[:max_tokens]))


async def test_generation_can_fill_the_context() -> None:
    """A session may use the model's whole context, with drafts up to its very end."""
    async with verifier_bench() as bench:
        request = opening(max_tokens=bench.running.info.max_context_tokens - len(PROMPT))
        alone = await bench.alone(request)
        again = opening(max_tokens=request.stop.max_tokens)
        assert await drafted(bench, again, alone.ids, random.Random(4)) == alone.ids
        assert len(alone.ids) == request.stop.max_tokens


async def test_sessions_share_batches_and_keep_their_texts() -> None:
    """Sessions that run at the same time each say what they would have said alone."""
    async with verifier_bench() as bench:
        prompts = [(n, n + 1, n + 2) for n in range(6)]
        alone = [(await bench.alone(opening(prompt=prompt, sampling=SAMPLED))).ids for prompt in prompts]
        together = await asyncio.gather(
            *(
                drafted(bench, opening(prompt=prompt, sampling=SAMPLED), truth, random.Random(n))
                for n, (prompt, truth) in enumerate(zip(prompts, alone, strict=True))
            )
        )
        assert together == alone
        assert bench.running.stats.batch_sequences > 1


async def test_logprobs_come_with_every_token() -> None:
    """Each committed token has its log probability and those of the most likely tokens, the greedy one first."""
    async with verifier_bench() as bench:
        request = opening(sampling=SamplingParams(temperature=1.0, logprobs=3), max_tokens=6)
        async with bench.session(request) as session:
            verdicts = await session.judge((1, 2), free_run=10)
            logprobs = [entry for verdict in verdicts for entry in verdict.logprobs]
            assert len(logprobs) == len(session.ids) == 6
            assert all(len(entry.top) == 3 and entry.chosen <= entry.top[0][1] <= 0 for entry in logprobs)


async def test_tli_exact_is_judged_as_exact() -> None:
    """The verifier's part of tli-exact is that of exact."""
    async with verifier_bench() as bench:
        truth = (await bench.alone(opening(sampling=SAMPLED))).ids
        request = opening(sampling=SAMPLED, method=Method.TLI_EXACT)
        assert await drafted(bench, request, truth, random.Random(5)) == truth


async def test_ended_generation_is_not_opened() -> None:
    """Committed ids that have ended the generation are refused with the reason."""
    async with verifier_bench() as bench:
        request = opening(prompt=(3, 3), ignore_eos=False)
        said = await bench.alone(request)
        with pytest.raises(InvalidRequestError, match=r"ended \(eos\) after 5 of the 5"):
            async with bench.session(opening(prompt=(3, 3), ignore_eos=False, committed=said.ids)):
                pass


async def test_verdict_names_the_state_after_a_stale_round() -> None:
    """A stale verdict's base is what the verifier has, so that the coordinator can go on from there."""
    async with verifier_bench() as bench, bench.session(opening()) as session:
        await session.judge(free_run=3)
        await session.ask((1,), base=[1, 2])
        verdict = await session.hear()
        assert (verdict.status, verdict.base) == (RoundStatus.STALE, TokenPrefix().extend(session.ids))


def vocabulary() -> Vocabulary:
    """The target's vocabulary."""
    return tiny_target().tokenizer.vocabulary


def text_of(ids: Sequence[int]) -> bytes:
    """The bytes of some ids."""
    return vocabulary().join(ids)
