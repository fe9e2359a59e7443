"""The id proposer on a real engine over a small law: what is sent is what was sampled."""

from __future__ import annotations

import math
import zlib

import pytest
import torch
from torch import Tensor

from draftmesh.core.draft import Commit, DraftOpen, Evaluate
from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.core.evidence import ProposalEvidence, SparseDistribution
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import Item, Role, TextPrefix
from draftmesh.decoding.noise import add_gumbel, key_tensor, word_tensor
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.tokenization.vocabulary import Vocabulary
from tests.helpers.fakes_drafter import DraftStage, draft_open, draft_stage
from tests.helpers.tokenizers import small_tokenizer

TOKENIZER = small_tokenizer("llama2")
OWN = TOKENIZER.vocabulary
EOS = OWN.ids_of_role(Role.EOS)[0]
SAID = (
    *(token for token in range(len(OWN)) if OWN.token_bytes(token) in {b"e", b"s", b"t", b" t", b" the", b"es"}),
    EOS,
)
"""Tokens that the law says; "e", "s" and "t" are two tokens each, a byte piece and a character."""

TARGET = Vocabulary((b"es", b"s", b" t", b"e", b"no", b"", b"s"), {5: Role.EOS})
"""Shares "es", "s", " t", "e" and the end, and has "s" twice."""

CONTEXT = b"the"
TEMPERATURE = 1.2
KEY = NoiseKey(bytes(range(16)))
PROMPT = tuple(TOKENIZER.encode_prompt(CONTEXT.decode()))


def law(seen: tuple[int, ...]) -> Tensor:
    """Random logits of a few tokens, by everything before; never the end alone."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr(seen).encode()))
    logits = torch.full((len(OWN),), -60.0)
    logits[list(SAID)] = torch.randn(len(SAID), generator=generator)
    logits[EOS] -= 4.0
    return logits


def play(
    method: Method = Method.TLI, *, ahead: int = 4, support: int = 64, temperature: float = TEMPERATURE
) -> DraftStage:
    """A session whose first draft is out."""
    return draft_stage(law, TOKENIZER, TARGET, request(method, ahead, support, temperature))


def request(
    method: Method, ahead: int, support: int, temperature: float, *, committed: tuple[Item, ...] = ()
) -> DraftOpen:
    """An Open for ``ahead`` tokens."""
    return draft_open(
        CONTEXT,
        method=method,
        sampling=SamplingParams(temperature=temperature),
        noise_key=KEY,
        max_ahead_tokens=ahead,
        proposal_support=support,
        committed=committed,
    )


def shared_masses(seen: tuple[int, ...]) -> dict[int, float]:
    """The drafter's own law, restricted to what is shared, by target id; from the definition."""
    masses: dict[int, float] = {}
    weights = torch.softmax(law(seen).double() / TEMPERATURE, -1).tolist()
    for token, weight in enumerate(weights):
        item = OWN.role(token) or OWN.token_bytes(token)
        targets = [i for i in range(len(TARGET)) if (TARGET.role(i) or TARGET.token_bytes(i)) == item and item]
        if targets:
            masses[targets[0]] = masses.get(targets[0], 0.0) + weight
    total = math.fsum(masses.values())
    return {target: mass / total for target, mass in masses.items()}


def sent(stage: DraftStage) -> list[tuple[int, Item, SparseDistribution]]:
    """Every draft token with what was said of it."""
    tokens = []
    for block in stage.outlet.blocks:
        assert isinstance(block.evidence, ProposalEvidence)
        tokens += list(zip(block.target_ids, block.items, block.evidence.positions, strict=True))
    return tokens


def own_ids(ids: list[int]) -> tuple[int, ...]:
    """The drafter's tokens of target ids: not the byte pieces."""
    return tuple(
        next(t for t in range(len(OWN)) if OWN.items((t,)) == TARGET.items((i,)) and not OWN.is_fallback(t))
        for i in ids
    )


def test_distribution_is_the_restricted_one_with_masses_added() -> None:
    """q′ of each position is the drafter's law on shared tokens after the tokens before it; equal bytes add up."""
    ids: list[int] = []
    for token, item, distribution in sent(play()):
        expected = shared_masses((*PROMPT, *own_ids(ids)))
        for target, mass in expected.items():
            assert distribution.probability(target) == pytest.approx(mass, rel=1e-6, abs=1e-12)
        assert item == TARGET.items((token,))[0]
        ids.append(token)
    assert len(ids) == 4 or ids[-1] == 5


