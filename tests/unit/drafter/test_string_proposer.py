"""The string proposer on a real engine over a small law: blocks, their ψ against enumeration, and questions for ψ."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from draftmesh.core.draft import Commit, DraftOpen, Evaluate
from draftmesh.core.errors import InvalidTokenError
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import Item, Role, TextPrefix, join_items
from draftmesh.decoding.longest_match import LongestMatch
from draftmesh.tokenization import tokenizer_from_files
from draftmesh.tokenization.vocabulary import Vocabulary
from tests.helpers.fakes_drafter import DraftStage, draft_open, draft_stage
from tests.helpers.tokenizers import files_of, small_tokenizer, tokenizer_document

TOKENIZER = small_tokenizer("gpt2")
OWN = TOKENIZER.vocabulary
SAID = tuple(token for token in range(len(OWN)) if set(OWN.token_bytes(token)) <= set(b" these"))
"""Tokens of a few letters, and the end."""

TARGET = Vocabulary((b"t", b"h", b"e", b"th", b"het", b" ", b" t", b"ese", b"eth", b"", b""), {9: Role.EOS}, {10})
"""Without a token for "s" alone, so that some drafts begin with no token."""

SUPPORT = 5
CONTEXT = b"she"


def law(seen: tuple[int, ...]) -> Tensor:
    """Random logits of a few tokens, by everything before."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr(seen).encode()))
    logits = torch.full((len(OWN),), -60.0)
    logits[list(SAID)] = 1.5 * torch.randn(len(SAID), generator=generator)
    logits[[token for token in SAID if len(OWN.token_bytes(token)) < 2]] += 1.0
    return logits


def request(ahead: int = 3, *, seed: int = 0, committed: tuple[Item, ...] = (), tokens: int = 0) -> DraftOpen:
    """An Open for blocks of ``ahead`` target tokens."""
    return draft_open(
        CONTEXT,
        method=Method.SLRS,
        sampling=SamplingParams(temperature=1.3),
        noise_key=NoiseKey(bytes([seed] * 16)),
        max_ahead_tokens=ahead,
        proposal_support=SUPPORT,
        psi_cap_bytes=3,
        committed=committed,
        committed_tokens=tokens,
    )


def play(ahead: int = 3, *, seed: int = 0, **limits: int) -> DraftStage:
    """A session whose first block is out."""
    return draft_stage(law, TOKENIZER, TARGET, request(ahead, seed=seed), **limits)


WHOLE = next(seed for seed in range(100) if len(play(3, seed=seed).last.target_ids) == 3)
"""The key of a block that has all its tokens."""


def proposal_law(base: tuple[int, ...], path: tuple[int, ...]) -> dict[int, float]:
    """The proposal's law after ``path``, from its definition: the top tokens, the canonical ones of them, rounded."""
    likeliest = torch.softmax(law((*base, *path)).double() / 1.3, -1).topk(SUPPORT)
    weights = dict(zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True))
    if path:
        pair = OWN.token_bytes(path[-1])
        canonical = {
            token: weight
            for token, weight in weights.items()
            if not OWN.token_bytes(token) or TOKENIZER.encode_bytes(pair + OWN.token_bytes(token)) == [path[-1], token]
        }
        weights = canonical or weights
    total = math.fsum(weights.values())
    rounded = {token: float(torch.tensor(weight / total, dtype=torch.float32)) for token, weight in weights.items()}
    return {token: weight / math.fsum(rounded.values()) for token, weight in rounded.items()}


def drafts(base: tuple[int, ...], count: int, depth: int = 99) -> Iterator[tuple[tuple[int, ...], bool, float]]:
    """Every draft until ``count`` target tokens are settled: they, whether ⊥ follows, and the draft's probability."""
    rule = LongestMatch(TARGET, 3)
    open_paths: list[tuple[tuple[int, ...], tuple[Item, ...], float]] = [((), (), 1.0)]
    while open_paths:
        path, items, probability = open_paths.pop()
        reading = rule.read(items, limit=count)
        if reading.missing or len(reading.ids) == count or items[-1:] == (Role.EOS,) or len(path) == depth:
            yield reading.ids, len(reading.ids) < count and items[-1:] != (Role.EOS,), probability
            continue
        for token, weight in proposal_law(base, path).items():
            open_paths.append(((*path, token), (*items, *OWN.items((token,))), probability * weight))


