"""Measure a pair offline: acceptance, entropy, and whether greedy text collapses.

The target's text under exact match with keyed noise does not depend on the drafter. So it is made
once per prompt, and a drafter is then measured against it round by round, without the target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from draftmesh.demo.drafting import Draft, TextDrafter
from draftmesh.demo.noise import gumbel, token_keys
from draftmesh.demo.pieces import Pieces, load_pieces
from draftmesh.demo.sampling import RowDecoder, continue_rows, sample_at

_TAIL_BYTES = 48
_MOST_TOKENS = 768
_COLLAPSED_LINES = 5
_REPEATED_LINES = 4


@dataclass(frozen=True, slots=True)
class Reference:
    """What the target says after a prompt."""

    prompt: str
    ids: tuple[int, ...]
    noise_key: int | None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Totals over all rounds of all prompts."""

    rounds: int
    drafted: int
    accepted: int
    drafter_tokens: int

    @property
    def rate(self) -> float:
        """Accepted of the target tokens that were drafted and verified."""
        return self.accepted / max(1, self.drafted)

    @property
    def tokens_per_round(self) -> float:
        """Target tokens committed per verification, the target's own token included."""
        return (self.accepted + self.rounds) / max(1, self.rounds)


@torch.no_grad()
def target_text(folder: Path, prompts: Sequence[str], *, new_tokens: int, temperature: float) -> list[Reference]:
    """The target's continuation of each prompt: greedy at 0, else keyed noise by prompt index."""
    pieces = load_pieces(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    keys = token_keys(pieces)
    references = []
    for index, prompt in enumerate(prompts):
        noise_key = index + 1 if temperature > 0 else None
        context = pieces.encode(prompt)
        decoder = RowDecoder(model, rows=1, max_tokens=len(context) + new_tokens, dtype=torch.float32)
        ids: list[int] = []
        offset = 0
        feed = context
        while len(ids) < new_tokens:
            row = decoder.logits(torch.tensor([feed]))[0].double().numpy()
            if noise_key is not None:
                row = row / temperature + gumbel(keys, noise_key, offset)
            ids.append(int(row.argmax()))
            if ids[-1] == pieces.end_of_text_id:
                break
            offset += len(pieces.spelled[ids[-1]])
            feed = ids[-1:]
        references.append(Reference(prompt, tuple(ids), noise_key))
    return references


def measure_acceptance(
    target: Pieces,
    drafter_folder: Path,
    references: Sequence[Reference],
    *,
    draft_tokens: int = 6,
    healed_tokens: int = 0,
) -> Acceptance:
    """Replay the exact-match rounds of every reference against a drafter."""
    drafter = TextDrafter(
        drafter_folder,
        max_tokens=_MOST_TOKENS,
        healed_tokens=healed_tokens,
        target_spelled=frozenset(target.spelled),
    )
    total: Counter[str] = Counter()
    for reference in references:
        total.update(_replay(target, drafter, reference, draft_tokens))
    return Acceptance(
        rounds=total["rounds"],
        drafted=total["drafted"],
        accepted=total["accepted"],
        drafter_tokens=total["drafter_tokens"],
    )


def _replay(target: Pieces, drafter: TextDrafter, reference: Reference, draft_tokens: int) -> Counter[str]:
    total: Counter[str] = Counter()
    prompt = reference.prompt.encode()
    done = 0
    while done < len(reference.ids) - draft_tokens:
        said = target.text_bytes(list(reference.ids[:done]))
        committed = prompt + said
        try:
            text = committed.decode()
        except UnicodeDecodeError:  # inside a character no text can be drafted
            done += 1
            continue
        draft = drafter.draft(
            text,
            offset=len(said),
            noise_key=reference.noise_key,
            enough=partial(_covers, target, committed, draft_tokens),
            most_tokens=4 * draft_tokens,
        )
        ids = _draft_ids(target, committed, draft)[:draft_tokens]
        accepted = _matching(ids, reference.ids[done:])
        total.update(rounds=1, drafted=len(ids), accepted=accepted, drafter_tokens=draft.tokens)
        done += accepted + 1
    return total


def align(target: Pieces, committed: bytes, draft: bytes) -> list[int]:
    """Target ids of `draft`, read after the tail of `committed`; alone if no boundary falls there.

    An incomplete character at the draft's end is left out.
    """
    tail = committed[-_TAIL_BYTES:].decode(errors="ignore")
    text = draft.decode(errors="ignore")
    boundary = len(tail.encode())
    position = 0
    ids = target.encode(tail + text)
    for index, token_id in enumerate(ids):
        if position == boundary:
            return ids[index:]
        position += len(target.spelled[token_id])
    return target.encode(text)


def _covers(target: Pieces, committed: bytes, draft_tokens: int, draft: bytes) -> bool:
    """Whether `draft` has one more token than wanted: its last may yet merge with what follows."""
    return len(align(target, committed, draft)) > draft_tokens


def _draft_ids(target: Pieces, committed: bytes, draft: Draft) -> list[int]:
    ids = align(target, committed, draft.text)
    return [*ids, target.end_of_text_id] if draft.ended else ids


def _matching(left: Sequence[int], right: Sequence[int]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


@dataclass(frozen=True, slots=True)
class Collapse:
    """Shares of texts: last five lines equal; any line four times or more."""

    looped: float
    repetitive: float


def measure_collapse(texts: Sequence[str]) -> Collapse:
    """How many of `texts` end in one repeated line, or repeat some line often."""
    looped = sum(ends_in_a_loop(text) for text in texts)
    repetitive = sum(most_repeats(text) >= _REPEATED_LINES for text in texts)
    return Collapse(looped / len(texts), repetitive / len(texts))


def ends_in_a_loop(text: str) -> bool:
    """Whether the last five lines that are not empty are all equal."""
    lines = _lines(text)[-_COLLAPSED_LINES:]
    return len(lines) == _COLLAPSED_LINES and len(set(lines)) == 1


def most_repeats(text: str) -> int:
    """How often the most frequent line that is not empty occurs."""
    return max(Counter(_lines(text)).values(), default=0)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def measure_entropy(model: LlamaForCausalLM, prompts: Tensor, *, new_tokens: int = 192, seed: int = 5) -> float:
    """Mean entropy in nats per token at T = 1 along the model's own text after prompts [rows, n]."""
    generator = torch.Generator().manual_seed(seed)
    draw = sample_at([1.0] * len(prompts), generator)
    entropies: list[float] = []

    def choose(logits: Tensor) -> Tensor:
        log_probabilities = logits.log_softmax(dim=-1)
        entropies.append(-(log_probabilities.exp() * log_probabilities).sum(dim=-1).mean().item())
        return draw(logits)

    continue_rows(model, prompts, new_tokens, choose)
    return sum(entropies) / len(entropies)
