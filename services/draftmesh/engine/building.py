"""Puts an engine together: block pool, KV tensors, runner, judge."""

from __future__ import annotations

import structlog

from draftmesh.core.errors import ConfigError
from draftmesh.decoding.judge import Judge as SamplingJudge
from draftmesh.decoding.sampler import Sampler
from draftmesh.engine.attention.backend import attention_backend
from draftmesh.engine.attention.varlen_paged import VarlenPaged
from draftmesh.engine.block_pool import BlockPool
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.cuda_graphs import record_cuda_graph
from draftmesh.engine.decoders.decoder import Decoder, RecordableDecoder
from draftmesh.engine.engine import Engine
from draftmesh.engine.judging import Judge
from draftmesh.engine.kv_storage import KvStorage
from draftmesh.engine.limits import EngineLimits
from draftmesh.engine.loading import LoadedModel, PreparedModel
from draftmesh.engine.model_runner import ModelRunner, Runner
from draftmesh.engine.paging import Paging
from draftmesh.engine.step_graphs import GRAPH_ROWS, GraphRunner

_log = structlog.get_logger(__name__)


def build_engine(loaded: LoadedModel, config: EngineConfig) -> Engine:
    """An engine that judges by the keyed sampler. Allocates the KV pool; call it on the engine's thread."""
    sampler = Sampler(loaded.tokenizer.vocabulary, loaded.device, loaded.prepared.vocab_rows)
    return assemble(loaded.prepared, config, SamplingJudge(sampler), loaded.vocabulary_size)


def assemble(prepared: PreparedModel, config: EngineConfig, judge: Judge, vocabulary_size: int) -> Engine:
    """An engine with any judge.

    Raises:
        ConfigError: the KV pool does not fit into memory, or this torch lacks the kernel that is configured.
    """
    config.validate()
    num_slots = config.kv_blocks * config.block_size_tokens
    spare = _spare_blocks(config)
    try:
        storage = KvStorage(
            prepared.kv_shapes,
            num_slots + len(spare) * config.block_size_tokens,
            prepared.decoder.dtype,
            prepared.decoder.device,
        )
    except RuntimeError as error:  # torch's out-of-memory errors are RuntimeErrors
        raise ConfigError(f"no memory for a KV pool of {num_slots} tokens: {error}") from error
    limits = EngineLimits(
        context_tokens=prepared.context_tokens,
        pool_tokens=num_slots,
        vocabulary_size=vocabulary_size,
        token_budget_tokens=config.step_rows,
        max_sequences=config.max_sequences,
    )
    pool = BlockPool(config.kv_blocks, config.block_size_tokens)
    runner = _runner(prepared.decoder, config, storage, limits, spare)
    return Engine(runner, judge, Paging(pool, shares_prefixes=config.prefix_cache), limits)


def _spare_blocks(config: EngineConfig) -> range:
    """Blocks beyond those of the pool, for rows that fill up the graph of a step."""
    count = -(-max(GRAPH_ROWS) // config.block_size_tokens) if config.records_steps else 0
    return range(config.kv_blocks, config.kv_blocks + count)


def _runner(decoder: Decoder, config: EngineConfig, storage: KvStorage, limits: EngineLimits, spare: range) -> Runner:
    attention = attention_backend(config.attention_name, storage, config.block_size_tokens)
    eager = ModelRunner(decoder, attention)
    if not (config.records_steps and isinstance(attention, VarlenPaged) and isinstance(decoder, RecordableDecoder)):
        return eager
    try:
        return GraphRunner(
            eager,
            decoder,
            attention,
            sizes=[rows for rows in GRAPH_ROWS if rows <= limits.token_budget_tokens],
            most_blocks=-(-limits.sequence_tokens // config.block_size_tokens),
            spare=spare,
            record=record_cuda_graph,
        )
    except RuntimeError as error:  # a forward that looks at values on the device
        _log.warning("steps cannot be recorded as graphs", reason=str(error))
        return eager
