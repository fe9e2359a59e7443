"""What is judged, and what the judgement is: values between the engine, the judge and those who ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from draftmesh.core.sampling import Method
from draftmesh.core.verify import TokenLogprobs
from draftmesh.decoding.history import History

if TYPE_CHECKING:
    from draftmesh.decoding.string_rejection import LazyResidual  # its module needs torch


@dataclass(frozen=True, slots=True)
class Case:
    """One sequence's part of a batch: 1 + len(draft) rows of logits, in order."""

    history: History
    draft: tuple[int, ...] = ()
    method: Method = Method.EXACT
    terms: object | None = None
    """What the judge needs to know of the request beside the draft: at a verifier the draft's evidence, at a drafter
    how to propose. Nobody between the asker and the judge reads it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge says to one case."""

    accepted: int
    """Leading tokens that came from the draft."""

    tokens: tuple[int, ...]
    """The accepted tokens, then one recovered or bonus token; without that one when it waits for ``residual``."""

    logprobs: tuple[TokenLogprobs, ...] = ()
    """One for each token, when the sampling asks for them."""

    residual: LazyResidual | None = None
    """The draw of the token that follows, where it needs to ask the drafter first (``slrs``)."""