@pytest.mark.parametrize("support", [2, 64])
def test_token_is_drawn_from_what_is_sent(support: int) -> None:
    """Said again from the weights that were sent and the noise of its place, the draw gives the token that was sent."""
    keys = key_tensor(TARGET, torch.device("cpu"))
    offset = 0
    for index, (token, item, distribution) in enumerate(sent(play(support=support))):
        words = word_tensor([NoisePosition(KEY, offset, index)], torch.device("cpu"))
        scores = torch.tensor([distribution.weights], dtype=torch.float64).log()
        drawn = add_gumbel(scores, keys[list(distribution.ids)], words).argmax().item()
        assert distribution.ids[int(drawn)] == token
        assert len(distribution.ids) <= support
        offset += len(item) if isinstance(item, bytes) else 0


def test_weights_are_single_precision() -> None:
    """What was sampled survives the wire to the last bit."""
    for _, _, distribution in sent(play()):
        assert torch.tensor(distribution.weights, dtype=torch.float32).tolist() == list(distribution.weights)


def test_greedy_draft_is_certain() -> None:
    """At temperature 0 the likeliest shared token has all the mass."""
    for token, _, distribution in sent(play(temperature=0.0)):
        assert (distribution.ids, distribution.weights) == ((token,), (1.0,))


def test_tli_exact_says_no_distribution() -> None:
    """With keyed noise and the exact test, ids are all that is sent."""
    blocks = play(Method.TLI_EXACT).outlet.blocks
    assert all(block.evidence is None and len(block.target_ids) == len(block.items) for block in blocks)


def test_tli_exact_reads_the_targets_noise() -> None:
    """Its draw is that of the unrounded law with the noise of the byte offset and the target's keys."""
    keys = key_tensor(TARGET, torch.device("cpu"))
    ids, offset = list[int](), 0
    for block in play(Method.TLI_EXACT).outlet.blocks:
        for token, item in zip(block.target_ids, block.items, strict=True):
            masses = shared_masses((*PROMPT, *own_ids(ids)))
            words = word_tensor([NoisePosition(KEY, offset, 0)], torch.device("cpu"))
            scores = torch.tensor([list(masses.values())], dtype=torch.float64).log()
            drawn = add_gumbel(scores, keys[list(masses)], words).argmax().item()
            assert list(masses)[int(drawn)] == token
            ids.append(token)
            offset += len(item) if isinstance(item, bytes) else 0


def test_agreeing_commit_draws_on() -> None:
    """A commit of the draft's own first token leaves the rest, and one token is drawn for each that is settled."""
    stage = play()
    first = stage.outlet.blocks[0].items[:1]
    rows = stage.runner.rows
    stage.session.commit(Commit(1, 0, first))
    stage.run()
    assert (stage.runner.rows - rows, len(sent(stage))) == (1, 5)


def test_commit_inside_a_token_begins_anew() -> None:
    """Text that ends within a draft token drops it and what follows."""
    stage = play()
    first = next(item for _, item, _ in sent(stage) if item in {b"es", b" t"})
    before = b""
    for _, item, _ in sent(stage):
        if item is first:
            break
        assert isinstance(item, bytes)
        before += item
    assert isinstance(first, bytes)
    text = before + first[:1]
    stage.session.commit(Commit(1, 0, (text,)))
    stage.run()
    assert stage.outlet.blocks[-1].start.length >= len(text)
    assert any(block.commit_seq == 1 and block.start == TextPrefix().extend((text,)) for block in stage.outlet.blocks)


def test_committed_text_is_continued_without_healing() -> None:
    """After an Open with text the first draft token is drawn from the law after its natural tokens."""
    stage = draft_stage(law, TOKENIZER, TARGET, request(Method.TLI, 1, 64, TEMPERATURE, committed=(b" th",)))
    expected = shared_masses((*PROMPT, *TOKENIZER.encode_bytes(b" th")))
    _, _, distribution = sent(stage)[0]
    assert distribution.probability(3) == pytest.approx(expected[3], rel=1e-6)


def test_nothing_shared_is_refused() -> None:
    """A target with no token of the drafter's cannot be drafted for."""
    with pytest.raises(UnsupportedMethodError, match="share no token"):
        draft_stage(law, TOKENIZER, Vocabulary((b"\x00\x01\x02\x03",), {}), request(Method.TLI, 1, 64, TEMPERATURE))


def test_questions_for_psi_are_refused() -> None:
    """A method of tokens has no ψ."""
    with pytest.raises(UnsupportedMethodError):
        play().session.evaluate(Evaluate(1, TextPrefix(), ((1,),)))


def test_rows_are_counted() -> None:
    """All rows are the draft's."""
    stage = play()
    assert (stage.counts.draft_rows, stage.counts.psi_rows) == (stage.runner.rows, 0)
