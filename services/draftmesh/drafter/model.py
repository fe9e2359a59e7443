"""A drafter with a model: one sequence of the batch engine for each session, one draft token a step.

The draft token is drawn from the drafter's own processed distribution with the session's keyed noise, so that it agrees
with the target's draw as often as two distributions allow without communication.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from draftmesh.core.draft import DraftOpen
from draftmesh.core.errors import DraftmeshError
from draftmesh.core.sampling import Method
from draftmesh.core.text import Role
from draftmesh.drafter.chain import Divergence
from draftmesh.drafter.context import WindowHistory, encode_context, fit
from draftmesh.drafter.healing import redrawn_tokens
from draftmesh.drafter.path import TokenPath
from draftmesh.drafter.proposer import Sink
from draftmesh.engine.engine import Engine
from draftmesh.engine.judging import Judgement
from draftmesh.engine.sequence import Sequence
from draftmesh.engine.stats import StepReport
from draftmesh.tokenization.tokenizer import Tokenizer

StepMeter = Callable[[StepReport], None]


class ModelProposer:
    """One session's sequence, its own tokens, and the listener of its steps. Lives on the engine's thread.

    Each step draws one token; the sink says after each whether another is wanted, so a commit never waits for more
    than the step under way.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        request: DraftOpen,
        sink: Sink,
        *,
        meter: StepMeter,
        healing: bool,
    ) -> None:
        """Open a sequence for the context and what is committed.

        Args:
            engine: where the sequence lives; with ``healing`` its judge must be a ``HealingJudge``.
            tokenizer: the model's.
            request: what to draft for.
            sink: takes the tokens.
            meter: hears of every step.
            healing: redraw the committed text's last token after a divergence.

        Raises:
            PromptEmptyError: there is nothing to predict from.
            InvalidTextError: the vocabulary cannot express the text.
            ExhaustedError: the engine takes no more sequences.
        """
        self._engine = engine
        self._vocabulary = tokenizer.vocabulary
        self._sampling = replace(request.sampling, logprobs=None)
        self._noise_key = request.noise_key
        self._sink = sink
        self._meter = meter
        self._healing = healing
        self._redrawn: tuple[int, ...] = ()
        self._prompt_ids = encode_context(tokenizer, request.context)
        self._path = TokenPath(tokenizer, tokenizer.vocabulary)
        self._path.replace_end(0, request.committed)
        self._first_generated = 0
        self._seq = self._open()

    def draw(self, count: int) -> None:
        """Start a step for one token, unless one is under way; the sink's answer asks for those after it."""
        if not count or self._seq.busy or self._seq.closed:
            return
        if self._engine.room(self._seq) < len(self._redrawn):
            self._reopen()
        self._history.redrawn_tokens = len(self._redrawn)
        self._engine.submit(self._seq, self._redrawn)

    def rebase(self, divergence: Divergence) -> bytes:
        """Rewind to the last token that stays, and take the committed text in its natural segmentation."""
        self._redrawn = ()
        edit = self._path.replace_end(divergence.dropped_tokens, divergence.items)
        pending = b"" if isinstance(divergence.items[-1], Role) else self._take_redrawn()
        kept = min(edit.keep_tokens, len(self._path))
        self._engine.interrupt(self._seq)
        self._follow(kept, self._path.ids[kept:])
        return pending

    def close(self) -> None:
        """Free the sequence's KV at once."""
        self._engine.close(self._seq)

    def settle(self, judgement: Judgement) -> tuple[int, ...]:
        """Keep tokens up to one that stands for no text and no role: such a token cannot be proposed."""
        items = self._vocabulary.items(judgement.tokens)
        return judgement.tokens[: items.index(b"")] if b"" in items else judgement.tokens

    def stepped(self, settled: tuple[int, ...], judgement: Judgement, step: StepReport) -> None:
        """Bring the drawn tokens to the sink, and go on if it wants more."""
        self._meter(step)
        self._redrawn = ()
        for token in settled:
            self._path.push(token)
        exhausted = len(settled) < len(judgement.tokens)
        self.draw(self._sink.drawn(self._vocabulary.items(settled), exhausted=exhausted))

    def failed(self, error: DraftmeshError) -> None:
        """The engine has closed the sequence."""
        self._sink.failed(error)

    def _take_redrawn(self) -> bytes:
        """Take the tokens to redraw, if any, from the path's end; their bytes."""
        rewindable = self._path.ids[self._first_generated :]
        count = redrawn_tokens(self._vocabulary, rewindable) if self._healing else 0
        self._redrawn = rewindable[len(rewindable) - count :]
        return self._path.back_up(count)

    def _follow(self, kept: int, ids: tuple[int, ...]) -> None:
        """Bring the sequence to the path: ``kept`` generated tokens, then ``ids``."""
        length = self._seq.prompt_length + kept - self._first_generated
        if kept < self._first_generated or length + len(ids) >= self._engine.limits.sequence_tokens:
            self._reopen()
        else:
            self._engine.rewind(self._seq, length)
            self._engine.extend(self._seq, ids)

    def _reopen(self) -> None:
        self._engine.close(self._seq)
        self._seq = self._open()

    def _open(self) -> Sequence:
        generated = self._path.ids
        limit_tokens = self._engine.limits.sequence_tokens
        room_tokens = min(2 + len(self._redrawn), limit_tokens - 2)
        window = fit(self._prompt_ids, generated, limit_tokens, room_tokens)
        self._first_generated = window.first_generated
        self._history = self._new_history(generated)
        return self._engine.open(
            window.prompt_ids, generated[window.first_generated :], self._history, self, method=Method.EXACT
        )

    def _new_history(self, generated_ids: tuple[int, ...]) -> WindowHistory:
        return WindowHistory(
            self._vocabulary,
            self._sampling,
            self._noise_key,
            prompt_ids=self._prompt_ids,
            generated_ids=generated_ids,
            first_generated=self._first_generated,
        )
