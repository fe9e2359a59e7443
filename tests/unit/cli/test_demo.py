"""The demo's numbers, from generations that never were."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import pytest

from draftmesh.cli.comparison import DemoResult, compare
from draftmesh.cli.demo import DemoOptions, demo
from draftmesh.client import Generation
from draftmesh.core.errors import ConfigError
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason
from draftmesh.inspection.measuring import Timed
from draftmesh.inspection.sizes import ModelSizes

SIZES = ModelSizes(target=1000, drafter=10)
BOOKS = Ledger(rounds=5, drafted_tokens=16, accepted_tokens=10)
FIELDS = {
    "tokens_per_second_off",
    "tokens_per_second",
    "speedup",
    "acceptance_rate",
    "identical",
    "target_parameters",
    "drafter_parameters",
}


def generation(tokens: int, data: bytes = b"text", ledger: Ledger = BOOKS) -> Generation:
    """A finished generation of so many tokens."""
    return Generation("s0", "toy", "exact", data, (), FinishReason.LENGTH, 3, tokens, ledger)


def runs(
    *seconds: tuple[float, float], data: Sequence[bytes] = (b"a", b"b"), ledger: Ledger = BOOKS
) -> list[list[Timed]]:
    """For each repeat the seconds of a prompt of 10 tokens and one of 30."""
    return [
        [Timed(generation(tokens, data[prompt], ledger), pair[prompt]) for prompt, tokens in enumerate((10, 30))]
        for pair in seconds
    ]


def result(off: list[list[Timed]], exact: list[list[Timed]]) -> DemoResult:
    """What the demo makes of them."""
    return compare({"off": off, "exact": exact}, SIZES, 0.0)


OFF = runs((3.0, 1.0), (1.0, 1.0), (0.5, 0.5))  # 10, 20 and 40 tokens/s
EXACT = runs((0.5, 0.5), (4.0, 4.0), (0.2, 0.2))  # 40, 5 and 100 tokens/s


def test_rates_are_medians_over_the_repeats() -> None:
    """A repeat's rate is all its tokens by all its seconds; the median repeat counts."""
    found = result(OFF, EXACT)
    assert (found.tokens_per_second_off, found.tokens_per_second, found.speedup) == (20.0, 40.0, 2.0)


def test_texts_that_agree_are_identical() -> None:
    """Prompt by prompt, repeat by repeat."""
    assert result(OFF, EXACT).identical is True


def test_one_text_that_differs_is_told() -> None:
    """A single byte in a single run is enough."""
    other = [*EXACT[:-1], [EXACT[-1][0], Timed(generation(30, b"B"), 0.2)]]
    assert result(OFF, other).identical is False


def test_acceptance_is_that_of_the_drafted_runs() -> None:
    """Sums over all runs with drafting; what the others' books say does not count."""
    second = (1.0, 1.0)
    found = result(runs(second, second, second, ledger=Ledger(drafted_tokens=99)), EXACT)
    assert (found.acceptance_rate, found.acceptance_length) == (0.625, 3.0)


def test_without_any_draft_nothing_was_accepted() -> None:
    """Books without a round give an acceptance of 0 and one token a round."""
    found = result(OFF, runs((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), ledger=Ledger()))
    assert (found.acceptance_rate, found.acceptance_length) == (0.0, 1.0)


def test_the_result_says_what_was_measured() -> None:
    """Sizes of the models, prompts and repeats come with the numbers."""
    found = result(OFF, EXACT)
    assert (found.target_parameters, found.drafter_parameters) == (1000, 10)
    assert (found.prompts, found.repeats, found.temperature) == (2, 3, 0.0)


def test_programs_find_the_fields_by_these_names() -> None:
    """The JSON object has them, and numbers and flag survive it."""
    found = result(OFF, EXACT)
    read = json.loads(json.dumps(asdict(found)))
    assert read.keys() >= FIELDS
    assert DemoResult(**read) == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DemoOptions(prompts=0), "prompts must be 1 to 16"),
        (DemoOptions(prompts=17), "prompts must be 1 to 16"),
        (DemoOptions(repeats=0), "repeats must be at least 1"),
    ],
)
def test_measuring_nothing_is_refused(options: DemoOptions, message: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match=message):
        demo(options=options)
