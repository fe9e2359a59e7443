"""Generations and trials that never were."""

from __future__ import annotations

from draftmesh.client import Generation, Token
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason
from draftmesh.inspection.measuring import Timed, sum_up
from draftmesh.inspection.trials import Trial


def timed(tokens: int, seconds: float, *, drafted: int = 0, accepted: int = 0, method: str = "exact") -> Timed:
    """A generation of two-byte tokens, the first ``accepted`` of them drafted; one round and 4 target steps."""
    spans = tuple(Token(id=index, byte_length=2, drafted=index < accepted) for index in range(tokens))
    ledger = Ledger(rounds=bool(drafted), drafted_tokens=drafted, accepted_tokens=accepted, target_steps=4)
    generation = Generation("s0", "toy", method, b"", spans, FinishReason.LENGTH, 3, tokens, ledger)
    return Timed(generation, seconds)


def trial(method: str, temperature: float, rate: float) -> Trial:
    """A trial at so many tokens per second."""
    return Trial(method, temperature, sum_up([timed(10, 10 / rate, method=method)]), chosen={method: 1})