def brute_force(sequence: tuple[int, ...], committed: bytes = b"", depth: int = 99) -> float:
    """ψ of a sequence by enumeration of drafts of ``depth`` tokens at most."""
    base = (*TOKENIZER.encode_prompt(CONTEXT.decode()), *(TOKENIZER.encode_bytes(committed) if committed else ()))
    found = [weight for ids, _, weight in drafts(base, len(sequence), depth) if ids == sequence]
    return math.fsum(found)


@pytest.mark.parametrize("seed", range(12))
def test_psi_of_a_block_equals_enumeration(seed: int) -> None:
    """The product of the conditional values up to each token is the probability that a draft settles to these."""
    block = play(3, seed=seed).last
    evidence = block.evidence
    assert isinstance(evidence, PsiEvidence)
    for count in range(1, 1 + len(block.target_ids)):
        expected = brute_force(block.target_ids[:count])
        assert math.prod(evidence.values[:count]) == pytest.approx(expected, rel=1e-9)


def test_blocks_are_drawn_from_their_psi() -> None:
    """Over many keys the first token, or that there is none, comes as often as ψ says."""
    base = tuple(TOKENIZER.encode_prompt(CONTEXT.decode()))
    expected: dict[tuple[int, ...], float] = {}
    for ids, _, probability in drafts(base, 1):
        expected[ids] = expected.get(ids, 0.0) + probability
    draws, count = dict.fromkeys(expected, 0), 250
    for seed in range(count):
        open_request = replace(request(1), noise_key=NoiseKey(seed.to_bytes(16, "little")))
        draws[draft_stage(law, TOKENIZER, TARGET, open_request).last.target_ids] += 1
    statistic = sum((draws[ids] - count * p) ** 2 / (count * p) for ids, p in expected.items())
    assert len(expected) > 2
    assert statistic < 30.0  # χ² with at most 10 degrees of freedom: one in a thousand


def test_block_is_whole() -> None:
    """A block has the tokens that were asked for, or ends in an end or where nothing is read; and it pauses."""
    kinds = set()
    for seed in range(40):
        block = play(3, seed=seed).last
        assert isinstance(block.evidence, PsiEvidence)
        missing, ended = block.evidence.missing_next, block.items[-1:] == (Role.EOS,)
        assert block.paused
        assert missing or ended or len(block.target_ids) == 3
        assert not (missing and len(block.target_ids) == 3)
        assert block.items == TARGET.items(block.target_ids)
        kinds.add((missing, ended))
    assert kinds == {(True, False), (False, True), (False, False)}


def test_another_drafter_draws_the_same_block() -> None:
    """After an Open with the committed text, in whatever pieces, the block is the one that the first drafter drew."""
    first = play(3)
    first.session.commit(Commit(1, 0, (b"the",)))
    first.run()
    first.session.commit(Commit(2, 3, (b" ", b"t")))
    first.run()
    second = draft_stage(law, TOKENIZER, TARGET, request(3, committed=(b"th", b"e t"), tokens=3))
    assert (first.last.target_ids, first.last.evidence, first.last.start) == (
        second.last.target_ids,
        second.last.evidence,
        second.last.start,
    )


def test_another_drafter_sees_the_same_window() -> None:
    """Also where the context is full: what is left out goes by the text alone."""
    first = draft_stage(law, TOKENIZER, TARGET, request(3), context_tokens=32)
    text = b""
    for number, piece in enumerate(
        [b"the t", b"he th", b"e t", b" the ", b"tes", b"hehe", b" t t", b"he", b"e"] * 3, 1
    ):
        first.session.commit(Commit(number, len(text), (piece,)))
        first.run()
        text += piece
    second = draft_stage(law, TOKENIZER, TARGET, request(3, committed=(text,), tokens=27), context_tokens=32)
    assert first.outlet.errors == []
    assert (first.last.target_ids, first.last.evidence) == (second.last.target_ids, second.last.evidence)


def test_agreeing_commit_begins_a_new_block() -> None:
    """What was drawn is never continued: after a commit of the block's own text the next one has its own key."""
    stage = play(2, seed=3)
    block = stage.last
    text = join_items(block.items)
    stage.session.commit(Commit(1, 0, text))
    stage.run()
    assert (stage.last.commit_seq, stage.last.start) == (1, TextPrefix().extend(text))


