"""Both backends against the definition: windows, soft caps, groups, scattered blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from draftmesh.core.errors import UnsupportedModelError
from draftmesh.engine.attention.backend import AttentionBackend, attention_backend
from draftmesh.engine.attention.metadata import step_metadata
from draftmesh.engine.attention.register import CONTEXT_KEYWORD, AttentionOptions, paged_attention
from draftmesh.engine.attention.sdpa_ragged import SdpaRagged
from draftmesh.engine.attention.varlen_paged import VarlenPaged
from draftmesh.engine.kv_storage import KvShape, KvStorage
from draftmesh.engine.packing import PackedRows
from tests.helpers.varlen import PlainKernel

BLOCK_SIZE, HEADS, KV_HEADS, SIZE, VALUE_SIZE = 4, 6, 2, 8, 5
CPU = torch.device("cpu")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def by_definition(query: Tensor, keys: Tensor, values: Tensor, options: AttentionOptions) -> Tensor:
    """[rows, heads, value_size], row by row; query [rows, heads, size], keys and values [kv, kv_heads, size]."""
    first = keys.shape[0] - query.shape[0]
    out = torch.empty(query.shape[0], HEADS, values.shape[-1])
    for row in range(query.shape[0]):
        low = 0 if options.window is None else max(0, first + row - options.window + 1)
        for head in range(HEADS):
            kv_head = head // (HEADS // KV_HEADS)
            scores = keys[low : first + row + 1, kv_head] @ query[row, head] * options.scaling
            if options.softcap is not None:
                scores = options.softcap * torch.tanh(scores / options.softcap)
            out[row, head] = scores.softmax(0) @ values[low : first + row + 1, kv_head]
    return out


class Text:
    """A sequence with random queries, keys and values, computed in parts over one storage."""

    def __init__(self, length: int, table: Sequence[int], seed: int, value_size: int = VALUE_SIZE) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.table = table
        self.query = torch.randn(length, HEADS, SIZE, generator=generator)
        self.keys = torch.randn(length, KV_HEADS, SIZE, generator=generator)
        self.values = torch.randn(length, KV_HEADS, value_size, generator=generator)


def ragged(storage: KvStorage) -> AttentionBackend:
    """The reference."""
    return SdpaRagged(storage, BLOCK_SIZE)


def plain(storage: KvStorage) -> AttentionBackend:
    """The GPU's, with the kernel that other tests use on a CPU."""
    return VarlenPaged(storage, BLOCK_SIZE, PlainKernel())


def paged(storage: KvStorage) -> AttentionBackend:
    """The GPU's own; interpreted where there is no GPU."""
    pytest.importorskip("triton")
    return attention_backend("varlen_paged", storage, BLOCK_SIZE)


def attend(backend: AttentionBackend, parts: list[tuple[Text, int, int]], options: AttentionOptions) -> list[Tensor]:
    """Each part's rows ``start`` to ``end``, all in one step; [rows, heads, value_size] each."""
    context = backend.context([PackedRows([0] * (end - start), start, text.table, 0) for text, start, end in parts])
    pack = [
        torch.cat([getattr(text, name)[start:end] for text, start, end in parts]).to(DEVICE)
        for name in ("query", "keys", "values")
    ]
    out = context.attend(0, pack[0], pack[1], pack[2], options)
    return list(torch.split(out.cpu(), [end - start for _, start, end in parts]))


def new_storage(blocks: int, value_size: int = VALUE_SIZE) -> KvStorage:
    """Of one layer."""
    return KvStorage((KvShape(KV_HEADS, SIZE, value_size),), blocks * BLOCK_SIZE, torch.float32, DEVICE)


