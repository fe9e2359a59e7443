"""Ragged causal attention that reads keys and values through block tables, in Triton.

One program of ``attend`` has a tile of a sequence's rows, all query heads that share a key head folded into it, and one
stretch of the sequence's tokens; softmax runs along (Dao et al. 2022, arXiv 2205.14135). ``join`` puts the stretches
together (flash-decoding, Dao et al. 2023): else a few rows behind a long context would leave most of a GPU idle. How a
sequence is cut follows from its own length alone.

Triton reads the annotations of parameters, and knows no others than these; tensors come as pointers, without one.
"""

import triton
import triton.language as tl

_COUNTS = ("sequences", "splits", "window", "table_stride")
"""Numbers that differ from step to step; Triton would make a kernel of its own for some of them."""


@triton.jit
def _sequence_of(
    tile: int,
    query_starts,  # [sequences + 1] int32
    sequences: int,
    TILE_ROWS: tl.constexpr,
) -> int:
    """Sequence s has the tiles from query_starts[s] // TILE_ROWS + s on, perhaps one too many; the last that begins."""
    sequence, beyond = 0, sequences
    while beyond - sequence > 1:
        middle = (sequence + beyond) // 2
        if tl.load(query_starts + middle) // TILE_ROWS + middle <= tile:
            sequence = middle
        else:
            beyond = middle
    return sequence


