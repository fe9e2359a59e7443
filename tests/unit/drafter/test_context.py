"""What a model drafter conditions on."""

from __future__ import annotations

import itertools

import pytest

from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.core.text import Item, Role
from draftmesh.decoding.history import History
from draftmesh.drafter.context import WindowHistory, encode_context, fit, fit_steadily
from draftmesh.drafter.window import ContextWindow
from tests.helpers.tokenizers import small_tokenizer

LLAMA = small_tokenizer("llama2")
QWEN = small_tokenizer("qwen")
KEY = NoiseKey(bytes(16))


def test_plain_text_is_the_models_own_prompt() -> None:
    """Text alone gets the model's BOS and prefix space."""
    assert encode_context(LLAMA, (b"The quick",)) == LLAMA.encode_prompt("The quick")


def test_a_leading_bos_is_not_doubled() -> None:
    """A context that begins with the target's BOS role gets one BOS."""
    ids = encode_context(LLAMA, (Role.BOS, b"The quick"))
    bos = LLAMA.vocabulary.ids_of_role(Role.BOS)[0]
    assert (ids[0], ids.count(bos)) == (bos, 1)


@pytest.mark.parametrize("context", [(b"Hi", Role.END_OF_TURN, b"there"), (Role.END_OF_TURN, b"Hi")])
def test_roles_become_own_tokens(context: tuple[Item, ...]) -> None:
    """Roles inside the context are this vocabulary's special tokens."""
    end = QWEN.vocabulary.ids_of_role(Role.END_OF_TURN)[0]
    ids = encode_context(QWEN, context)
    assert (ids.count(end), QWEN.decode_bytes(ids)) == (1, b"".join(i for i in context if isinstance(i, bytes)))


def test_bytes_that_are_no_text_are_kept() -> None:
    """A context cut inside a character keeps its bytes, after the model's own beginning."""
    ids = encode_context(LLAMA, (b"caf\xc3",))
    assert (ids[0], LLAMA.decode_bytes(ids)) == (LLAMA.vocabulary.ids_of_role(Role.BOS)[0], b"caf\xc3")


def test_empty_context_begins_with_a_special_token() -> None:
    """Without any text there is still a token to predict from."""
    assert encode_context(QWEN, ()) == [QWEN.vocabulary.ids_of_role(Role.END_OF_TURN)[0]]


def test_what_fits_is_kept_whole() -> None:
    """Nothing is forgotten while there is room."""
    assert fit([1, 2, 3], [4, 5], limit_tokens=10, room_tokens=2) == ContextWindow((1, 2, 3), 0)


def test_long_prompt_keeps_its_first_token_and_its_end() -> None:
    """Beyond the limit the first token and the newest half stay."""
    prompt = list(range(100))
    assert fit(prompt, [], limit_tokens=20, room_tokens=2) == ContextWindow((0, *range(91, 100)), 0)


def test_long_generation_keeps_its_newest_tokens_rewindable() -> None:
    """Generated tokens beyond the limit become part of the fixed text, but for the newest."""
    window = fit([0, 1], list(range(2, 402)), limit_tokens=200, room_tokens=2)
    kept = [*window.prompt_ids, *range(2 + window.first_generated, 402)]
    assert (kept, 400 - window.first_generated) == ([0, *range(303, 402)], 64)


@pytest.mark.parametrize("length", [3, 4, 5, 9, 50])
@pytest.mark.parametrize("generated", [0, 1, 30])
def test_a_window_always_leaves_room(length: int, generated: int) -> None:
    """Whatever the sizes, prompt and generated tokens fit with room to spare, and the end is never cut."""
    prompt, output = list(range(40)), list(range(40, 40 + generated))
    window = fit(prompt, output, limit_tokens=length, room_tokens=1)
    kept = [*window.prompt_ids, *output[window.first_generated :]]
    assert len(kept) + 1 <= length
    assert kept[-1] == (prompt + output)[-1]


def test_window_history_draws_as_the_whole_one() -> None:
    """A sequence that holds only the newest tokens has the noise and the penalties of the whole generation."""
    params = SamplingParams(temperature=1.0, presence_penalty=0.5)
    whole = History(QWEN.vocabulary, params, KEY, [1, 2])
    whole.append([40, 41, 42, 43])
    window = WindowHistory(
        QWEN.vocabulary, params, KEY, prompt_ids=[1, 2], generated_ids=[40, 41, 42, 43], first_generated=3
    )
    assert (len(window), window.rows([44])) == (1, whole.rows([44]))


def test_window_history_rewinds_by_the_window() -> None:
    """Truncating counts from the window's start."""
    window = WindowHistory(
        QWEN.vocabulary, SamplingParams(), KEY, prompt_ids=[1], generated_ids=[40, 41, 42, 43], first_generated=2
    )
    window.truncate(1)
    assert (len(window), window.offset) == (1, len(QWEN.decode_bytes([40, 41, 42])))


def test_steady_window_holds_what_fits() -> None:
    """Nothing is left out where all fits with the room."""
    assert fit_steadily((1, 2), (3, 4), 8, 4) == ContextWindow((1, 2), 0)


@pytest.mark.parametrize("length", range(60))
def test_steady_window_leaves_room_and_keeps_the_end(length: int) -> None:
    """The window and the room fit, the first token stays, and all kept generated tokens are at the end."""
    prompt, generated = tuple(range(100, 110)), tuple(range(length))
    window = fit_steadily(prompt, generated, 20, 6)
    kept = (*window.prompt_ids, *generated[window.first_generated :])
    assert len(kept) + 6 <= 20
    assert kept[0] == 100
    assert kept[1:] == (*prompt, *generated)[len(prompt) + length - len(kept) + 1 :]


def test_steady_window_moves_rarely() -> None:
    """One more token seldom changes what is left out, so that KV is kept."""
    windows = [fit_steadily((1,), tuple(range(length)), 20, 6) for length in range(60)]
    assert sum(before != after for before, after in itertools.pairwise(windows)) <= 60 // 7 + 1
