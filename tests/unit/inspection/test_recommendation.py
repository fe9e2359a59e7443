"""One sentence for each kind of pair."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from draftmesh.inspection.recommendation import recommend
from draftmesh.inspection.sources import PairSide
from draftmesh.inspection.trials import Trial
from draftmesh.inspection.vocabularies import VocabularyReport, inspect_vocabularies
from tests.helpers.tokenizers import small_tokenizer
from tests.unit.inspection.builders import trial

TEXTS = ("def f(x):\n    return x\n",)


def pair(target: PairSide | str, drafter: PairSide | str) -> VocabularyReport:
    """The tokenizers of a pair, small ones by name."""
    return inspect_vocabularies(_side(target), _side(drafter), TEXTS)


def _side(name: PairSide | str) -> PairSide:
    return PairSide(name, small_tokenizer(name)) if isinstance(name, str) else name


PAIR = pair("gpt2", "llama2")


@pytest.mark.parametrize(
    ("trials", "sentence"),
    [
        (
            [trial("off", 0, 10), trial("exact", 0, 21), trial("tli-exact", 0, 20)],
            "Use exact at T = 0 (2.10 times the speed).",
        ),
        ([trial("off", 0, 10), trial("exact", 0, 10.2)], "Leave drafting off at T = 0 (10.0 tokens/s)."),
        ([trial("exact", 0.7, 10)], "Use exact at T = 0.7."),
        (
            [trial("off", 0, 10), trial("exact", 0, 20), trial("off", 1, 10), trial("exact", 1, 15)],
            "Use exact at T = 0 (2.00 times the speed) and T = 1 (1.50 times the speed).",
        ),
        (
            [trial("off", 0, 10), trial("exact", 0, 20), trial("off", 1, 10), trial("exact", 1, 9)],
            "Use exact at T = 0 (2.00 times the speed), and leave drafting off at T = 1 (10.0 tokens/s).",
        ),
        (
            [trial("off", 1, 10), trial("exact", 1, 12), trial("slrs", 1, 15), trial("auto", 1, 16)],
            "Use slrs at T = 1 (1.50 times the speed), on trusted drafters only.",
        ),
    ],
)
def test_what_was_measured_decides(trials: Sequence[Trial], sentence: str) -> None:
    """The fastest method that is worth it, at each temperature; ``auto`` stands for the others and never wins."""
    assert recommend(PAIR, trials) == sentence


def test_a_method_that_was_refused_is_no_candidate() -> None:
    """It has no figures."""
    refused = Trial("rejection", 0.0, None, "two vocabularies")
    assert recommend(PAIR, [refused, trial("off", 0, 10), trial("exact", 0, 20)]).startswith("Use exact")


def test_a_target_that_loses_bytes_cannot_be_paired() -> None:
    """The sentence has the name and the reason."""
    sentence = recommend(pair(PairSide("t5", None, "it normalises"), "llama2"), ())
    assert sentence == "These two cannot be paired: t5 cannot be a target, since it normalises."


def test_a_drafter_that_loses_bytes_cannot_be_paired() -> None:
    """Nor can it draft."""
    sentence = recommend(pair("gpt2", PairSide("bert", None, "it lower-cases text")), ())
    assert sentence == "These two cannot be paired: bert cannot draft, since it lower-cases text."


def test_what_refuses_to_run_cannot_be_paired() -> None:
    """The engine's reason is passed on."""
    assert recommend(PAIR, (), "this model is recurrent") == "These two cannot be paired: this model is recurrent."


def test_tokenizers_alone_say_what_is_possible() -> None:
    """How much is shared, one vocabulary, or a drafter without one."""
    assert "of the target's tokens on this corpus are shared" in recommend(PAIR, ())
    assert "rejection among them" in recommend(pair("gpt2", "gpt2"), ())
    assert "can be served with exact" in recommend(pair("gpt2", PairSide("ngram", None)), ())
