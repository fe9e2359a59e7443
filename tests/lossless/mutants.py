"""Known ways to lose the law, each planted into the product, and the cell in which it shows.

A mutant replaces a function or a class where the product looks it up, for the time of one cell. Most are bugs that
speculative decoding has shipped somewhere (``LOSSLESS.md`` says which claim each one breaks).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from draftmesh.core.sampling import Method
from tests.helpers.toy_language import toy_drafter, toy_target
from tests.lossless.cells import Cell, Finding, Pair, find, seeds_of
from tests.lossless.planted import draft_bugs, psi_bugs, target_bugs, token_bugs
from tests.lossless.planted.planting import Plant

MARGIN = 10.0
"""How many times the noise floor a mutant's total variation is at least."""

FIRST_MUTANT_CELL = 500
"""Where the numbers of mutants' cells begin, whose seeds are no other cell's."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug."""

    name: str
    cell: Cell
    plant: Plant


MANY_MERGES = Pair(
    "single bytes against merges",
    partial(toy_target, raised={0: 3.0, 1: 3.0}),
    partial(toy_drafter, raised={2: 2.0, 9: 2.0, 10: 2.0}),
)
UNREADABLE = Pair("unreadable drafts", toy_target, partial(toy_drafter, raised={3: 2.0, 5: 2.0}))
SHORT_TEXTS = Pair("early ends", partial(toy_target, raised={5: 2.5}), partial(toy_drafter, raised={6: 2.5}))
SILENT_TOKENS = Pair("tokens without bytes", partial(toy_target, raised={6: 4.0}))
GREEDY_SELF = Pair("its own argmax", toy_target, toy_target, is_greedy=True)
TLI = Cell(Method.TLI, "T=1")
SLRS = Cell(Method.SLRS, "T=1")

MUTANTS = (
    Mutant("q reported is not the q sampled", TLI, draft_bugs.drafts_the_argmax),
    Mutant("target temperature missing", replace(TLI, setting="T=0.3"), target_bugs.tests_without_temperature),
    Mutant("draft temperature missing from q", replace(TLI, setting="T=0.3"), draft_bugs.reports_without_temperature),
    Mutant(
        "residual drawn with the draft's noise",
        replace(TLI, setting="top-k"),
        target_bugs.draws_residuals_with_the_drafts_noise,
    ),
    Mutant("target masked to the intersection", TLI, target_bugs.masks_to_the_intersection),
    Mutant("aligned q in place of ψ", SLRS, psi_bugs.aligns_one_path),
    Mutant(
        "ψ from a fresh context",
        replace(SLRS, pair=MANY_MERGES, cap_bytes=1),
        psi_bugs.begins_afresh,
    ),
    Mutant("duplicate bytes share one key", Cell(Method.OFF, "T=1"), token_bugs.shares_keys),
    Mutant(
        "accept when the draft equals the argmax",
        Cell(Method.TLI_EXACT, "T=1", pair=GREEDY_SELF),
        target_bugs.accepts_the_argmax,
    ),
    Mutant("padded vocabulary rows sampled", Cell(Method.OFF, "T=1"), token_bugs.samples_padding),
    Mutant("probabilities edited in place", TLI, draft_bugs.reports_edited_probabilities),
    Mutant(
        "EOS accepted and a bonus after it",
        replace(TLI, pair=SHORT_TEXTS),
        token_bugs.looks_for_the_end_once_a_round,
    ),
    Mutant("ψ as the probability of a prefix", SLRS, psi_bugs.measures_prefixes),
    Mutant(
        "a held-back or over-cap draft treated as no draft",
        replace(SLRS, pair=UNREADABLE, cap_bytes=1),
        target_bugs.forgets_what_is_missing,
    ),
    Mutant(
        "an unsure token is left out itself",
        Cell(Method.TLI, "T=1", least_confidence=0.25),
        draft_bugs.leaves_out_unsure_tokens,
    ),
    Mutant(
        "noise reused after a zero-byte token",
        Cell(Method.OFF, "T=1", pair=SILENT_TOKENS),
        token_bugs.reuses_noise,
    ),
)
"""At least those that the lossless claims name."""


def find_mutant(index: int, samples: int) -> Finding:
    """What a mutant's cell says while it is planted."""
    mutant = MUTANTS[index]
    with mutant.plant():
        return find(mutant.cell, seeds_of(FIRST_MUTANT_CELL + index, samples))


def is_caught(finding: Finding, cells: int) -> bool:
    """Whether a suite of so many cells fails, and by far."""
    return finding.clearest.margin >= MARGIN and not finding.is_faithful(cells)
