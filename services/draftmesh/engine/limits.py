"""The bounds within which an engine accepts work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from draftmesh.core.errors import ExhaustedError, InvalidTokenError, PromptTooLongError


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Resolved from the configuration, the model and the KV pool when an engine is built."""

    context_tokens: int
    """Tokens of one sequence that the model can work with."""

    pool_tokens: int
    """Tokens that the whole KV pool holds."""

    vocabulary_size: int
    """Ids from 0 to below this are tokens."""

    token_budget_tokens: int
    """Rows of one step at most."""

    max_sequences: int

    @property
    def sequence_tokens(self) -> int:
        """Tokens that one sequence can grow to."""
        return min(self.context_tokens, self.pool_tokens)

    def check_ids(self, ids: Iterable[int]) -> None:
        """Raise :class:`InvalidTokenError` if an id is outside the vocabulary."""
        for token in ids:
            if not 0 <= token < self.vocabulary_size:
                raise InvalidTokenError(f"token {token} is outside the vocabulary of {self.vocabulary_size}")

    def check_length(self, num_tokens: int) -> None:
        """Refuse a sequence of that many tokens if it does not fit.

        Raises:
            PromptTooLongError: the model's context is shorter.
            ExhaustedError: the KV pool is smaller.
        """
        if num_tokens > self.context_tokens:
            raise PromptTooLongError(f"{num_tokens} tokens, but the context has {self.context_tokens}")
        if num_tokens > self.pool_tokens:
            raise ExhaustedError(f"{num_tokens} tokens, but the KV pool holds {self.pool_tokens}")
