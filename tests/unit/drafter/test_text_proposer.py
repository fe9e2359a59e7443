"""The text proposer on a real engine over a rule that stands for a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from draftmesh.core.draft import Commit, DraftOpen
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.core.text import Item, Role
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.ngram import text_of
from draftmesh.drafter.opening import Meters, Opening
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.session import DraftSession, Pacing
from draftmesh.drafter.text_proposer import TextProposer
from draftmesh.engine.engine import Engine
from draftmesh.engine.stats import StepReport
from draftmesh.tokenization import Tokenizer
from tests.helpers.clocks import HandClock
from tests.helpers.fakes_drafter import KeepingOutlet, LawRunner, Rule, rule_engine
from tests.helpers.tokenizers import small_tokenizer

TOKENIZER = small_tokenizer("gpt2")
VOCABULARY = TOKENIZER.vocabulary
TEXT = b"The quick brown fox jumps over the lazy dog. It's what they've said, isn't it? I'll go; we'd stay.\n"
EOS = VOCABULARY.ids_of_role(Role.EOS)[0]


def reciting(text: bytes) -> Rule:
    """A rule that continues ``text`` by its natural tokens, from wherever the bytes so far have come to; then EOS."""

    def rule(tokens: tuple[int, ...]) -> int:
        so_far = TOKENIZER.decode_bytes(tokens)
        rest = text[len(so_far) :] if text.startswith(so_far) else b"?"
        return TOKENIZER.encode_bytes(rest)[0] if rest else EOS

    return rule


def pedantic(text: bytes) -> Rule:
    """A rule that continues the natural tokens of ``text``, and knows nothing to say after any others."""
    whole = tuple(TOKENIZER.encode_bytes(text))

    def rule(tokens: tuple[int, ...]) -> int:
        return whole[len(tokens)] if whole[: len(tokens)] == tokens else TOKENIZER.encode_bytes(b"?")[0]

    return rule


@dataclass
class Stage:
    """A session on an engine that is stepped by hand."""

    engine: Engine
    runner: LawRunner
    session: DraftSession
    outlet: KeepingOutlet
    steps: list[StepReport]

    def run(self) -> None:
        """Step until there is nothing to do, checking the books after each step."""
        while self.engine.step() is not None:
            self.engine.check_integrity()

    @property
    def drafted(self) -> list[Item]:
        """Everything sent so far."""
        return [item for block in self.outlet.blocks for item in block.items]

    def text_after(self, blocks: int) -> bytes:
        """The text sent after the first ``blocks`` blocks."""
        return text_of([item for block in self.outlet.blocks[blocks:] for item in block.items])


Play = Callable[..., Stage]


@pytest.fixture
def play() -> Play:
    """Open a session with a rule."""

    def start(
        rule: Rule,
        *,
        context: bytes = b"The quick",
        committed: tuple[Item, ...] = (),
        ahead: int = 4,
        context_tokens: int = 256,
        tokenizer: Tokenizer = TOKENIZER,
        healing: bool = False,
    ) -> Stage:
        engine, runner = rule_engine(rule, tokenizer.vocabulary, context_tokens=context_tokens)
        outlet, steps = KeepingOutlet(), list[StepReport]()
        session = DraftSession(Chain(committed, ahead), outlet, HandClock(), Pacing())
        request = DraftOpen(
            "s", Fence(), (context,), committed, SamplingParams(), NoiseKey(bytes(16)), Method.EXACT, ahead
        )
        opening = Opening.of(engine, tokenizer, request, Meters(steps.append))
        session.start(TextProposer(opening, session, SequenceBudget(0), healing=healing))
        stage = Stage(engine, runner, session, outlet, steps)
        stage.run()
        return stage

    return start


def test_drafts_the_models_continuation(play: Play) -> None:
    """Draft tokens are the model's own, and as many as asked for."""
    ids = TOKENIZER.encode_bytes(TEXT[len(b"The quick") :])[:4]
    assert play(reciting(TEXT)).drafted == [VOCABULARY.token_bytes(token) for token in ids]


def test_goes_on_from_committed_text(play: Play) -> None:
    """What is committed at Open is part of the text, and not of the draft."""
    stage = play(reciting(TEXT), committed=(b" brown fox",))
    assert (stage.outlet.blocks[0].start.length, TEXT[19:].startswith(stage.text_after(0))) == (10, True)


def test_drafts_the_end(play: Play) -> None:
    """The model's end token is drafted as its role, and nothing after it."""
    stage = play(reciting(b"The quick brown"), ahead=100)
    assert (stage.drafted[-1], stage.outlet.blocks[-1].paused) == (Role.EOS, True)


def test_token_without_text_or_role_exhausts(play: Play) -> None:
    """A token that stands for nothing is not proposed; the draft pauses."""
    tokenizer = small_tokenizer("qwen")
    nothing = tokenizer.vocabulary.items(range(len(tokenizer.vocabulary))).index(b"")
    stage = play(lambda _: nothing, tokenizer=tokenizer)
    assert [(block.items, block.paused) for block in stage.outlet.blocks] == [((), True)]


