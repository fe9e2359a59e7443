"""Where there is no GPU, kernels written in Triton are interpreted; it asks for that when it is imported."""

from __future__ import annotations

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