@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize(
    ("backend_over", "softcap", "value_size"),
    [
        (ragged, None, VALUE_SIZE),
        (ragged, 2.0, VALUE_SIZE),
        (plain, None, VALUE_SIZE),
        (paged, None, VALUE_SIZE),
        (paged, 2.0, SIZE),
    ],
)
@pytest.mark.parametrize("scattered", [False, True])
def test_rows_attend_as_defined(
    backend_over: Callable[[KvStorage], AttentionBackend],
    window: int | None,
    softcap: float | None,
    value_size: int,
    scattered: bool,
) -> None:
    """In chunks, beside a stranger, and one by one; over blocks in order and out of order."""
    options = AttentionOptions(1 / math.sqrt(SIZE), window, softcap)
    backend = backend_over(new_storage(12, value_size))
    text = Text(18, [7, 2, 9, 1, 4] if scattered else [2, 3, 4, 5, 6], seed=1, value_size=value_size)
    other = Text(6, [10, 11], seed=2, value_size=value_size)
    got = attend(backend, [(text, 0, 7)], options)
    rest = attend(backend, [(other, 0, 6), (text, 7, 12)], options)
    single = [attend(backend, [(text, row, row + 1)], options)[0] for row in range(12, 18)]
    expected = by_definition(text.query, text.keys, text.values, options)
    torch.testing.assert_close(torch.cat([*got, rest[1], *single]), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(rest[0], by_definition(other.query, other.keys, other.values, options))


def test_rows_computed_again_overwrite_what_was_there() -> None:
    """Rollback is nothing but computing from an earlier position."""
    options = AttentionOptions(0.3, None, None)
    backend = ragged(new_storage(8))
    wrong, right = Text(12, [1, 2, 3], seed=1), Text(12, [1, 2, 3], seed=2)
    attend(backend, [(right, 0, 5)], options)
    attend(backend, [(wrong, 5, 12)], options)
    got = attend(backend, [(right, 5, 9)], options)[0]
    expected = by_definition(right.query[:9], right.keys[:9], right.values[:9], options)[5:]
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_slots_in_one_stretch_are_read_where_they_lie() -> None:
    """No gather for a table whose blocks follow one another."""
    rows = [PackedRows([0, 0], 5, [3, 4], 1), PackedRows([0], 4, [3, 6], 1)]
    in_order, scattered = step_metadata(rows, BLOCK_SIZE, CPU).spans
    assert (in_order.first_slot, in_order.slots) == (12, None)
    assert scattered.slots is not None
    assert scattered.slots.tolist() == [12, 13, 14, 15, 24]


@pytest.mark.parametrize("few_rows", [128, 4])
def test_long_texts_are_attended_to_in_stretches(monkeypatch: pytest.MonkeyPatch, few_rows: int) -> None:
    """Where a step has few rows; beside a sequence that ends in the first stretch."""
    kernel = pytest.importorskip("draftmesh.engine.attention.paged_kernel")
    monkeypatch.setattr(kernel, "_FEW_ROWS", few_rows)
    options = AttentionOptions(1 / math.sqrt(SIZE), None, None)
    storage = new_storage(80)
    backend = paged(storage)
    long = Text(280, list(range(9, 79)), seed=1)
    short = Text(6, [3, 1], seed=2)
    attend(ragged(storage), [(long, 0, 270)], options)
    got = attend(backend, [(short, 0, 6), (long, 270, 280)], options)
    expected = by_definition(long.query, long.keys, long.values, options)[270:]
    torch.testing.assert_close(got[1], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(got[0], by_definition(short.query, short.keys, short.values, options))


class _Layer(nn.Module):
    layer_idx = 0


@pytest.mark.parametrize(
    ("what", "mask", "options"),
    [
        ("a mask", torch.ones(1), {}),
        ("sinks", None, {"s_aux": torch.ones(1)}),
        ("no causality", None, {"is_causal": False}),
    ],
)
def test_what_the_attention_would_leave_out_is_refused(
    what: str, mask: Tensor | None, options: dict[str, object]
) -> None:
    """Masks of the model's own, sinks, attention to what comes later."""
    some = torch.zeros(1, 1, 1, 1)
    with pytest.raises(UnsupportedModelError, match=what):
        paged_attention(_Layer(), some, some, some, mask, **{CONTEXT_KEYWORD: object()}, **options)  # type: ignore[arg-type]


def test_a_layer_that_loses_the_context_is_refused() -> None:
    """The keyword must come through to every layer."""
    some = torch.zeros(1, 1, 1, 1)
    with pytest.raises(UnsupportedModelError, match="does not hand"):
        paged_attention(_Layer(), some, some, some, None)