def test_agreeing_commit_computes_nothing_again(play: Play) -> None:
    """After a commit that agrees with whole tokens, only new tokens cost rows."""
    stage = play(reciting(TEXT))
    rows = stage.runner.rows
    first = stage.drafted[0]
    assert isinstance(first, bytes)
    stage.session.commit(Commit(1, 0, (first,)))
    stage.run()
    assert (stage.runner.rows - rows, len(stage.drafted)) == (1, 5)


def test_bonus_text_is_followed(play: Play) -> None:
    """A commit that goes beyond the draft is taken over, and the draft goes on behind it."""
    stage = play(reciting(TEXT))
    whole = TEXT[len(b"The quick") :][: len(stage.text_after(0)) + 5]
    blocks = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (whole,)))
    stage.run()
    said = stage.text_after(blocks)
    assert said == TEXT[len(b"The quick") + len(whole) :][: len(said)] != b""


def test_disagreeing_commit_rewinds_to_the_new_text(play: Play) -> None:
    """After a divergence the model sees the committed text alone: KV of dropped tokens is gone."""
    other = b"The quick brown cat sleeps all day, and nobody minds.\n"

    def rule(tokens: tuple[int, ...]) -> int:
        return reciting(other if b"cat" in TOKENIZER.decode_bytes(tokens) else TEXT)(tokens)

    stage = play(rule)
    blocks = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (b" brown cat",)))
    stage.run()
    text = stage.text_after(blocks)
    assert text == other[len(b"The quick brown cat") :][: len(text)] != b""


def test_commit_inside_a_character_is_followed(play: Play) -> None:
    """Text that stops inside a character is taken as bytes, and the next commit completes it."""
    text = "The quick café crème brûlée est bon.".encode()
    stage = play(reciting(text))
    stage.session.commit(Commit(1, 0, (b" caf\xc3",)))
    stage.run()
    stage.session.commit(Commit(2, 5, (b"\xa9 cr",)))
    stage.run()
    ahead = text_of(stage.session.ahead)
    assert ahead == text[len("The quick café cr".encode()) :][: len(ahead)] != b""


def test_long_generation_restarts_with_its_end(play: Play) -> None:
    """When the context is full the sequence goes on with the newest text, and offsets count on."""
    stage = play(lambda tokens: 40 + len(tokens) % 7, ahead=8, context_tokens=32)
    for number in range(1, 30):
        stage.session.commit(Commit(number, stage.session.committed_bytes, stage.session.ahead))
        stage.run()
    assert (stage.outlet.errors, len(stage.drafted)) == ([], 8 * 30)


def test_long_context_keeps_its_end(play: Play) -> None:
    """A context longer than the model's is cut at the front, not refused."""
    stage = play(lambda tokens: tokens[-1], context=TEXT * 20, context_tokens=32)
    assert stage.drafted == [VOCABULARY.token_bytes(TOKENIZER.encode_bytes(TEXT)[-1])] * 4


def test_close_frees_every_block(play: Play) -> None:
    """A closed session holds no KV."""
    stage = play(reciting(TEXT))
    stage.session.close()
    stats = stage.engine.stats
    assert (stats.sequences, stats.free_blocks) == (0, stats.total_blocks)


def test_close_in_mid_draft_is_safe(play: Play) -> None:
    """Closing while a step is asked for ends the session quietly."""
    stage = play(reciting(TEXT))
    stage.session.commit(Commit(1, 0, (b" brown",)))
    stage.session.close()
    stage.run()
    assert (stage.engine.stats.sequences, stage.outlet.errors) == (0, [])


def test_every_step_is_reported(play: Play) -> None:
    """The meter hears of each step that drew a token."""
    assert len(play(reciting(TEXT)).steps) == 4


@pytest.mark.parametrize(("healing", "items"), [(True, [b"mps", b" over"]), (False, [b"?", b"?"])])
def test_healing_completes_the_word(play: Play, healing: bool, items: list[Item]) -> None:
    """After "ju" the healed model says the word as it would have, and only the rest is proposed."""
    stage = play(pedantic(TEXT), healing=healing, ahead=2)
    blocks = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (b" brown fox ju",)))
    stage.run()
    assert [item for block in stage.outlet.blocks[blocks:] for item in block.items] == items


def test_healing_costs_a_row_for_each_redrawn_token(play: Play) -> None:
    """The step after a divergence computes the token before the word and the word's tokens, and draws the next one."""
    stage = play(pedantic(TEXT), healing=True, ahead=1)
    rows = stage.runner.rows
    stage.session.commit(Commit(1, 0, (b" brown fox",)))
    stage.run()
    assert (stage.runner.rows - rows, stage.drafted[-1]) == (2, b" jumps")


def test_healed_text_survives_further_commits(play: Play) -> None:
    """Commits that come before the redrawn tokens are drawn, or end inside them, keep the books right."""
    stage = play(reciting(TEXT), healing=True)
    text = TEXT[len(b"The quick") :]
    for number in range(1, 30):
        stage.session.commit(Commit(number, 2 * (number - 1), (text[2 * (number - 1) : 2 * number],)))
        if number % 3:
            stage.run()
    stage.run()
    assert (stage.outlet.errors, text[58:].startswith(text_of(stage.session.ahead))) == ([], True)
