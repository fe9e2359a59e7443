"""What a method leaves of a draft when the target commits text that the draft begins with."""

from __future__ import annotations

import enum

from draftmesh.core.sampling import Method


class Keep(enum.Enum):
    """What is left of a draft after a commit that its text begins with."""

    TEXT = enum.auto()
    """All that is ahead, from inside a drawn token too (``exact``)."""

    TOKENS = enum.auto()
    """All, if the commit is drawn tokens, one by one (``tli`` and its like).

    By the text alone a token would stay that was rejected, when one without bytes was recovered in its place.
    """

    NOTHING = enum.auto()
    """Every commit begins a new block (``slrs``)."""


def keep_of(method: Method) -> Keep:
    """What a method's commits keep."""
    match method:
        case Method.TLI | Method.REJECTION | Method.TLI_EXACT:
            return Keep.TOKENS
        case Method.SLRS:
            return Keep.NOTHING
        case _:
            return Keep.TEXT