@triton.jit(do_not_specialize=_COUNTS)
def attend(
    query,  # [rows, heads, KEY_SIZE]
    keys,  # [blocks, BLOCK_SIZE, kv_heads, KEY_SIZE]
    values,  # [blocks, BLOCK_SIZE, kv_heads, VALUE_SIZE]
    parts,  # [rows, heads, splits, VALUE_SIZE] float32
    peaks,  # [rows, heads, splits] float32
    sums,  # [rows, heads, splits] float32
    query_starts,  # [sequences + 1] int32
    kv_lengths,  # [sequences] int32
    block_tables,  # [sequences, most blocks] int32
    sequences: int,
    splits: int,
    scaling: float,
    softcap: float,
    window: int,
    query_row_stride: int,
    query_head_stride: int,
    key_block_stride: int,
    key_token_stride: int,
    key_head_stride: int,
    value_block_stride: int,
    value_token_stride: int,
    value_head_stride: int,
    table_stride: int,
    BLOCK_SIZE: tl.constexpr,
    GROUPS: tl.constexpr,
    TILE: tl.constexpr,
    TILE_ROWS: tl.constexpr,
    TILE_KV: tl.constexpr,
    HAS_SOFTCAP: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    KEY_SIZE: tl.constexpr,
    KEY_SIZE_PADDED: tl.constexpr,
    VALUE_SIZE: tl.constexpr,
    VALUE_SIZE_PADDED: tl.constexpr,
) -> None:
    """A tile's products with one stretch of tokens: weighted values, greatest score and sum of weights, row by row."""
    tile, kv_head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    sequence = _sequence_of(tile, query_starts, sequences, TILE_ROWS)
    start = tl.load(query_starts + sequence)
    count = tl.load(query_starts + sequence + 1) - start
    tile_start = (tile - start // TILE_ROWS - sequence) * TILE_ROWS
    if tile_start >= count:
        return

    folded = tl.arange(0, TILE)  # rows of the tile, each with the heads of its group
    row = tile_start + folded // GROUPS
    head = kv_head * GROUPS + folded % GROUPS
    is_row = (folded < TILE_ROWS * GROUPS) & (row < count)
    kv_length = tl.load(kv_lengths + sequence)
    position = kv_length - count + row
    key_dims = tl.arange(0, KEY_SIZE_PADDED)
    value_dims = tl.arange(0, VALUE_SIZE_PADDED)
    asked = tl.load(
        query
        + (start + row)[:, None].to(tl.int64) * query_row_stride
        + head[:, None] * query_head_stride
        + key_dims[None],
        mask=is_row[:, None] & (key_dims < KEY_SIZE)[None],
        other=0.0,
    )

    stretch = tl.cdiv(tl.cdiv(kv_length, splits), TILE_KV) * TILE_KV
    first = split * stretch
    end = tl.minimum(first + stretch, kv_length - count + tl.minimum(tile_start + TILE_ROWS, count))
    if HAS_WINDOW:
        hidden = tl.maximum(kv_length - count + tile_start + 1 - window, 0)
        first = tl.maximum(first, hidden // TILE_KV * TILE_KV)

    peak = tl.full((TILE,), float("-inf"), tl.float32)
    total = tl.zeros((TILE,), tl.float32)
    weighted = tl.zeros((TILE, VALUE_SIZE_PADDED), tl.float32)
    for low in range(first, end, TILE_KV):
        token = low + tl.arange(0, TILE_KV)
        is_token = token < end
        block = tl.load(block_tables + sequence * table_stride + token // BLOCK_SIZE, mask=is_token, other=0).to(
            tl.int64
        )
        key = tl.load(
            keys
            + (block * key_block_stride + token % BLOCK_SIZE * key_token_stride)[None]
            + kv_head.to(tl.int64) * key_head_stride
            + key_dims[:, None],
            mask=is_token[None] & (key_dims < KEY_SIZE)[:, None],
            other=0.0,
        )
        score = tl.dot(asked, key, input_precision="ieee") * scaling
        if HAS_SOFTCAP:
            score = softcap * (2 * tl.sigmoid(2 * score / softcap) - 1)  # the hyperbolic tangent
        is_seen = is_token[None] & (token[None] <= position[:, None])
        if HAS_WINDOW:
            is_seen = is_seen & (token[None] > position[:, None] - window)
        score = tl.where(is_seen, score, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(score, 1))
        safe_peak = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        weight = tl.exp(score - safe_peak[:, None])
        shrink = tl.exp(peak - safe_peak)
        value = tl.load(
            values
            + (block * value_block_stride + token % BLOCK_SIZE * value_token_stride)[:, None]
            + kv_head.to(tl.int64) * value_head_stride
            + value_dims[None],
            mask=is_token[:, None] & (value_dims < VALUE_SIZE)[None],
            other=0.0,
        )
        weighted = weighted * shrink[:, None] + tl.dot(weight.to(value.dtype), value, input_precision="ieee")
        total = total * shrink + tl.sum(weight, 1)
        peak = new_peak

    result = ((start + row).to(tl.int64) * tl.num_programs(1) * GROUPS + head) * splits + split
    tl.store(peaks + result, peak, mask=is_row)
    tl.store(sums + result, total, mask=is_row)
    tl.store(
        parts + result[:, None] * VALUE_SIZE + value_dims[None],
        weighted,
        mask=is_row[:, None] & (value_dims < VALUE_SIZE)[None],
    )


@triton.jit(do_not_specialize=("splits",))
def join(
    parts,  # [rows, heads, splits, VALUE_SIZE] float32
    peaks,  # [rows, heads, splits] float32
    sums,  # [rows, heads, splits] float32
    out,  # [rows, heads, VALUE_SIZE]
    splits: int,
    SPLITS: tl.constexpr,
    VALUE_SIZE: tl.constexpr,
    VALUE_SIZE_PADDED: tl.constexpr,
) -> None:
    """One row's softmax over all stretches, for one head."""
    place = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    split = tl.arange(0, SPLITS)
    dims = tl.arange(0, VALUE_SIZE_PADDED)
    peak = tl.load(peaks + place * splits + split, mask=split < splits, other=float("-inf"))
    total = tl.load(sums + place * splits + split, mask=split < splits, other=0.0)
    share = tl.exp(peak - tl.max(peak, 0))  # every row sees itself, so one stretch has a peak
    weighted = tl.load(
        parts + (place * splits + split)[:, None] * VALUE_SIZE + dims[None],
        mask=(split < splits)[:, None] & (dims < VALUE_SIZE)[None],
        other=0.0,
    )
    joined = tl.sum(weighted * share[:, None], 0) / tl.sum(total * share, 0)
    tl.store(out + place * VALUE_SIZE + dims, joined.to(out.dtype.element_ty), mask=dims < VALUE_SIZE)
