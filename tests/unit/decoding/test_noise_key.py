"""The host's half of the keyed noise."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import InvalidRequestError, UnsupportedError
from draftmesh.core.sampling import NoiseKey
from draftmesh.core.text import Role
from draftmesh.decoding.noise_key import NoisePosition, mint_noise_key, require_noise_key, token_keys
from tests.helpers.fakes_token_table import FakeTokenTable

GOLDEN_ENTRIES = (b"a", b" the", b"a", b"\xe2\x82", Role.EOS, Role.EOS, None, None)
GOLDEN_TOKEN_KEYS = [
    0xAE43AF3462DDD968,
    0xFC9CB708C8B3024A,
    0xFB1240AF18BD4C6D,
    0x244D77E2E2ABAF97,
    0x1713436E9CEC776E,
    0xBFBAC79E4CBCEB5F,
    0x86DEF88B4A54D0B9,
    0xA55F18FCAC8DF3FF,
]
KEY = NoiseKey(bytes(range(16)))


def test_token_keys_are_those_of_version_1() -> None:
    """Token keys never change: bytes, duplicate bytes, roles, and ids with neither."""
    assert token_keys(FakeTokenTable(GOLDEN_ENTRIES)) == GOLDEN_TOKEN_KEYS


@pytest.mark.parametrize(
    ("offset", "zero_byte_tokens", "words"),
    [
        (0, 0, (0x38AC551A0454A627, 0xDE137F9DDF6ACCD6)),
        (17, 2, (0x7D78702CFAA149FB, 0xCA44F2B5B338FE24)),
        (1 << 40, 0, (0x502550D5DC596C44, 0x664583AEFBCC67F4)),
    ],
)
def test_draw_words_are_those_of_version_1(offset: int, zero_byte_tokens: int, words: tuple[int, int]) -> None:
    """The words of a draw never change."""
    assert NoisePosition(KEY, offset, zero_byte_tokens).words() == words


def test_minted_keys_are_those_of_version_1() -> None:
    """A seed, a prompt and a choice give the same key for ever."""
    assert mint_noise_key(42, [1, 2, 3]) == NoiseKey(bytes.fromhex("98d67cb128909b94f35a80e8db18fb2a"), 1)
    assert mint_noise_key(-1, [], 7) == NoiseKey(bytes.fromhex("4cbaa26f10d6fcc5079d749efb38d2b7"), 1)


def test_every_part_of_a_request_changes_the_key() -> None:
    """Another seed, prompt or choice gets another key, so no noise is used twice."""
    requests = [(1, (5, 6), 0), (2, (5, 6), 0), (1, (5,), 0), (1, (6, 5), 0), (1, (5, 6), 1), (None, (5, 6), 0)]
    keys = {mint_noise_key(seed, prompt, choice).key for seed, prompt, choice in requests}
    assert len(keys) == len(requests)


def test_without_a_seed_every_key_is_new() -> None:
    """No seed takes the operating system's randomness."""
    assert mint_noise_key(None, [1]) != mint_noise_key(None, [1])


def test_a_seed_beyond_128_bits_is_refused() -> None:
    """A seed that does not fit is the caller's error."""
    with pytest.raises(InvalidRequestError, match="128 bits"):
        mint_noise_key(1 << 128, [1])


def test_keys_do_not_depend_on_where_a_token_stands() -> None:
    """Equal bytes or roles of equal rank share their key across vocabularies, whatever the ids."""
    one = token_keys(FakeTokenTable([b"x", Role.EOS, b"y", b"x"]))
    other = token_keys(FakeTokenTable([b"y", b"z", b"x", None, b"x", Role.EOS]))
    assert [one[2], one[0], one[3], one[1]] == [other[0], other[2], other[4], other[5]]


def test_a_key_of_an_unknown_version_is_refused() -> None:
    """Drawing with the wrong function would silently change texts."""
    with pytest.raises(UnsupportedError, match="version 2"):
        require_noise_key(NoiseKey(bytes(16), version=2))


def test_a_key_of_wrong_length_is_refused() -> None:
    """A key has 16 bytes."""
    with pytest.raises(InvalidRequestError, match="16 bytes"):
        require_noise_key(NoiseKey(b"short"))
