"""What a sequence's past means for its next draws: the position of the noise, and the penalties.

One :class:`History` belongs to one sequence of the engine. It grows and shrinks with the sequence, and looks ahead
over a draft without changing, since row i of a draft is drawn as if the i draft tokens before it were committed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from draftmesh.core.errors import InvalidTokenError
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.decoding.noise_key import NoisePosition, require_noise_key


@dataclass(frozen=True, slots=True)
class PenaltyCounts:
    """The tokens that penalties apply to; two arrays of one length, never changed once a row holds them."""

    ids: array[int]
    """Distinct tokens (int64) of the prompt and the output."""

    output_counts: array[int]
    """How often each is in the output (int64); 0 for tokens that only the prompt has."""


@dataclass(frozen=True, slots=True)
class DrawRow:
    """All that one draw needs besides its logits."""

    sampling: SamplingParams
    position: NoisePosition
    penalties: PenaltyCounts | None = None
    """None when the sampling has no penalties."""


class History:
    """The decoding state of one sequence: generated ids, their byte offset, and penalty counts.

    Raises:
        UnsupportedError: the noise key's version is unknown here.
        InvalidRequestError: the noise key has a wrong length.
        InvalidTokenError: a prompt id, where penalties need it, is outside the vocabulary.
    """

    def __init__(
        self, table: TokenTable, sampling: SamplingParams, noise_key: NoiseKey, prompt_ids: Sequence[int]
    ) -> None:
        require_noise_key(noise_key)
        self._table = table
        self._sampling = sampling
        self._noise_key = noise_key
        self._generated: list[int] = []
        self._offset = 0
        self._zero_byte_tokens = 0
        self._counts = _Counts(self._checked(prompt_ids)) if sampling.has_penalties else None

    def __len__(self) -> int:
        """Number of generated tokens."""
        return len(self._generated)

    @property
    def sampling(self) -> SamplingParams:
        """How the sequence is sampled."""
        return self._sampling

    @property
    def offset(self) -> int:
        """Bytes generated."""
        return self._offset

    @property
    def position(self) -> NoisePosition:
        """Where the next draw happens."""
        return NoisePosition(self._noise_key, self._offset, self._zero_byte_tokens)

    def append(self, ids: Iterable[int]) -> None:
        """Add generated tokens.

        Raises:
            InvalidTokenError: an id is outside the vocabulary; nothing is added then.
        """
        for token in self._checked(ids):
            self._generated.append(token)
            self._offset, self._zero_byte_tokens = self._after(self._offset, self._zero_byte_tokens, token)
            if self._counts is not None:
                self._counts.add(token)

    def truncate(self, num_tokens: int) -> None:
        """Keep the first ``num_tokens`` generated tokens; more than there are keeps all."""
        while len(self._generated) > num_tokens:
            token = self._generated.pop()
            self._offset -= len(self._table.token_bytes(token))
            if self._counts is not None:
                self._counts.remove_last(token)
        self._zero_byte_tokens = self._trailing_zero_byte_tokens()

    def rows(self, draft: Sequence[int]) -> list[DrawRow]:
        """The 1 + len(draft) draws that judge a draft: at each draft token, and after the last.

        Raises:
            InvalidTokenError: a draft id is outside the vocabulary.
        """
        draft = self._checked(draft)
        if self._counts is None:
            return [DrawRow(self._sampling, position) for position in self._positions(draft)]
        looked_ahead = zip(self._positions(draft), self._counts.look_ahead(draft), strict=True)
        return [DrawRow(self._sampling, position, penalties) for position, penalties in looked_ahead]

    def _positions(self, draft: Sequence[int]) -> Iterator[NoisePosition]:
        offset, zero_byte_tokens = self._offset, self._zero_byte_tokens
        yield NoisePosition(self._noise_key, offset, zero_byte_tokens)
        for token in draft:
            offset, zero_byte_tokens = self._after(offset, zero_byte_tokens, token)
            yield NoisePosition(self._noise_key, offset, zero_byte_tokens)

    def _after(self, offset: int, zero_byte_tokens: int, token: int) -> tuple[int, int]:
        length = len(self._table.token_bytes(token))
        return (offset + length, 0) if length else (offset, zero_byte_tokens + 1)

    def _trailing_zero_byte_tokens(self) -> int:
        count = 0
        for token in reversed(self._generated):
            if self._table.token_bytes(token):
                break
            count += 1
        return count

    def _checked(self, ids: Iterable[int]) -> list[int]:
        checked = list(ids)
        for token in checked:
            if not 0 <= token < len(self._table):
                raise InvalidTokenError(f"token {token} is outside the vocabulary of {len(self._table)}")
        return checked


class _Counts:
    """Penalty counts with a slot for each distinct token, in order of first appearance.

    Tokens leave in the reverse of the order in which they came, so a token that leaves for good owns the last slot:
    removal needs no record of its own.
    """

    def __init__(self, prompt_ids: Iterable[int]) -> None:
        self._ids = array("q", dict.fromkeys(prompt_ids))
        self._output_counts = array("q", bytes(8 * len(self._ids)))
        self._slots = {token: slot for slot, token in enumerate(self._ids)}
        self._prompt_slots = len(self._ids)

    def add(self, token: int) -> None:
        slot = self._slots.setdefault(token, len(self._ids))
        if slot == len(self._ids):
            self._ids.append(token)
            self._output_counts.append(0)
        self._output_counts[slot] += 1

    def remove_last(self, token: int) -> None:
        slot = self._slots[token]
        self._output_counts[slot] -= 1
        if self._output_counts[slot] == 0 and slot >= self._prompt_slots:
            del self._slots[token]
            self._ids.pop()
            self._output_counts.pop()

    def look_ahead(self, draft: Sequence[int]) -> Iterator[PenaltyCounts]:
        """The counts now and after each draft token; this stays as it is."""
        ids, output_counts = self._ids[:], self._output_counts[:]
        added: dict[int, int] = {}
        yield PenaltyCounts(ids[:], output_counts[:])
        for token in draft:
            slot = self._slots.get(token, added.get(token))
            if slot is None:
                slot = added[token] = len(ids)
                ids.append(token)
                output_counts.append(0)
            output_counts[slot] += 1
            yield PenaltyCounts(ids[:], output_counts[:])
