"""From a folder to an engine: what is loaded, what identifies it, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from draftmesh.core.errors import ConfigError, UnsupportedModelError, UnsupportedTokenizerError
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams
from draftmesh.decoding.history import History
from draftmesh.engine.building import build_engine
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.loading import LoadedModel, load_model
from tests.helpers.engines import RecordingListener, open_sequence, run_dry
from tests.helpers.tiny_models import TINY_CONFIGS, random_model, whole_logits
from tests.helpers.tokenizers import small_tokenizer, write_tokenizer

ENGINE = EngineConfig(model="tiny", kv_cache_tokens=512)
HEAD_ROWS = 1000  # more than any of the small tokenizers has tokens


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def llama_config() -> LlamaConfig:
    """A tiny llama with a head that is wider than the vocabulary."""
    return LlamaConfig(**{**TINY_CONFIGS["llama"].to_dict(), "vocab_size": HEAD_ROWS})


def write_model(folder: Path, *, seed: int = 0, tokenizer: str = "gpt2") -> EngineConfig:
    """A model's folder, and the configuration that names it."""
    random_model(llama_config(), seed=seed).save_pretrained(folder)
    write_tokenizer(tokenizer, folder)
    return EngineConfig(model=str(folder), threads=1, kv_cache_tokens=512)


def test_a_folder_gives_model_and_tokenizer(tmp_path: Path) -> None:
    """Ids are those that both model and tokenizer know."""
    loaded = load_model(write_model(tmp_path))
    assert loaded.tokenizer.vocabulary.digest == small_tokenizer("gpt2").vocabulary.digest
    assert loaded.vocabulary_size == len(small_tokenizer("gpt2").vocabulary)
    assert (loaded.prepared.vocab_rows, loaded.context_tokens) == (HEAD_ROWS, 256)
    assert loaded.parameters == sum(parameter.numel() for parameter in random_model(llama_config()).parameters())


def test_the_digest_names_weights_dtype_quantization_and_tokenizer(tmp_path: Path) -> None:
    """The same folder again gives the same digest; any of the four changes it."""
    base = write_model(tmp_path / "base")
    digests = [
        load_model(config).digest
        for config in (
            base,
            write_model(tmp_path / "again"),
            write_model(tmp_path / "weights", seed=1),
            write_model(tmp_path / "tokenizer", tokenizer="llama3"),
            EngineConfig(model=base.model, dtype="bfloat16", kv_cache_tokens=512),
            EngineConfig(model=base.model, quantization="int8", kv_cache_tokens=512),
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


def test_a_name_that_is_no_folder_and_no_model_is_refused(tmp_path: Path) -> None:
    """With a message that says so."""
    with pytest.raises(ConfigError, match="is no folder"):
        load_model(EngineConfig(model=str(tmp_path / "nothing")))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """Tokenizer files alone are not enough."""
    write_tokenizer("gpt2", tmp_path)
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_model(EngineConfig(model=str(tmp_path)))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    """A configuration and a tokenizer are not enough either."""
    llama_config().save_pretrained(tmp_path)
    write_tokenizer("gpt2", tmp_path)
    with pytest.raises(ConfigError, match="cannot load the weights"):
        load_model(EngineConfig(model=str(tmp_path)))


def test_a_tokenizer_that_loses_bytes_is_refused(tmp_path: Path) -> None:
    """Before the weights are read."""
    with pytest.raises(UnsupportedTokenizerError):
        load_model(write_model(tmp_path, tokenizer="wordpiece"))


def test_a_context_beyond_the_model_is_refused(tmp_path: Path) -> None:
    """By the gate."""
    config = write_model(tmp_path)
    with pytest.raises(UnsupportedModelError, match="1000 tokens"):
        load_model(EngineConfig(model=config.model, max_context_tokens=1000))


@pytest.mark.parametrize(
    ("device", "message"), [("cuda", "this machine has none"), ("toaster", "is no device")], ids=["cuda", "toaster"]
)
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, device: str, message: str) -> None:
    """By name."""
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has one")
    config = write_model(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_model(EngineConfig(model=config.model, device=device))


def generate(loaded: LoadedModel, drafts: list[tuple[int, ...]], *, temperature: float) -> list[int]:
    """24 tokens: one request for each draft, then decoding."""
    with torch.inference_mode():
        engine = build_engine(loaded, ENGINE)
        prompt = loaded.tokenizer.encode_prompt("The quick brown fox")
        sampling = SamplingParams(temperature=temperature)
        listener = RecordingListener(limit=24)
        history = History(loaded.tokenizer.vocabulary, sampling, NoiseKey(bytes(range(16))), prompt)
        seq = engine.open(prompt, [], history, listener, method=Method.EXACT)
        for draft in drafts:
            engine.submit(seq, draft)
            run_dry(engine)
        engine.submit(seq, run=24)
        run_dry(engine)
    assert listener.errors == []
    return listener.tokens


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_drafts_do_not_change_what_is_said(tmp_path: Path, temperature: float) -> None:
    """With the keyed sampler as judge, right drafts, wrong drafts and none give one text."""
    loaded = load_model(write_model(tmp_path))
    plain = generate(loaded, [], temperature=temperature)
    drafts = [(*plain[:4], 3), (7, 7, 7)]
    assert generate(loaded, drafts, temperature=temperature) == plain


def test_greedy_text_is_that_of_transformers(tmp_path: Path) -> None:
    """From file to text, nothing is lost."""
    loaded = load_model(write_model(tmp_path))
    text = loaded.tokenizer.encode_prompt("The quick brown fox")
    plain = random_model(llama_config())
    size = loaded.vocabulary_size
    prompt_length = len(text)
    for _ in range(24):
        text.append(int(whole_logits(plain, text)[-1, :size].argmax()))
    assert generate(loaded, [], temperature=0.0) == text[prompt_length:]


@pytest.mark.parametrize(("prefix_cache", "hits"), [(True, 32), (False, 0)])
def test_the_prefix_cache_can_be_switched_off(tmp_path: Path, prefix_cache: bool, hits: int) -> None:
    """A prompt that was computed before is found again or not; the text is the same."""
    loaded = load_model(write_model(tmp_path))
    engine = build_engine(loaded, replace(ENGINE, prefix_cache=prefix_cache))
    texts = []
    for _ in range(2):
        seq, listener = open_sequence(engine, list(range(40)), limit=4)
        engine.submit(seq, run=3)
        run_dry(engine)
        engine.close(seq)
        texts.append(listener.tokens)
    assert len(texts[0]) == 4
    assert texts[0] == texts[1]
    assert engine.stats.prefix_hit_tokens == hits
