"""Where a draft token reads its noise, for methods whose proposals are judged by their probability.

The noise of a draw must be independent of all that the committed tokens depend on (``decoding/LOSSLESS.md``). A byte
offset alone is not enough: a token without bytes that is recovered in place of a draft token leaves it as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import NoiseKey
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.drafter.draft_token import DraftPosition


def token_position(draft: NoiseKey, position: DraftPosition) -> NoisePosition:
    """Of a draft token that is a target token: its offset, and the number of target tokens before it.

    Args:
        draft: The session's DRAFT key.
        position: Where the token starts.
    """
    return NoisePosition(draft, position.offset, position.tokens)


def string_position(block: NoiseKey, drafter: TokenTable, path: Sequence[int]) -> NoisePosition:
    """Of the drafter's token that follows ``path`` in a block of strings; ``block`` is the block's own key."""
    return NoisePosition(block, sum(len(drafter.token_bytes(token)) for token in path), len(path))
