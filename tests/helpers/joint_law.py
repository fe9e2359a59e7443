"""The joint law of a session's first tokens, by enumeration with the plain code of ``reference_decoding``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import TERMINAL_ROLES
from tests.helpers.reference_decoding import reference_distribution
from tests.helpers.toy_language import ToyModel

Law = dict[tuple[int, ...], float]
"""Probability of each sequence of tokens; one that ends in a terminal role is shorter."""


def joint_law(target: ToyModel, sampling: SamplingParams, tokens: int) -> Law:
    """The law of the first ``tokens`` tokens of the target decoding alone; sequences that cannot occur are left out."""

    def logits(sequence: tuple[int, ...]) -> list[float]:
        row: list[float] = target.table[target.context(sequence), : len(target.vocabulary)].tolist()
        return row

    return enumerated_law(logits, target.vocabulary, sampling, target.prompt, tokens)


def enumerated_law(
    logits: Callable[[tuple[int, ...]], Sequence[float]],
    table: TokenTable,
    sampling: SamplingParams,
    prompt: Sequence[int],
    tokens: int,
) -> Law:
    """The law of the first ``tokens`` tokens after a prompt; sequences that cannot occur are left out.

    Args:
        logits: Those that follow the prompt and these tokens, one for each token of ``table``.
        table: The vocabulary.
        sampling: What p is processed by.
        prompt: Its ids, which penalties see.
        tokens: Length of the sequences that do not end before.
    """
    law: Law = {}
    open_sequences: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    while open_sequences:
        sequence, probability = open_sequences.pop()
        p = reference_distribution(logits(sequence), sampling, prompt, sequence)
        for token in p.nonzero()[0].tolist():
            longer, chance = (*sequence, token), probability * float(p[token])
            if len(longer) == tokens or table.role(token) in TERMINAL_ROLES:
                law[longer] = chance
            else:
                open_sequences.append((longer, chance))
    return law


def shortened(law: Law, tokens: int) -> Law:
    """The law of the first ``tokens`` of the tokens that ``law`` is about."""
    shorter: Law = {}
    for sequence, probability in law.items():
        shorter[sequence[:tokens]] = shorter.get(sequence[:tokens], 0.0) + probability
    return shorter
