"""What a client may see of what the target has settled."""

from __future__ import annotations

import pytest

from draftmesh.coordinator.loop.transcript import Origin, Transcript
from draftmesh.core.errors import InternalError
from draftmesh.core.sampling import FinishReason
from draftmesh.core.text import Role, TokenPrefix
from draftmesh.core.verify import RoundStatus, TokenLogprobs, Verdict
from draftmesh.tokenization import Vocabulary

TOKENS = [b"a", b"b", b"stop", "é".encode()[:1], "é".encode()[1:], b"", b""]
A, B, STOP, E1, E2, EOS, SPECIAL = range(7)
TABLE = Vocabulary(TOKENS, {EOS: Role.EOS}, {SPECIAL})


def verdict(*tokens: int, accepted: int = 0, finish: FinishReason | None = None, length: int | None = None) -> Verdict:
    """A verdict with these tokens."""
    return Verdict(1, RoundStatus.DONE, TokenPrefix(), accepted, tokens, finish, length)


def test_tokens_are_kept_with_origin_and_text() -> None:
    """Accepted tokens come first in a verdict; special tokens are items of their own."""
    transcript = Transcript(TABLE, ())
    advance = transcript.settle(verdict(A, B, EOS, SPECIAL, accepted=1))
    assert [token.origin for token in advance.tokens] == [Origin.DRAFTED, *(Origin.TARGET,) * 3]
    assert [token.byte_length for token in advance.tokens] == [1, 1, 0, 0]
    assert (advance.text, list(transcript.items)) == (b"ab", [b"a", b"b", Role.EOS, b""])
    assert transcript.prefix == TokenPrefix().extend((A, B, EOS, SPECIAL))


def test_log_probabilities_stay_with_their_tokens() -> None:
    """One for each token, in order."""
    logprobs = (TokenLogprobs(-1.0), TokenLogprobs(-2.0))
    advance = Transcript(TABLE, ()).settle(Verdict(1, RoundStatus.DONE, TokenPrefix(), 0, (A, B), logprobs=logprobs))
    assert tuple(token.logprobs for token in advance.tokens) == logprobs


def test_half_a_character_is_held_back() -> None:
    """It is shown when the rest of it has come."""
    transcript = Transcript(TABLE, ())
    assert [transcript.settle(verdict(token)).ready_length for token in (A, E1, E2)] == [1, 1, 3]


def test_text_that_may_become_a_stop_string_is_held_back() -> None:
    """It is shown when it cannot become one any more."""
    transcript = Transcript(TABLE, (b"bb",))
    assert [transcript.settle(verdict(token)).ready_length for token in (A, B, A)] == [1, 1, 3]


def test_the_verifier_says_where_the_text_ends() -> None:
    """A stop string and what follows are not part of it."""
    transcript = Transcript(TABLE, (b"stop",))
    advance = transcript.settle(verdict(A, STOP, finish=FinishReason.STOP, length=1))
    assert (advance.ready_length, advance.finish_reason, transcript.finished) == (1, FinishReason.STOP, True)


def test_the_end_shows_what_was_held_back() -> None:
    """At the end of the text nothing else can come."""
    transcript = Transcript(TABLE, (b"bb",))
    assert transcript.settle(verdict(A, B, finish=FinishReason.LENGTH, length=2)).ready_length == 2


def test_an_unknown_token_is_a_verifiers_bug() -> None:
    """Nothing of such a verdict is kept."""
    transcript = Transcript(TABLE, ())
    with pytest.raises(InternalError, match="vocabulary"):
        transcript.settle(verdict(A, len(TOKENS)))
    assert list(transcript.ids) == []


@pytest.mark.parametrize("length", [0, 9])
def test_text_cannot_end_before_what_was_shown_or_after_what_was_said(length: int) -> None:
    """Such a verdict is refused before anything of it is kept."""
    transcript = Transcript(TABLE, ())
    transcript.settle(verdict(A))
    with pytest.raises(InternalError, match="ends the text"):
        transcript.settle(verdict(B, finish=FinishReason.STOP, length=length))
    assert (list(transcript.ids), transcript.finished) == ([A], False)
