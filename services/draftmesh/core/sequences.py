"""Comparing sequences: of symbols, ids, tokens or atoms."""

from __future__ import annotations

from collections.abc import Sequence


def common_length(left: Sequence[object], right: Sequence[object]) -> int:
    """How many leading elements the two share."""
    limit = min(len(left), len(right))
    return next((i for i in range(limit) if left[i] != right[i]), limit)
