"""The training loop: one model, one mixture of token streams, one wall-clock budget.

Muon (Jordan et al. 2024) drives the hidden matrices and AdamW the rest: at this size that needs
about half the tokens of AdamW alone. The learning rate follows elapsed time, so a plan finishes
its decay whatever the machine's speed, and a resumed run continues where the last one stopped.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from draftmesh.demo.streams import Source, batches

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How long and how hard to train.  Learning rates are peaks; shares are of the time."""

    minutes: float
    muon_rate: float = 6e-3
    adam_rate: float = 4e-3
    weight_decay: float = 0.05
    window_tokens: int = 256
    batch_windows: int = 32
    long_window_share: float = 0.15
    warmup_share: float = 0.02
    decay_share: float = 0.7
    save_every_s: float = 180.0
    log_every_steps: int = 20
    seed: int = 1
    compile: bool = True

    def rate_factor(self, progress: float) -> float:
        """Share of the peak rate at `progress` in [0, 1]: warm up, hold, fall to 3 %."""
        if progress < self.warmup_share:
            return 0.1 + 0.9 * progress / self.warmup_share
        left = min(1.0, (1.0 - progress) / self.decay_share)
        return max(0.03, left)


class Fit:
    """A resumable training run of `model`; its state lives in the file `state_path`."""

    def __init__(self, model: LlamaForCausalLM, plan: FitPlan, state_path: Path, log: Log) -> None:
        self._model = model
        self._plan = plan
        self._state_path = state_path
        self._log = log
        self._optimizers = _optimizers(model, plan)
        self._elapsed_s = 0.0
        self._steps = 0
        self._resume()

    def run(self, sources: Sequence[Source], held_out: Tensor) -> None:
        """Train on `sources` until the plan's minutes are used, saving the state now and then.

        `held_out` [tokens] is measured at the end.
        """
        plan = self._plan
        long_from = 1.0 - plan.long_window_share
        for end, factor in ((long_from, 1), (1.0, 2)):  # a few long windows last: attention is dear
            generator = torch.Generator().manual_seed(plan.seed + self._steps)
            feed = batches(
                sources,
                window_tokens=plan.window_tokens * factor,
                windows=max(1, plan.batch_windows // factor),
                generator=generator,
            )
            self._run_until(end, feed)
        loss = held_out_loss(self._model, held_out)
        self._log(f"step {self._steps}: held-out {loss:.3f} nats per token")

    def _run_until(self, progress: float, feed: Iterator[Tensor]) -> None:
        self._model.train()
        loss_of: Callable[[Tensor], Tensor] = partial(mean_loss, self._model)
        if self._plan.compile and shutil.which("g++"):  # about a quarter faster
            loss_of = torch.compile(loss_of)
        total_s = self._plan.minutes * 60.0
        saved_s = self._elapsed_s
        while self._elapsed_s < progress * total_s:
            started = time.monotonic()
            ids = next(feed)
            loss = self._step(ids, loss_of, self._plan.rate_factor(self._elapsed_s / total_s))
            step_s = time.monotonic() - started
            self._elapsed_s += step_s
            self._steps += 1
            if self._steps % self._plan.log_every_steps == 0:
                rate = ids.numel() / step_s
                self._log(
                    f"step {self._steps} {self._elapsed_s:.0f}/{total_s:.0f} s: loss {loss:.3f}, {rate:.0f} tokens/s"
                )
            if self._elapsed_s - saved_s > self._plan.save_every_s:
                saved_s = self._elapsed_s
                self._save()
        self._model.eval()
        self._save()

    def _step(self, ids: Tensor, loss_of: Callable[[Tensor], Tensor], factor: float) -> float:
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(ids)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    def _save(self) -> None:
        state = {
            "model": self._model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "elapsed_s": self._elapsed_s,
            "steps": self._steps,
        }
        partial = self._state_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._state_path)

    def _resume(self) -> None:
        if not self._state_path.exists():
            return
        state = torch.load(self._state_path)
        self._model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._elapsed_s = state["elapsed_s"]
        self._steps = state["steps"]
        self._log(f"resumed at step {self._steps}, {self._elapsed_s:.0f} s")


def mean_loss(model: LlamaForCausalLM, ids: Tensor) -> Tensor:
    """Mean loss in nats over ids [windows, tokens]; a scalar.

    A token id t counts -log p(t). A repelled token, written -1 - t, counts -log(1 - p(t)): the
    unlikelihood loss of Welleck et al. (2020, arXiv 1908.04319).
    """
    repelled = ids < 0
    spoken = torch.where(repelled, -1 - ids, ids)
    logits = model(input_ids=spoken, use_cache=False).logits[:, :-1].float()
    log_p = logits.log_softmax(dim=-1).gather(-1, spoken[:, 1:, None])[..., 0]
    log_not_p = torch.log1p(-log_p.exp().clamp(max=1.0 - 1e-4))
    return -torch.where(repelled[:, 1:], log_not_p, log_p).mean()


@torch.no_grad()
def held_out_loss(model: LlamaForCausalLM, stream: Tensor, *, window_tokens: int = 512, windows: int = 96) -> float:
    """Nats per token of `stream` [tokens] in windows spread evenly over it, in fp32."""
    model.eval()
    count = min(windows, (len(stream) - 1) // window_tokens)
    starts = torch.linspace(0, len(stream) - window_tokens, count).long().tolist()
    rows = torch.stack([stream[start : start + window_tokens] for start in starts])
    losses = [mean_loss(model, row[None]).item() for row in rows]
    return sum(losses) / count


def _optimizers(model: LlamaForCausalLM, plan: FitPlan) -> list[torch.optim.Optimizer]:
    named = list(model.named_parameters())
    hidden = [value for name, value in named if value.ndim == 2 and "embed" not in name]
    others = [value for name, value in named if value.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(
        hidden,
        lr=plan.muon_rate,
        weight_decay=plan.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    adam = torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    for optimizer, peak in ((muon, plan.muon_rate), (adam, plan.adam_rate)):
        for group in optimizer.param_groups:
            group["peak"] = peak
    return [muon, adam]