def test_zero_byte_token_changes_the_key() -> None:
    """A commit without text is another base: over some seeds the block differs from the one before."""
    changed = 0
    for seed in range(8):
        stage = play(3, seed=seed)
        before = stage.last.target_ids
        stage.session.commit(Commit(1, 0, (b"",)))
        stage.run()
        changed += stage.last.target_ids != before
    assert changed > 0


def test_questions_are_answered_from_the_base() -> None:
    """ψ of any sequences after the base; tokens that the rule never reads have none."""
    stage = play(2)
    sequences = tuple((token,) for token in range(len(TARGET)))
    stage.session.evaluate(Evaluate(7, TextPrefix(), sequences))
    stage.run()
    answer = stage.outlet.answers[0]
    assert answer.evaluation_id == 7
    assert answer.psi == pytest.approx([brute_force(sequence) for sequence in sequences], rel=1e-9)
    assert answer.psi[10] == 0.0


def test_psi_and_what_is_missing_add_up() -> None:
    """ψ over the whole vocabulary and the probability of no token make 1."""
    stage = play(1)
    stage.session.evaluate(Evaluate(1, TextPrefix(), tuple((token,) for token in range(len(TARGET)))))
    stage.run()
    base = tuple(TOKENIZER.encode_prompt(CONTEXT.decode()))
    missing = math.fsum(weight for ids, is_missing, weight in drafts(base, 1) if is_missing and not ids)
    assert sum(stage.outlet.answers[0].psi) + missing == pytest.approx(1.0, abs=1e-12)


def test_questions_after_accepted_tokens() -> None:
    """Sequences of several tokens are those of the block's base, too."""
    stage = play(2)
    first = stage.last.target_ids[:1]
    sequences = tuple((*first, token) for token in range(9))
    stage.session.evaluate(Evaluate(1, TextPrefix(), (*sequences, first)))
    stage.run()
    expected = [brute_force(sequence) for sequence in (*sequences, first)]
    assert stage.outlet.answers[0].psi == pytest.approx(expected, rel=1e-9)


def test_question_about_another_prefix_has_no_answer() -> None:
    """Of any other text nothing is known."""
    stage = play(2)
    stage.session.evaluate(Evaluate(1, TextPrefix().extend((b"x",)), ((1,),)))
    assert stage.outlet.answers[0].psi == ()


def test_commit_cuts_questions_off() -> None:
    """A question that a commit overtakes is answered with nothing."""
    stage = play(2)
    stage.session.evaluate(Evaluate(1, TextPrefix(), tuple((token,) for token in range(9))))
    stage.session.commit(Commit(1, 0, (b"t",)))
    stage.run()
    assert [(answer.evaluation_id, answer.psi) for answer in stage.outlet.answers] == [(1, ())]


def test_unknown_token_is_refused() -> None:
    """An id outside the target's vocabulary is the asker's mistake."""
    with pytest.raises(InvalidTokenError):
        play(2).session.evaluate(Evaluate(1, TextPrefix(), ((len(TARGET),),)))


@pytest.mark.parametrize("extra_sequences", [0, 8])
def test_psi_does_not_depend_on_helping_sequences(extra_sequences: int) -> None:
    """One sequence in turns, or many in one step: the same values."""
    stage = play(3, seed=WHOLE, extra_sequences=extra_sequences)
    assert (stage.last.target_ids, stage.last.evidence) == (
        play(3, seed=WHOLE).last.target_ids,
        play(3, seed=WHOLE).last.evidence,
    )


def test_helping_sequences_save_steps() -> None:
    """Paths of one level are computed in one step."""

    def steps(extra_sequences: int) -> int:
        stage = play(3, seed=WHOLE, extra_sequences=extra_sequences)
        first = stage.last.target_ids[:1]
        stage.session.evaluate(Evaluate(1, TextPrefix(), tuple((*first, token) for token in range(9))))
        stage.run()
        return stage.engine.stats.steps

    assert steps(16) < steps(0)


def test_known_rows_are_not_computed_again() -> None:
    """A question about the block's own tokens costs no row."""
    stage = play(2)
    rows = stage.runner.rows
    stage.session.evaluate(Evaluate(1, TextPrefix(), (stage.last.target_ids[:1],)))
    stage.run()
    assert (stage.runner.rows - rows, len(stage.outlet.answers)) == (0, 1)


