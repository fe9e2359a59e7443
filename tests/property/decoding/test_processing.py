"""Processing and draws against a slow implementation written from the definitions alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.logits import processed_log_probs
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.decoding.sampler import Sampler
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.reference_decoding import reference_distribution, reference_draw

torch.set_num_threads(1)
TABLE = FakeTokenTable([b"a", b"bc", b"a", Role.EOS, None, b"def", b"a", Role.EOS, b"\xff", None])
TOKENS = len(TABLE)
IDS = st.lists(st.integers(0, TOKENS - 1), max_size=6)
PARAMS = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 3, 50]),
    top_p=st.sampled_from([0.05, 0.37, 0.83, 1.0]),
    min_p=st.sampled_from([0.0, 0.013, 0.31]),
    repetition_penalty=st.sampled_from([0.7, 1.0, 1.7]),
    presence_penalty=st.sampled_from([-0.3, 0.0, 1.1]),
    frequency_penalty=st.sampled_from([0.0, 0.23]),
)
# Values that are exactly equal or differ by more than float64 rounds off, so that both sides see the same ties.
LOGITS = st.lists(
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(-8.0, 8.0, width=16)), min_size=TOKENS, max_size=TOKENS
)
SEQUENCES = st.lists(st.tuples(LOGITS, PARAMS, IDS, IDS, st.integers(0, 1000)), min_size=1, max_size=6)
Sequence = tuple[list[float], SamplingParams, list[int], list[int], int]


def row_of(sequence: Sequence) -> DrawRow:
    """The next draw of a sequence."""
    _, params, prompt, output, seed = sequence
    history = History(TABLE, params, mint_noise_key(seed, prompt), prompt)
    history.append(output)
    return history.rows([])[0]


def near_boundary(sequence: Sequence) -> bool:
    """Whether rounding may decide a top-p or min-p cut, where the two implementations may rightly differ."""
    logits, params, prompt, output, _ = sequence
    for change in (-1e-9, 1e-9):
        moved = SamplingParams(
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=min(1.0, params.top_p + change) if params.top_p < 1.0 else 1.0,
            min_p=max(0.0, params.min_p + change) if params.min_p > 0.0 else 0.0,
            repetition_penalty=params.repetition_penalty,
            presence_penalty=params.presence_penalty,
            frequency_penalty=params.frequency_penalty,
        )
        if np.any((distribution(sequence) > 0) != (reference_distribution(logits, moved, prompt, output) > 0)):
            return True
    return False


def distribution(sequence: Sequence) -> NDArray[np.float64]:
    """The reference's p."""
    logits, params, prompt, output, _ = sequence
    return reference_distribution(logits, params, prompt, output)


@given(SEQUENCES)
@settings(max_examples=150, deadline=None)
def test_the_processed_distribution_is_the_defined_one(sequences: list[Sequence]) -> None:
    """Penalties, temperature, top-k, top-p and min-p in this order, for a batch of mixed rows."""
    sequences = [s for s in sequences if s[1].temperature > 0.0 and not near_boundary(s)]
    if sequences:
        logits = torch.tensor([sequence[0] for sequence in sequences])
        p = processed_log_probs(logits, [row_of(sequence) for sequence in sequences]).exp().numpy()
        np.testing.assert_allclose(p, [distribution(sequence) for sequence in sequences], rtol=1e-9, atol=1e-12)


@given(SEQUENCES)
@settings(max_examples=150, deadline=None)
def test_draws_are_the_defined_ones(sequences: list[Sequence]) -> None:
    """Ids are argmax(log p + g) computed token by token, for a batch of mixed rows."""
    sequences = [sequence for sequence in sequences if not near_boundary(sequence)]
    rows = [row_of(sequence) for sequence in sequences]
    logits = torch.tensor([sequence[0] for sequence in sequences]).view(len(sequences), TOKENS)
    expected = [
        reference_draw(
            distribution(sequence),
            TABLE,
            row.position.key.key,
            row.position.offset,
            row.position.zero_byte_tokens,
        )
        for sequence, row in zip(sequences, rows, strict=True)
    ]
    assert Sampler(TABLE, "cpu", TOKENS).draw(logits, rows).ids == expected
