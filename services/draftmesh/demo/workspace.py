"""The folder of a training run: what each stage reads and leaves behind."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from draftmesh.demo.architecture import CONTEXT_TOKENS
from draftmesh.demo.corpus import Corpus, read_corpus
from draftmesh.demo.families import FAMILIES, save_tokenizer
from draftmesh.demo.streams import encode_stream
from draftmesh.tokenization import Tokenizer, load_tokenizer

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths and logging of one run below `root`; every file appears complete or not at all."""

    root: Path
    sources: Path | None = None
    """Folder of the corpus; None: the running standard library."""

    started_s: float = field(default_factory=time.monotonic)

    def log(self, message: str) -> None:
        """Print one line with the seconds since the start."""
        print(f"[{time.monotonic() - self.started_s:7.1f}] {message}", flush=True)

    def model_folder(self, stage: str) -> Path:
        """The checkpoint that `stage` leaves behind."""
        return self.root / stage

    def state_file(self, stage: str) -> Path:
        """Where `stage` keeps its unfinished training."""
        return self.root / f"{stage}.state"

    def corpus(self) -> Corpus:
        """The text to learn from."""
        return read_corpus(self.sources)

    def tokenizer(self, name: str, vocabulary_size: int) -> Tokenizer:
        """The tokenizer of model `name`, trained on first use."""
        folder = self.root / "tokenizers" / name
        if not (folder / "tokenizer_config.json").exists():
            texts = (file.text for file in self.corpus().training)
            family = FAMILIES[name]
            save_tokenizer(family.train(texts, vocabulary_size), family, folder, CONTEXT_TOKENS)
        return load_tokenizer(folder)

    def save(self, model: LlamaForCausalLM, stage: str, name: str, dtype: torch.dtype) -> None:
        """Save `model` with the tokenizer of `name` as what `stage` leaves behind.

        Weights are stored in `dtype`; config.json says float32, so that loading computes in fp32
        with exactly the stored values.
        """
        partial = self.root / f".{stage}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        rounded = type(model)(model.config).to(dtype)
        rounded.load_state_dict(model.state_dict())
        rounded.save_pretrained(partial)
        config = json.loads((partial / "config.json").read_text())
        config["dtype"] = "float32"
        (partial / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        for file_name in _TOKENIZER_FILES:
            shutil.copy(self.root / "tokenizers" / name / file_name, partial)
        _open_to_read(partial)
        shutil.rmtree(self.model_folder(stage), ignore_errors=True)
        partial.replace(self.model_folder(stage))

    def publish(self, stages: Sequence[str], out: Path) -> None:
        """Copy what these stages left behind to folders of `out`."""
        for stage in stages:
            shutil.copytree(self.model_folder(stage), out / stage, dirs_exist_ok=True)

    def load(self, stage: str) -> LlamaForCausalLM:
        """The model that `stage` left behind, in fp32."""
        model: LlamaForCausalLM = AutoModelForCausalLM.from_pretrained(self.model_folder(stage), dtype=torch.float32)
        return model.eval()

    def save_rows(self, name: str, rows: Sequence[Sequence[int]]) -> None:
        """Keep generated rows of equal length."""
        partial = self.root / f".{name}.partial"
        torch.save(torch.tensor(rows, dtype=torch.int16), partial)
        partial.replace(self._rows_file(name))

    def rows(self, name: str) -> list[list[int]] | None:
        """Rows kept as `name`, or None."""
        path = self._rows_file(name)
        if not path.exists():
            return None
        rows: list[list[int]] = torch.load(path).tolist()
        return rows

    def _rows_file(self, name: str) -> Path:
        return self.root / f"{name}.pt"


@dataclass(frozen=True, slots=True)
class CorpusStreams:
    """Both parts of the corpus in one tokenizer's ids, int64 [tokens]."""

    training: Tensor
    held_out: Tensor


def corpus_streams(corpus: Corpus, tokenizer: Tokenizer) -> CorpusStreams:
    """Encode the corpus."""
    return CorpusStreams(
        training=encode_stream(tokenizer, [file.text for file in corpus.training]),
        held_out=encode_stream(tokenizer, [file.text for file in corpus.held_out]),
    )


def _open_to_read(folder: Path) -> None:
    for path in folder.iterdir():
        path.chmod(0o644)