def test_rows_and_values_are_counted() -> None:
    """Every row that the engine computed is one of the draft's or one of ψ's; a value counts once."""
    stage = play(2)
    ids = stage.last.target_ids
    stage.session.evaluate(Evaluate(1, TextPrefix(), (ids[:1], (8,))))
    stage.run()
    counts = stage.counts
    assert counts.draft_rows + counts.psi_rows == stage.runner.rows
    assert counts.psi == len(ids) + (ids[:1] != (8,))


def test_what_needs_too_many_paths_is_not_proposed() -> None:
    """ψ of it is 0, a block ends before it with ⊥, and what needs few has the ψ that it has without bounds."""
    sequences = tuple((token,) for token in range(len(TARGET)))
    said, kinds = {}, set()
    for max_paths in (1, 2, 512):
        stage = play(2, max_psi_paths=max_paths)
        stage.session.evaluate(Evaluate(1, TextPrefix(), sequences))
        stage.run()
        said[max_paths] = stage.outlet.answers[0].psi
        for seed in range(12):
            block = play(2, seed=seed, max_psi_paths=max_paths).last
            assert isinstance(block.evidence, PsiEvidence)
            known = stage.outlet.answers[0].psi[block.target_ids[0]] if block.target_ids else 0.0
            assert block.evidence.values[:1] == ((known,) if block.target_ids else ())
            kinds.add((max_paths, len(block.target_ids), block.evidence.missing_next))
    assert all(few in {0.0, all_of_it} for few, all_of_it in zip(said[2], said[512], strict=True))
    proposed = {max_paths: sum(psi > 0 for psi in values) for max_paths, values in said.items()}
    assert 0 < proposed[1] <= proposed[2] < proposed[512]
    assert {(1, 0, True), (512, 2, False)} <= kinds


@pytest.mark.parametrize("seed", range(8))
def test_drafts_end_where_their_room_does(seed: int) -> None:
    """A quarter of the context: ψ is that of drafts so long at most, and a block that needs more ends with ⊥."""
    stage = play(3, seed=seed, context_tokens=12)
    block = stage.last
    assert isinstance(block.evidence, PsiEvidence)
    assert stage.outlet.errors == []
    sequences = (*((token,) for token in range(9)), *((0, token) for token in range(9)))
    stage.session.evaluate(Evaluate(1, TextPrefix(), sequences))
    stage.run()
    assert stage.outlet.answers[0].psi == pytest.approx([brute_force(one, depth=3) for one in sequences], rel=1e-9)
    for count in range(1, 1 + len(block.target_ids)):
        expected = brute_force(block.target_ids[:count], depth=3)
        assert math.prod(block.evidence.values[:count]) == pytest.approx(expected, rel=1e-9)


def test_some_blocks_have_no_room() -> None:
    """Of the drafts of three tokens some do not settle three."""
    evidence = [play(3, seed=seed, context_tokens=12).last.evidence for seed in range(12)]
    ample = [play(3, seed=seed).last.evidence for seed in range(12)]
    assert sum(one != other for one, other in zip(evidence, ample, strict=True)) > 0


def test_bytes_that_the_vocabulary_lacks_are_left_out_of_the_context() -> None:
    """They are said by the target alone, and the drafter goes on as if they were not there."""
    document = tokenizer_document("gpt2")
    lacking = document["model"]["vocab"]
    lacking["<gone>"] = lacking.pop("ÿ")  # the byte 0xFF
    tokenizer = tokenizer_from_files(files_of(document))
    blocks = []
    for text in (b"the\xff t", b"the t"):
        stage = draft_stage(law, tokenizer, TARGET, request(2))
        stage.session.commit(Commit(1, 0, (text,)))
        stage.run()
        reopened = draft_stage(law, tokenizer, TARGET, request(2, committed=(text,), tokens=1))
        assert (stage.outlet.errors, stage.last.target_ids) == ([], reopened.last.target_ids)
        psi = Evaluate(1, TextPrefix().extend((text,)), tuple((token,) for token in range(9)))
        stage.session.evaluate(psi)
        stage.run()
        blocks.append(stage.outlet.answers[0].psi)
    assert blocks[0] == blocks[1]


def test_close_frees_every_sequence() -> None:
    """A closed session holds nothing, nor do the sequences that helped it."""
    stage = play(3)
    stage.session.evaluate(Evaluate(1, TextPrefix(), tuple((token,) for token in range(9))))
    stage.engine.step()
    stage.session.close()
    stats = stage.engine.stats
    assert (stats.sequences, stats.free_blocks) == (0, stats.total_blocks)
