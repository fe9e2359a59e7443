"""Starts a drafter from its target: the body is copied, the embeddings are translated.

A drafter's token begins as the mean of the target's embeddings of the same bytes. The drafter so
knows the target's language from the first step, and training has only to move it to another
tokenizer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from draftmesh.demo.architecture import Shape, new_llama
from draftmesh.demo.encoding import end_of_text_id
from draftmesh.tokenization import Tokenizer


@torch.no_grad()
def drafter_from(
    target: LlamaForCausalLM, target_tokenizer: Tokenizer, tokenizer: Tokenizer, shape: Shape
) -> LlamaForCausalLM:
    """A drafter of the target's width and head size, with the target's outer layers.

    With fewer layers than the target, the last ones before the final layer are left out.
    """
    size = len(tokenizer.vocabulary)
    drafter = new_llama(shape, vocabulary_size=size, end_of_text_id=end_of_text_id(tokenizer), seed=2)
    embeddings = target.get_input_embeddings().weight
    translated = [_translated(embeddings, target_tokenizer, tokenizer, token) for token in range(size)]
    drafter.get_input_embeddings().weight.copy_(torch.stack(translated))
    layers = list(target.model.layers)
    kept = [*layers[: shape.layers - 1], layers[-1]]
    for own, source in zip(drafter.model.layers, kept, strict=True):
        own.load_state_dict(source.state_dict())
    drafter.model.norm.load_state_dict(target.model.norm.state_dict())
    return drafter


def _translated(
    embeddings: Tensor,  # [target vocab, hidden]
    target: Tokenizer,
    drafter: Tokenizer,
    token: int,
) -> Tensor:  # [hidden]
    if token == end_of_text_id(drafter):
        return embeddings[end_of_text_id(target)]
    ids = target.encode_bytes(drafter.vocabulary.token_bytes(token))
    return embeddings[ids].mean(dim=0) if ids else embeddings.mean(dim=0)
