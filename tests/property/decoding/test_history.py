"""A history that was cut back is as if it had never gone further."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.core.text import Role
from draftmesh.decoding.history import History
from tests.helpers.fakes_token_table import FakeTokenTable, text_of

TABLE = FakeTokenTable([b"a", b"bcd", Role.EOS, None, b"\xf0\x9f"])
KEY = NoiseKey(bytes(16))
IDS = st.lists(st.integers(0, len(TABLE) - 1), max_size=8)
PARAMS = st.sampled_from([SamplingParams(), SamplingParams(repetition_penalty=1.5)])
EDITS = st.lists(st.one_of(IDS, st.integers(0, 10)), max_size=8)


def fresh(params: SamplingParams, prompt: list[int], output: list[int]) -> History:
    """A history that only ever grew."""
    history = History(TABLE, params, KEY, prompt)
    history.append(output)
    return history


@given(PARAMS, IDS, EDITS, IDS)
def test_appends_and_truncations_leave_what_the_tokens_say(
    params: SamplingParams, prompt: list[int], edits: list[list[int] | int], draft: list[int]
) -> None:
    """After any edits, offset and rows are those of a history that was given the remaining tokens alone."""
    history, tokens = History(TABLE, params, KEY, prompt), list[int]()
    for edit in edits:
        if isinstance(edit, int):
            history.truncate(edit)
            del tokens[edit:]
        else:
            history.append(edit)
            tokens.extend(edit)
    assert history.offset == len(text_of(TABLE, tokens))
    assert history.rows(draft) == fresh(params, prompt, tokens).rows(draft)


@given(PARAMS, IDS, IDS, IDS)
def test_rows_of_a_draft_are_those_after_committing_it(
    params: SamplingParams, prompt: list[int], output: list[int], draft: list[int]
) -> None:
    """Row i is drawn as if draft tokens 1 to i were committed."""
    expected = [fresh(params, prompt, output + draft[:i]).rows([])[0] for i in range(len(draft) + 1)]
    assert fresh(params, prompt, output).rows(draft) == expected
