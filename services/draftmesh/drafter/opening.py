"""How a session's sequences are opened on the engine, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from draftmesh.core.draft import DraftOpen
from draftmesh.core.sampling import Method
from draftmesh.drafter.context import WindowHistory, encode_context
from draftmesh.drafter.window import ContextWindow
from draftmesh.engine.engine import Engine
from draftmesh.engine.sequence import Sequence, SequenceListener
from draftmesh.engine.stats import StepReport
from draftmesh.tokenization.tokenizer import Tokenizer


def _uncounted(_: int) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Meters:
    """Who hears of what proposers cost. Called on the engine's thread."""

    step: Callable[[StepReport], None]
    """Hears of every step that drew something."""

    draft_rows: Callable[[int], None] = _uncounted
    """Rows computed to draw draft tokens."""

    psi_rows: Callable[[int], None] = _uncounted
    """Rows computed for ψ alone."""

    psi: Callable[[int], None] = _uncounted
    """Sequences whose ψ was reported."""


@dataclass(frozen=True, slots=True)
class Opening:
    """All that one session's sequences have in common."""

    engine: Engine
    tokenizer: Tokenizer
    request: DraftOpen
    prompt_ids: tuple[int, ...]
    meters: Meters

    @classmethod
    def of(cls, engine: Engine, tokenizer: Tokenizer, request: DraftOpen, meters: Meters) -> Opening:
        """For the context of ``request``, in the model's own tokens.

        Raises:
            PromptEmptyError: there is nothing to predict from.
            InvalidTextError: the vocabulary cannot express the text.
        """
        own = replace(request, sampling=replace(request.sampling, logprobs=None))
        return cls(engine, tokenizer, own, tuple(encode_context(tokenizer, request.context)), meters)

    @property
    def limit_tokens(self) -> int:
        """Tokens that a sequence can have."""
        return self.engine.limits.sequence_tokens

    def open(self, window: ContextWindow, generated_ids: tuple[int, ...], listener: SequenceListener) -> Sequence:
        """A sequence that holds ``window`` of the prompt and all ``generated_ids``.

        Raises:
            ExhaustedError: the engine takes no more sequences.
        """
        history = WindowHistory(
            self.tokenizer.vocabulary,
            self.request.sampling,
            self.request.noise_key,
            prompt_ids=self.prompt_ids,
            generated_ids=generated_ids,
            first_generated=window.first_generated,
        )
        kept = generated_ids[window.first_generated :]
        return self.engine.open(window.prompt_ids, kept, history, listener, method=Method.EXACT)
