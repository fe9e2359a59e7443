"""The joint law of a session's first tokens, by enumeration with the plain code of ``reference_decoding``."""

from __future__ import annotations

from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import TERMINAL_ROLES
from tests.helpers.reference_decoding import reference_distribution
from tests.helpers.toy_language import ToyModel

Law = dict[tuple[int, ...], float]
"""Probability of each sequence of tokens; one that ends in a terminal role is shorter."""


def joint_law(target: ToyModel, sampling: SamplingParams, tokens: int) -> Law:
    """The law of the first ``tokens`` tokens of the target decoding alone; sequences that cannot occur are left out."""
    law: Law = {}
    open_sequences: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    while open_sequences:
        sequence, probability = open_sequences.pop()
        logits = target.table[target.context(sequence), : len(target.vocabulary)].tolist()
        p = reference_distribution(logits, sampling, target.prompt, sequence)
        for token in p.nonzero()[0].tolist():
            longer, chance = (*sequence, token), probability * float(p[token])
            if len(longer) == tokens or target.vocabulary.role(token) in TERMINAL_ROLES:
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
