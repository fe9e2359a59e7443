"""What a sequence's past means for its next draws."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import InvalidTokenError, UnsupportedError
from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import DrawRow, History
from draftmesh.decoding.noise_key import NoisePosition
from tests.helpers.fakes_token_table import FakeTokenTable

TABLE = FakeTokenTable([b"a", b"bcd", Role.EOS, None, b"\xf0\x9f"])
KEY = NoiseKey(bytes(16))
GREEDY = SamplingParams()
PENALISED = SamplingParams(temperature=1.0, frequency_penalty=0.5)


def positions(rows: list[DrawRow]) -> list[tuple[int, int]]:
    """Offset and zero-byte count of each row."""
    return [(row.position.offset, row.position.zero_byte_tokens) for row in rows]


def counts(rows: list[DrawRow]) -> list[dict[int, int]]:
    """Output count by token, for each row."""
    return [dict(zip(row.penalties.ids, row.penalties.output_counts, strict=True)) for row in rows if row.penalties]


def test_rows_walk_the_draft_by_byte_offsets() -> None:
    """Each row's offset counts the bytes before it, and tokens without bytes are counted until the next byte."""
    history = History(TABLE, GREEDY, KEY, [1])
    history.append([1, 2])
    assert positions(history.rows([3, 0, 4])) == [(3, 1), (3, 2), (4, 0), (6, 0)]


def test_looking_ahead_changes_nothing() -> None:
    """Rows of a draft leave the history as it was."""
    history = History(TABLE, PENALISED, KEY, [1])
    history.append([0])
    before = history.rows([])
    history.rows([0, 3, 2])
    assert history.rows([]) == before


def test_rows_see_the_penalties_of_the_draft_before_them() -> None:
    """Row i counts the prompt (as 0), the output, and draft tokens 1 to i."""
    history = History(TABLE, PENALISED, KEY, [1, 1])
    history.append([0])
    expected = [{1: 0, 0: 1}, {1: 0, 0: 2}, {1: 1, 0: 2}, {1: 1, 0: 2, 4: 1}]
    assert counts(history.rows([0, 1, 4])) == expected


def test_earlier_rows_keep_their_counts() -> None:
    """A row once handed out does not change when the history grows."""
    history = History(TABLE, PENALISED, KEY, [1])
    row = history.rows([])[0]
    history.append([1, 0])
    assert counts([row]) == [{1: 0}]


def test_without_penalties_no_counts_are_kept() -> None:
    """Rows of a sampling without penalties carry none."""
    assert History(TABLE, GREEDY, KEY, [1]).rows([0])[1].penalties is None


def test_truncation_restores_the_position_inside_zero_byte_tokens() -> None:
    """Cutting between tokens without bytes counts those that stay."""
    history = History(TABLE, GREEDY, KEY, [])
    history.append([0, 2, 3, 1])
    history.truncate(2)
    assert (len(history), history.offset, history.position) == (2, 1, NoisePosition(KEY, 1, 1))


def test_truncation_beyond_the_end_keeps_all() -> None:
    """There is nothing to cut beyond the end."""
    history = History(TABLE, GREEDY, KEY, [])
    history.append([0])
    history.truncate(5)
    assert len(history) == 1


@pytest.mark.parametrize("token", [-1, 5])
def test_ids_outside_the_vocabulary_are_refused(token: int) -> None:
    """A bad draft id raises, and so does a bad append, which then adds nothing."""
    history = History(TABLE, GREEDY, KEY, [])
    with pytest.raises(InvalidTokenError, match="outside the vocabulary of 5"):
        history.rows([token])
    with pytest.raises(InvalidTokenError):
        history.append([0, token])
    assert len(history) == 0


def test_a_noise_key_of_an_unknown_version_is_refused_at_once() -> None:
    """The refusal comes when the sequence opens, not in a batch."""
    with pytest.raises(UnsupportedError):
        History(TABLE, GREEDY, NoiseKey(bytes(16), version=9), [])
