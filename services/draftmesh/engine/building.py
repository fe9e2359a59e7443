"""Puts an engine together: block pool, KV tensors, runner, judge."""

from __future__ import annotations

from draftmesh.core.errors import ConfigError
from draftmesh.decoding.judge import Judge as SamplingJudge
from draftmesh.decoding.sampler import Sampler
from draftmesh.engine.attention.backend import attention_backend
from draftmesh.engine.block_pool import BlockPool
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.engine import Engine
from draftmesh.engine.judging import Judge
from draftmesh.engine.kv_storage import KvStorage
from draftmesh.engine.limits import EngineLimits
from draftmesh.engine.loading import LoadedModel, PreparedModel
from draftmesh.engine.model_runner import ModelRunner
from draftmesh.engine.paging import Paging


def build_engine(loaded: LoadedModel, config: EngineConfig) -> Engine:
    """An engine that judges by the keyed sampler. Allocates the KV pool; call it on the engine's thread."""
    sampler = Sampler(loaded.tokenizer.vocabulary, loaded.device, loaded.prepared.vocab_rows)
    return assemble(loaded.prepared, config, SamplingJudge(sampler), loaded.vocabulary_size)


def assemble(prepared: PreparedModel, config: EngineConfig, judge: Judge, vocabulary_size: int) -> Engine:
    """An engine with any judge.

    Raises:
        ConfigError: the KV pool does not fit into memory, or this torch lacks the attention's kernel.
    """
    config.validate()
    num_slots = config.kv_blocks * config.block_size_tokens
    try:
        storage = KvStorage(prepared.kv_shapes, num_slots, prepared.decoder.dtype, prepared.decoder.device)
    except RuntimeError as error:  # torch's out-of-memory errors are RuntimeErrors
        raise ConfigError(f"no memory for a KV pool of {num_slots} tokens: {error}") from error
    limits = EngineLimits(
        context_tokens=prepared.context_tokens,
        pool_tokens=num_slots,
        vocabulary_size=vocabulary_size,
        token_budget_tokens=config.step_rows,
        max_sequences=config.max_sequences,
    )
    attention = attention_backend(config.attention, storage, config.block_size_tokens)
    pool = BlockPool(config.kv_blocks, config.block_size_tokens)
    runner = ModelRunner(prepared.decoder, attention)
    return Engine(runner, judge, Paging(pool, shares_prefixes=config.prefix_cache), limits)
