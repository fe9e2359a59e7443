"""The process of one transformers peer: its own copy of the models, all cores, one generation at a time.

A process for each, since transformers' TLI remaps the assistant's embedding in place. Between generations it waits on
its pipe and computes nothing. All that is not named here is transformers' default, as a user gets it: 20 assistant
tokens a round, cut where the assistant is less than 40 % sure, and a dynamic KV cache; but for what TLI needs to say
what its target says (:func:`_in_order_of_ids`).
"""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from operator import itemgetter
from typing import Any, cast

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.generation.candidate_generator import (
    AssistedCandidateGenerator,
    AssistedCandidateGeneratorDifferentTokenizers,
    CandidateGenerator,
    UniversalSpeculativeDecodingGenerator,
)

from draftmesh.bench.peers.contestant import Served, Task

_WAYS = {
    AssistedCandidateGeneratorDifferentTokenizers: "SLEM",
    UniversalSpeculativeDecodingGenerator: "TLI",
    AssistedCandidateGenerator: "equal vocabularies",
}


class Assistance(enum.Enum):
    """How a peer uses an assistant."""

    NONE = enum.auto()
    CHOSEN = enum.auto()
    """As transformers chooses: SLEM for greedy decoding, TLI for sampling, neither where vocabularies are equal."""

    SLEM = enum.auto()
    """SLEM also for sampling; no option asks for it, so this takes transformers' choice over."""


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """One peer."""

    target: str
    """Folder or hub name."""

    drafter: str
    """The assistant: folder or hub name; unused without assistance."""

    assistance: Assistance
    threads: int
    dtype: str
    """torch's name of it, or ``auto`` for the checkpoint's own."""

    device: str
    end_ids: tuple[int, ...]
    """Tokens that end the text."""


@dataclass(frozen=True, slots=True)
class PeerFailure:
    """Sent instead of an answer."""

    reason: str


def serve_peer(pipe: Connection, spec: PeerSpec) -> None:
    """Load, say so (None), and answer each :class:`Task` with :class:`Served`; :class:`PeerFailure` says why not."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(spec.threads)
    try:
        peer = _Peer(spec)
    except Exception as error:
        pipe.send(_failure(error))
        return
    pipe.send(None)
    while (task := _next_task(pipe)) is not None:
        pipe.send(_answer(peer, task))


def _next_task(pipe: Connection) -> Task | None:
    """None when the pipe is closed."""
    try:
        return cast("Task", pipe.recv())
    except EOFError:
        return None


def _answer(peer: _Peer, task: Task) -> Served | PeerFailure:
    try:
        return peer.generate(task)
    except Exception as error:  # whatever a foreign library raises: this peer cannot do it
        return _failure(error)


def _failure(error: Exception) -> PeerFailure:
    return PeerFailure(f"transformers: {type(error).__name__}: {error}")


class _Peer:
    """The models of one process."""

    def __init__(self, spec: PeerSpec) -> None:
        self._spec = spec
        self._model = _load(spec, spec.target)
        self._rows = 0
        self._forwards = 0
        self._way = ""
        self._model.register_forward_pre_hook(self._count, with_kwargs=True)
        self._assistant: dict[str, Any] = {}
        if spec.assistance is not Assistance.NONE:
            self._assistant = _assistant(spec, self._model)
            self._choose_way = self._model._get_candidate_generator
            self._model._get_candidate_generator = self._choose

    def generate(self, task: Task) -> Served:
        """One generation, timed as its caller sees it."""
        self._rows = self._forwards = 0
        torch.manual_seed(task.seed)
        ids = torch.tensor([task.prompt_ids], device=self._model.device)  # [1, prompt]
        config = self._config(task)
        started_s = time.monotonic()
        out = self._model.generate(
            ids, attention_mask=torch.ones_like(ids), generation_config=config, **self._assistant
        )
        generated = tuple(out[0, len(task.prompt_ids) :].tolist())
        seconds = time.monotonic() - started_s
        return Served(
            ids=generated,
            seconds=seconds,
            way=self._way,
            # The first forward has the prompt's rows, each later one the row of a committed token; the rest are drafts.
            drafted_tokens=self._rows - len(task.prompt_ids) - (self._forwards - 1),
            accepted_tokens=len(generated) - self._forwards,
            rounds=self._forwards if self._assistant else 0,
        )

    def _config(self, task: Task) -> GenerationConfig:
        sampled = task.temperature > 0
        law = {"temperature": task.temperature, "top_k": 0, "top_p": 1.0} if sampled else {}
        return GenerationConfig(
            max_new_tokens=task.max_tokens,
            do_sample=sampled,
            repetition_penalty=1.0,  # a checkpoint's own defaults would fill in what is not given
            eos_token_id=list(self._spec.end_ids) or None,
            pad_token_id=(*self._spec.end_ids, 0)[0],
            **law,
        )

    def _count(self, _module: torch.nn.Module, _args: tuple[object, ...], kwargs: dict[str, Any]) -> None:
        self._rows += kwargs["input_ids"].shape[1]
        self._forwards += 1

    def _choose(self, **kwargs: object) -> CandidateGenerator:
        """As the model's own method, which this stands for; remembers what was chosen."""
        by_text = self._spec.assistance is Assistance.SLEM and "tokenizer" in self._assistant
        chosen = AssistedCandidateGeneratorDifferentTokenizers(**kwargs) if by_text else self._choose_way(**kwargs)
        self._way = _WAYS.get(type(chosen), type(chosen).__name__)
        return chosen


def _load(spec: PeerSpec, name: str) -> PreTrainedModel:
    dtype = spec.dtype if spec.dtype == "auto" else getattr(torch, spec.dtype)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(name, dtype=dtype).to(spec.device)
    return model.eval()


def _assistant(spec: PeerSpec, target: PreTrainedModel) -> dict[str, Any]:
    """The arguments of ``generate`` for assistance; for vocabularies of one size transformers wants no tokenizers."""
    assistant = _load(spec, spec.drafter)
    tokenizers = [_in_order_of_ids(AutoTokenizer.from_pretrained(name)) for name in (spec.target, spec.drafter)]
    if target.config.get_text_config().vocab_size != assistant.config.get_text_config().vocab_size:
        return {"assistant_model": assistant, "tokenizer": tokenizers[0], "assistant_tokenizer": tokenizers[1]}
    if tokenizers[0].get_vocab() != tokenizers[1].get_vocab():
        raise ValueError("transformers takes vocabularies of one size for equal, and these are not")
    return {"assistant_model": assistant}


def _in_order_of_ids(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The same one, which lists its vocabulary by rising ids.

    transformers (5.23) prunes the assistant's head to the common tokens in the order in which the assistant's
    vocabulary lists them, and then takes its logits for those of rising ids. A fast tokenizer lists them in any order:
    a draft token is then judged by the probability of another one, nearly every draft passes, and what is said is not
    the target's.
    """
    vocabulary = dict(sorted(tokenizer.get_vocab().items(), key=itemgetter(1)))
    tokenizer.get_vocab = vocabulary.copy
    return tokenizer
