"""Finds out what a model's special tokens mean: their roles, whatever their spelling.

Four files can say it, by name or by id, and each adds to the others: a model may stop at several tokens. The
tokenizer's own files come first, so the token that they name is the one to write. Configs often carry ids of some other
vocabulary or pad with an ordinary word, so a token counts only if the tokenizer marks it as special; one that ends the
text also if it is merely added, or named by the tokenizer's own files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from draftmesh.core.text import Role
from draftmesh.tokenization.tokenizer_files import (
    GENERATION_CONFIG,
    MODEL_CONFIG,
    SPECIAL_TOKENS_MAP,
    TOKENIZER_CONFIG,
    JsonObject,
    TokenizerFiles,
)

_END_OF_TURN = frozenset({"<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end_of_turn|>", "<turn|>", "<|eot|>"})
_END_OF_TURN_IF_DECLARED = frozenset({"<|end|>", "<|eom_id|>", "<|eom|>"})
"""In some models these end a turn, in others only a part of one: they count where the model declares them."""

_KEYS = {Role.EOS: "eos_token", Role.BOS: "bos_token", Role.PAD: "pad_token", Role.UNK: "unk_token"}
"""In order of precedence: a token that ends the text is that above all."""


def find_roles(files: TokenizerFiles, added: Mapping[int, str], special: Collection[int]) -> dict[int, Role]:
    """The role of each id that has one; of several ids with one role, the one to write comes first.

    Args:
        files: the tokenizer's folder.
        added: the text of every added token by id.
        special: ids of the added tokens that are marked as special.
    """
    ids = _ids_by_name(files, added)
    roles: dict[int, Role] = {}
    for role, key in _KEYS.items():
        named = _named(files, key, ids)
        trusted = {*added, *named} if role is Role.EOS else special
        for token in (*named, *_declared(files, f"{key}_id")):
            if token in trusted:
                roles.setdefault(token, _refine(role, added.get(token, "")))
    for token, text in added.items():
        if text in _END_OF_TURN and roles.get(token) is not Role.EOS:
            roles[token] = Role.END_OF_TURN
    return roles


def _refine(role: Role, text: str) -> Role:
    ends_turn = text in _END_OF_TURN or text in _END_OF_TURN_IF_DECLARED
    return Role.END_OF_TURN if role is Role.EOS and ends_turn else role


def _declared(files: TokenizerFiles, key: str) -> list[int]:
    return [token for name in (GENERATION_CONFIG, MODEL_CONFIG) for token in _config_ids(files.document(name), key)]


def _config_ids(config: JsonObject, key: str) -> list[int]:
    value = config.get(key, config.get("text_config", {}).get(key))
    values = value if isinstance(value, list) else [value]
    return [token for token in values if isinstance(token, int)]


def _named(files: TokenizerFiles, key: str, ids: Mapping[str, int]) -> list[int]:
    names = (_spelling(files.document(name).get(key)) for name in (TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP))
    return [ids[name] for name in names if name in ids]


def _spelling(value: object) -> str:
    """A token in a config is its text, or an object that holds it."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _ids_by_name(files: TokenizerFiles, added: Mapping[int, str]) -> dict[str, int]:
    """Ids by text: added tokens, and pieces of the model for configs that name a token which was never added."""
    names = (files.document(name).get(key) for name in (TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP) for key in _KEYS.values())
    wanted = {_spelling(name) for name in names}
    vocabulary = files.tokenizer["model"]["vocab"]
    if isinstance(vocabulary, dict):
        ids = {name: vocabulary[name] for name in wanted if name in vocabulary}
    else:
        ids = {entry[0]: token for token, entry in enumerate(vocabulary) if entry[0] in wanted}
    return ids | {text: token for token, text in added.items()}
