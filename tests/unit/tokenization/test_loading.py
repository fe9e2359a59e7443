"""What a folder says: family, roles, digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import draftmesh
from draftmesh.core.endpoint import TokenizerFile
from draftmesh.core.text import Role
from draftmesh.tokenization import TokenizerFamily, load_tokenizer, tokenizer_from_files
from tests.helpers.tokenizers import (
    ACCEPTED,
    BYTE_LEVEL,
    SENTENCEPIECE,
    Document,
    files_of,
    small_tokenizer,
    tokenizer_document,
    tokenizer_files,
    write_tokenizer,
)


def _roles(document: Document, names: Document | None = None, /, **others: Document) -> dict[str, list[str]]:
    """Spellings of the tokens of each role, in order."""
    table = tokenizer_from_files(files_of(document, names, **others)).vocabulary
    spelling = {token: text for text, token in document["model"]["vocab"].items()}
    spelling |= {token["id"]: token["content"] for token in document["added_tokens"]}
    roles = {role.name: [spelling[token] for token in table.ids_of_role(role)] for role in Role}
    return {name: tokens for name, tokens in roles.items() if tokens}


def _id_of(document: Document, text: str) -> int:
    return next(int(token["id"]) for token in document["added_tokens"] if token["content"] == text)


def test_families_are_recognised() -> None:
    """Every tokenizer is of the family that it was built as."""
    expected = [TokenizerFamily.BYTE_LEVEL_BPE] * len(BYTE_LEVEL) + [TokenizerFamily.SENTENCEPIECE_BPE] * len(
        SENTENCEPIECE
    )
    assert [small_tokenizer(name).family for name in ACCEPTED] == [*expected, TokenizerFamily.UNIGRAM]


def test_byte_pieces_are_those_that_spell_a_byte() -> None:
    """A byte-level vocabulary has none: its single bytes are ordinary tokens."""
    vocabulary = small_tokenizer("llama2").vocabulary
    pieces = [token for token in range(len(vocabulary)) if vocabulary.is_fallback(token)]
    assert [vocabulary.token_bytes(token) for token in pieces] == [bytes([byte]) for byte in range(256)]
    vocabulary = small_tokenizer("gpt2").vocabulary
    assert not any(vocabulary.is_fallback(token) for token in range(len(vocabulary)))


def test_folder_and_files_make_the_same_tokenizer(tmp_path: Path) -> None:
    """A verifier that loads a folder and a coordinator that gets its files agree."""
    loaded = load_tokenizer(write_tokenizer("llama3", tmp_path))
    received = tokenizer_from_files(loaded.files)
    assert (received.digest, received.vocabulary.digest) == (loaded.digest, loaded.vocabulary.digest)


def test_only_relevant_files_are_kept(tmp_path: Path) -> None:
    """What is served to others is the tokenizer, not the model's whole folder."""
    (write_tokenizer("gpt2", tmp_path) / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    names = {file.name for file in load_tokenizer(tmp_path).files}
    assert names == {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}


def test_digest_ignores_formatting_and_what_is_irrelevant() -> None:
    """Indentation, the order of files, and a model's dtype do not make another tokenizer."""
    files = tokenizer_files("gpt2")
    pretty = [
        TokenizerFile(file.name, json.dumps(json.loads(file.data), indent=4).encode()) for file in reversed(files)
    ]
    others = [TokenizerFile("config.json", b'{"dtype": "bfloat16"}'), TokenizerFile("README.md", b"hello")]
    assert tokenizer_from_files([*pretty, *others]).digest == tokenizer_from_files(files).digest


@pytest.mark.parametrize(
    "file",
    [
        TokenizerFile("generation_config.json", b'{"eos_token_id": [700]}'),
        TokenizerFile("chat_template.jinja", b"{{ messages }}"),
    ],
    ids=lambda file: file.name,
)
def test_digest_tells_what_is_relevant(file: TokenizerFile) -> None:
    """Another end token or another chat template is another tokenizer."""
    files = tokenizer_files("gpt2")
    assert tokenizer_from_files([*files, file]).digest != tokenizer_from_files(files).digest


def test_end_of_turn_is_known_by_its_spelling() -> None:
    """Llama 3 names the end of a turn as its end of text."""
    document = tokenizer_document("llama3")
    names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
    assert _roles(document, names) == {"BOS": ["<|begin_of_text|>"], "END_OF_TURN": ["<|eot_id|>"]}


def test_generation_config_adds_end_tokens_after_the_named_one() -> None:
    """A model may stop at several tokens; the one that its tokenizer names is written."""
    document = tokenizer_document("llama3")
    document["added_tokens"][3]["content"] = "<|eom_id|>"
    ids = [_id_of(document, text) for text in ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")]
    roles = _roles(document, {"eos_token": "<|eot_id|>"}, generation_config={"eos_token_id": ids})
    assert roles == {"EOS": ["<|end_of_text|>"], "END_OF_TURN": ["<|eot_id|>", "<|eom_id|>"]}


def test_a_message_end_that_is_not_declared_has_no_role() -> None:
    """In some models <|end|> ends only a part of a turn: it ends a text where the model says so."""
    document = tokenizer_document("llama3")
    document["added_tokens"][3]["content"] = "<|end|>"
    assert _roles(document, {"eos_token": "<|end_of_text|>"}) == {
        "EOS": ["<|end_of_text|>"],
        "END_OF_TURN": ["<|eot_id|>"],
    }


def test_model_config_is_read_and_its_text_part_too() -> None:
    """A multimodal config holds the language model's ids one level deeper."""
    document = tokenizer_document("llama2")
    roles = _roles(document, config={"text_config": {"bos_token_id": 1, "eos_token_id": 2}})
    assert roles == {"BOS": ["<s>"], "EOS": ["</s>"]}


def test_an_id_of_some_other_vocabulary_is_ignored() -> None:
    """A config's default id that is an ordinary word here does not end texts."""
    assert _roles(tokenizer_document("gpt2"), generation_config={"eos_token_id": 2, "pad_token_id": 0}) == {}


def test_ending_a_text_is_the_strongest_role() -> None:
    """One token for everything is an end of text."""
    name = "<|endoftext|>"
    names = {"bos_token": name, "eos_token": name, "pad_token": name, "unk_token": name}
    assert _roles(tokenizer_document("gpt2"), names) == {"EOS": [name]}


def test_an_end_token_that_was_never_added_is_found_by_name() -> None:
    """A tokenizer may name a piece of its model as its end of text without marking it."""
    document = tokenizer_document("llama2")
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] != "</s>"]
    assert _roles(document, {"eos_token": "</s>"}) == {"EOS": ["</s>"]}


def test_special_tokens_map_is_read() -> None:
    """Older folders name their special tokens in a file of its own."""
    assert _roles(tokenizer_document("llama2"), special_tokens_map={"eos_token": {"content": "</s>"}}) == {
        "EOS": ["</s>"]
    }


def test_padding_with_an_ordinary_word_leaves_the_word_its_bytes() -> None:
    """Some configs pad with a token that texts use."""
    document = tokenizer_document("gpt2")
    tokenizer = tokenizer_from_files(files_of(document, {"pad_token": "!"}))
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(b"!")) == b"!"


def test_demo_tokenizers_keep_every_byte() -> None:
    """The shipped models' tokenizers are accepted, and end their texts."""
    folders = sorted(path.parent for path in Path(draftmesh.__path__[0]).glob("demo/assets/*/tokenizer.json"))
    assert folders
    assert [len(load_tokenizer(folder).vocabulary.terminal_ids) for folder in folders] == [1] * len(folders)
