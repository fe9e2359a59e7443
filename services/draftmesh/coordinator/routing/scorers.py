"""How well a member would serve a session; every score lies in [0, 1]."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from random import Random

from draftmesh.coordinator.learning.posterior import Estimate
from draftmesh.coordinator.routing.candidate import Candidate, Wish


class FreeSlots:
    """Balance: the emptier the better."""

    def scores(self, candidates: Sequence[Candidate], wish: Wish) -> list[float]:
        """The share of free slots."""
        del wish
        return [candidate.free_share for candidate in candidates]


class ShortQueue:
    """Balance: sequences that wait for the engine's token budget delay everybody's rounds."""

    def scores(self, candidates: Sequence[Candidate], wish: Wish) -> list[float]:
        """1 without a queue, falling with its length."""
        del wish
        return [1.0 / (1.0 + candidate.load.waiting_sequences) for candidate in candidates]


class FreeCache:
    """Balance: without free KV blocks a session may be preempted."""

    def scores(self, candidates: Sequence[Candidate], wish: Wish) -> list[float]:
        """The share of free blocks; 1 for a member that reports none."""
        del wish
        loads = [candidate.load for candidate in candidates]
        return [load.kv_blocks_free / load.kv_blocks_total if load.kv_blocks_total else 1.0 for load in loads]


class AcceptedBytes:
    """Quality: what drafts win a second, relative to the best drafter.

    Each rate is drawn from what is believed of it, so a drafter gets sessions as often as it may be the best. One of
    which nothing is known counts as the best.
    """

    def __init__(self, random: Random) -> None:
        """Draw with ``random``."""
        self._random = random

    def scores(self, candidates: Sequence[Candidate], wish: Wish) -> list[float]:
        """Share of the best rate that was drawn."""
        del wish
        rates = [self._draw(candidate.rate) for candidate in candidates]
        best = max((rate for rate in rates if rate is not None), default=0.0)
        return [1.0 if rate is None else rate / best if best > 0.0 else 0.0 for rate in rates]

    def _draw(self, rate: Estimate | None) -> float | None:
        return None if rate is None else max(0.0, rate.draw(self._random))


class PrefixAffinity:
    """Affinity: a verifier that has seen the start of a prompt may still have its KV blocks.

    Remembers the prompts that were routed to each member by the hashes of their prefixes of whole blocks; it need not
    match the verifier's own block size, and a wrong guess costs a prefill.
    """

    def __init__(self, block_tokens: int = 64, capacity: int = 4096) -> None:
        """Remember ``capacity`` prefixes of each member, of multiples of ``block_tokens``."""
        self._block_tokens = block_tokens
        self._capacity = capacity
        self._seen: dict[str, OrderedDict[int, None]] = {}

    def scores(self, candidates: Sequence[Candidate], wish: Wish) -> list[float]:
        """The share of the prompt's blocks that the member has seen."""
        hashes = self._hashes(wish.prompt_ids)
        if not hashes:
            return [0.0] * len(candidates)
        return [self._known(candidate.address, hashes) / len(hashes) for candidate in candidates]

    def note(self, address: str, prompt_ids: Sequence[int]) -> None:
        """A session with this prompt goes to this member."""
        seen = self._seen.setdefault(address, OrderedDict())
        for value in self._hashes(prompt_ids):
            seen[value] = None
            seen.move_to_end(value)
        while len(seen) > self._capacity:
            seen.popitem(last=False)

    def forget(self, address: str) -> None:
        """The member has left."""
        self._seen.pop(address, None)

    def _known(self, address: str, hashes: Sequence[int]) -> int:
        seen = self._seen.get(address, ())
        return next((index for index, value in enumerate(hashes) if value not in seen), len(hashes))

    def _hashes(self, prompt_ids: Sequence[int]) -> list[int]:
        hashes, value = [], 0
        for start in range(0, len(prompt_ids) - self._block_tokens + 1, self._block_tokens):
            value = hash((value, tuple(prompt_ids[start : start + self._block_tokens])))
            hashes.append(value)
        return hashes
