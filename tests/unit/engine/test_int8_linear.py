"""8-bit weights: nearly the plain layer's values, everywhere, and a model of another name."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from draftmesh.engine.config import EngineConfig
from draftmesh.engine.int8_linear import Int8Linear, quantize_linear_layers
from draftmesh.engine.loading import prepare_model
from draftmesh.engine.packed_linear import PackingReport
from tests.helpers.tiny_models import tiny_model

NEAR = 0.02  # of the largest value


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def assert_near(values: torch.Tensor, expected: torch.Tensor) -> None:
    """Up to the rounding of weights to 8 bits and of values to bfloat16's 8."""
    torch.testing.assert_close(values, expected, rtol=0.0, atol=NEAR * float(expected.abs().amax()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 5, 16, 100])
def test_values_are_nearly_those_of_the_plain_layer(rows: int, bias: bool, dtype: torch.dtype) -> None:
    """For any number of rows, sizes that are no power of two included."""
    torch.manual_seed(rows)
    layer = nn.Linear(208, 77, bias=bias, dtype=dtype)
    x = torch.randn(1, rows, 208, dtype=dtype)
    with torch.inference_mode():
        values = Int8Linear(layer.weight, layer.bias)(x)
        assert values.dtype == dtype
        assert_near(values, layer(x))


def test_no_rows_give_no_values() -> None:
    """A step may want no logits."""
    layer = Int8Linear(torch.ones(5, 16), None)
    assert layer(torch.empty(0, 16)).shape == (0, 5)


def test_an_output_without_weights_is_zero() -> None:
    """Its scale is not made of nothing."""
    weight = torch.zeros(3, 16)
    weight[1] = 1.0
    with torch.inference_mode():
        assert Int8Linear(weight, None)(torch.ones(1, 16)).tolist() == [[0.0, 16.0, 0.0]]


def test_a_row_says_the_same_beside_others() -> None:
    """A draft's rows are those of single steps, as near as formats go."""
    torch.manual_seed(0)
    layer = Int8Linear(torch.randn(80, 64), None)
    x = torch.randn(9, 64)
    with torch.inference_mode():
        alone = torch.cat([layer(row.unsqueeze(0)) for row in x])
        torch.testing.assert_close(layer(x), alone, rtol=1e-2, atol=1e-2)


def test_all_linear_layers_are_replaced() -> None:
    """GPT-2's transposed ones too; an embedding keeps the weight that it shares."""
    layer = Conv1D(80, 48)
    model = nn.Sequential(layer, nn.Linear(80, 10))
    x = torch.randn(1, 5, 48)
    with torch.inference_mode():
        expected = model(x)
        report = quantize_linear_layers(model)
        assert_near(model(x), expected)
    assert report == PackingReport(packed_layers=2, plain_layers=0, packed_bytes=48 * 80 + 80 * 10)
    tied = tiny_model("gpt2")
    kept = tied.transformer.wte.weight.clone()
    quantize_linear_layers(tied)
    assert torch.equal(tied.transformer.wte.weight, kept)


def test_sizes_that_the_kernel_does_not_take_stay_plain() -> None:
    """It would read beyond the weight's end."""
    model = nn.Sequential(nn.Linear(24, 8), nn.Linear(16, 8))
    assert quantize_linear_layers(model) == PackingReport(packed_layers=1, plain_layers=1, packed_bytes=16 * 8)
    assert type(model[0]) is nn.Linear


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_quantised_model_is_proved(family: str) -> None:
    """It is near the model that it was made from, and is not that model."""
    config = EngineConfig(model="tiny", quantization="int8")
    prepared = prepare_model(tiny_model(family), config)
    assert prepared.packing.plain_layers == 0
    assert 1e-4 < prepared.self_test_difference < 0.1
