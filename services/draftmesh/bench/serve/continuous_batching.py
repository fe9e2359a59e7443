"""transformers' own continuous batching, in a process of its own: what a user of that library would serve with.

Measured as ``model.generate_batch`` runs it (its manager, scheduler, paged cache and sampling), but with requests
that are handed in one by one, so that as many are in flight as our server has clients. Tokens are stamped inside the
process: nothing is lost on the way to a client.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, ContinuousBatchingConfig, GenerationConfig
from transformers.utils import logging as transformers_logging

from draftmesh.bench.serve.load import Done, LoadRun
from draftmesh.bench.serve.requests import Request
from draftmesh.bench.token_times import Arrival, TokenTimes

_PAGE_TOKENS = 32
_BATCH_TOKENS = 256
"""Rows of a step at most; of 64, 256 and 1024 the fastest on the packaged target, by a little."""

_POLL_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """The model and what it may use."""

    model: str
    """Folder or hub name."""

    threads: int
    temperature: float
    prompts: tuple[str, ...]
    most_tokens: int
    """Of a generation."""

    concurrency: int
    """Requests in flight at most: its KV cache has room for so many of the longest."""


@dataclass(frozen=True, slots=True)
class PeerReady:
    """The process is ready, or says why it will never be."""

    failure: str = ""


@dataclass(frozen=True, slots=True)
class PeerLoad:
    """A load to put on it: so many requests in flight, until all have been answered."""

    requests: tuple[Request, ...]
    concurrency: int


def serve_peer(pipe: Connection, config: PeerConfig) -> None:
    """The process: answers every :class:`PeerLoad` with a :class:`LoadRun`, until the pipe closes."""
    torch.set_num_threads(config.threads)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with _manager(config) as (manager, tokenizer):
            _run(manager, tokenizer, PeerLoad((Request(config.prompts[0], 2, 0),), 1))  # what is done on first use
            pipe.send(PeerReady())
            while True:
                pipe.send(_run(manager, tokenizer, pipe.recv()))
    except EOFError:
        return
    except Exception as error:
        pipe.send(PeerReady(f"{type(error).__name__}: {error}"))


@contextmanager
def _manager(config: PeerConfig) -> Iterator[tuple[Any, Any]]:
    """The manager that transformers makes, with its thread, and the tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(config.model)
    longest_tokens = max(len(tokenizer(prompt)["input_ids"]) for prompt in config.prompts) + config.most_tokens
    pages = config.concurrency * (-(-longest_tokens // _PAGE_TOKENS) + 1)
    model = AutoModelForCausalLM.from_pretrained(config.model, dtype=torch.float32, attn_implementation="sdpa").eval()
    sampled = {"do_sample": True, "temperature": config.temperature} if config.temperature else {"do_sample": False}
    # top_k is 50 where nothing is said: ours has none.
    generation = GenerationConfig(**sampled, top_k=0, eos_token_id=model.generation_config.eos_token_id)
    batching = ContinuousBatchingConfig(page_size=_PAGE_TOKENS, num_blocks=pages, max_batch_tokens=_BATCH_TOKENS)
    manager = model.init_continuous_batching(generation_config=generation, continuous_batching_config=batching)
    manager.start()
    try:
        yield manager, tokenizer
    finally:
        manager.stop(block=True, hard_stop=True)


def _run(manager: Any, tokenizer: Any, load: PeerLoad) -> LoadRun:  # noqa: ANN401 (untyped)
    ids = {request.prompt: tokenizer(request.prompt)["input_ids"] for request in load.requests}
    waiting, done, dry_s = deque(load.requests), list[Done](), None
    started_s = time.monotonic()
    requested_s: dict[str, float] = {}

    def ask() -> None:
        request = waiting.popleft()
        asked_s = time.monotonic()
        name = manager.add_request(ids[request.prompt], max_new_tokens=request.max_tokens, record_timestamps=True)
        requested_s[name] = asked_s

    for _ in range(min(load.concurrency, len(waiting))):
        ask()
    while requested_s:
        output = manager.get_result(timeout=_POLL_TIMEOUT_S)
        if output is None:
            if not manager.is_running():
                raise RuntimeError(f"its generation thread has ended: {manager.background_thread_status.fatal_error}")
            continue
        if output.error is not None:
            raise RuntimeError(output.error)
        done.append(Done(_times(output, requested_s.pop(output.request_id))))
        if waiting:
            ask()
        else:
            dry_s = dry_s or time.monotonic()
    return LoadRun(tuple(done), started_s, dry_s or time.monotonic())


def _times(output: Any, requested_s: float) -> TokenTimes:  # noqa: ANN401 (untyped)
    """Its stamps are of ``time.perf_counter``, which is the monotonic clock on Linux and macOS."""
    offset_s = time.monotonic() - time.perf_counter()
    arrivals = tuple(Arrival(at_s + offset_s, number) for number, at_s in enumerate(output.timestamps, 1))
    return TokenTimes(requested_s, arrivals, time.monotonic())
