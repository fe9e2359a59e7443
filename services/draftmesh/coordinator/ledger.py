"""Arithmetic of the books: sums of ledgers.

A ledger is a sum of deltas, one for each thing that happened, so a session's, a drafter's and a verifier's books
are kept by the same additions.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import zip_longest
from typing import Any

from draftmesh.core.ledger import Ledger

_FIELDS = tuple(field.name for field in fields(Ledger))


def add(first: Ledger, second: Ledger) -> Ledger:
    """The sum, field by field and position by position."""
    return Ledger(**{name: _sum(getattr(first, name), getattr(second, name)) for name in _FIELDS})


def _sum(first: Any, second: Any) -> Any:  # noqa: ANN401 (a field's type)
    if isinstance(first, tuple):
        return tuple(a + b for a, b in zip_longest(first, second, fillvalue=0))
    return first + second
