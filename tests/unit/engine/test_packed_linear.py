"""Repacked linear layers compute the same, where they are chosen at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from draftmesh.engine.linear_choice import measured_layout
from draftmesh.engine.packed_linear import (
    LinearLayout,
    PackedLinear,
    PackingReport,
    can_pack,
    pack_linear_layers,
    relaid,
)
from tests.helpers.tiny_models import tiny_model, whole_logits

PACKED = LinearLayout(packed=True)
LAYOUTS = [
    PACKED,
    LinearLayout(packed=True, least_rows=6),
    LinearLayout(packed=True, plain_rows=3),
    LinearLayout(column_major=True),
    LinearLayout(packed=True, least_rows=4, plain_rows=1, column_major=True),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 2, 5, 16, 100])
def test_values_are_those_of_the_plain_layer(rows: int, bias: bool, layout: LinearLayout) -> None:
    """Up to rounding, for any layout and number of rows, none included."""
    torch.manual_seed(rows)
    layer = nn.Linear(48, 80, bias=bias)
    packed = relaid(layer, layout)
    x = torch.randn(1, rows, 48)
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), layer(x), rtol=1e-5, atol=1e-5)


def test_inputs_need_not_be_contiguous() -> None:
    """Models hand over slices and transposes."""
    torch.manual_seed(0)
    layer = nn.Linear(48, 80)
    x = torch.randn(48, 7).t().unsqueeze(0)
    with torch.inference_mode():
        for layout in LAYOUTS:
            packed = relaid(layer, layout)
            torch.testing.assert_close(packed(x), layer(x), rtol=1e-5, atol=1e-5)


def test_filling_up_a_block_changes_no_value() -> None:
    """A row says the same beside zeros and beside other rows, bit by bit."""
    torch.manual_seed(0)
    packed = PackedLinear(torch.randn(80, 48), None, least_rows=6)
    x = torch.randn(6, 48)
    with torch.inference_mode():
        whole = packed(x)
        for rows in range(1, 6):
            assert torch.equal(packed(x[:rows]), whole[:rows])


def test_the_transposed_weight_of_gpt2_is_packed_too() -> None:
    """Its Conv1D is a linear layer by another name."""
    torch.manual_seed(0)
    layer = Conv1D(80, 48)
    model = nn.Sequential(layer)
    x = torch.randn(1, 5, 48)
    with torch.inference_mode():
        expected = layer(x)
        report = pack_linear_layers(model, lambda _: PACKED)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
    assert report == PackingReport(packed_layers=1, plain_layers=0, packed_bytes=48 * 80 * 4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_a_whole_model_says_the_same(family: str) -> None:
    """Every layer repacked: logits within rounding."""
    ids = list(range(30))
    expected = whole_logits(tiny_model(family), ids)
    model = tiny_model(family)
    assert pack_linear_layers(model, lambda _: PACKED).plain_layers == 0
    torch.testing.assert_close(whole_logits(model, ids), expected, rtol=0.0, atol=1e-4)


def test_plain_weights_are_let_go() -> None:
    """A repacked model holds each weight once."""
    model = nn.Sequential(nn.Linear(8, 8, bias=False))
    pack_linear_layers(model, lambda _: PACKED)
    assert list(model.parameters()) == []


def test_an_embedding_keeps_the_weight_that_it_shares() -> None:
    """A tied output layer is repacked as a copy."""
    model = tiny_model("gpt2")
    assert model.lm_head.weight is model.transformer.wte.weight
    expected = model.transformer.wte.weight.clone()
    pack_linear_layers(model, lambda _: PACKED)
    torch.testing.assert_close(model.transformer.wte.weight, expected)
    assert isinstance(model.lm_head, PackedLinear)


def test_small_layers_stay_plain() -> None:
    """The call would cost more than it saves."""
    assert pack_linear_layers(nn.Sequential(nn.Linear(16, 16)), measured_layout).packed_layers == 0


def test_a_second_weight_is_counted() -> None:
    """What a report says is what is held."""
    report = pack_linear_layers(nn.Sequential(nn.Linear(8, 8)), lambda _: LAYOUTS[-1])
    assert report == PackingReport(packed_layers=1, plain_layers=0, packed_bytes=2 * 8 * 8 * 4)


def test_layers_of_one_shape_are_chosen_for_together() -> None:
    """A choice sees all weights of a shape, and no others."""
    seen = []

    def choose(weights: Sequence[torch.Tensor]) -> LinearLayout:
        seen.append((len(weights), tuple(weights[0].shape)))
        return PACKED

    pack_linear_layers(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 8), nn.Linear(8, 4)), choose)
    assert seen == [(2, (4, 8)), (1, (8, 4))]


class _Special(nn.Linear):
    """Might compute something else."""


def test_subclasses_stay_as_they_are() -> None:
    """Quantised layers are linear layers by inheritance only."""
    model = nn.Sequential(_Special(8, 8))
    assert pack_linear_layers(model, lambda _: PACKED).packed_layers == 0
    assert type(model[0]) is _Special


def test_formats_that_onednn_multiplies_here_are_packed() -> None:
    """Others have their own fast paths, or none."""
    assert can_pack(nn.Linear(8, 8))
    assert can_pack(nn.Linear(8, 8, dtype=torch.bfloat16)) is torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert not can_pack(nn.Linear(8, 8, dtype=torch.float16))
    assert not can_pack(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8, dtype=torch.bfloat16)))


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="no bfloat16 products on this machine")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [1, 5, 16])
def test_bfloat16_is_packed_too(rows: int, layout: LinearLayout) -> None:
    """Values within its rounding."""
    torch.manual_seed(rows)
    layer = nn.Linear(48, 80, dtype=torch.bfloat16)
    x = torch.randn(1, rows, 48, dtype=torch.bfloat16)
    with torch.inference_mode():
        torch.testing.assert_close(relaid(layer, layout)(x), layer(x), rtol=2e-2, atol=2e-2)
