"""The kernel of ``varlen_paged`` compiles for GPUs; ``test_attention.py`` proves what it computes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_COMPILE = """
import sys
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from draftmesh.engine.attention import triton_kernels

capability, dtype, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
tile, tile_kv = (16, 32) if dtype == "fp32" else (64, 64)
known = {name: "*fp32" for name in ("parts", "peaks", "sums")}
known |= {name: "*i32" for name in ("query_starts", "kv_lengths", "block_tables")}
known |= {name: "*" + dtype for name in ("query", "keys", "values", "out")}
known |= {"scaling": "fp32", "softcap": "fp32"}
constants = {"BLOCK_SIZE": 16, "GROUPS": 4, "TILE": tile, "TILE_ROWS": tile // 4, "TILE_KV": tile_kv, "SPLITS": 16}
constants |= {"HAS_SOFTCAP": True, "HAS_WINDOW": True, "KEY_SIZE": size, "KEY_SIZE_PADDED": size}
constants |= {"VALUE_SIZE": size, "VALUE_SIZE_PADDED": size}
for kernel in (triton_kernels.attend, triton_kernels.join):
    own = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {name: "constexpr" if name in own else known.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=own)
    print(compile(source, target=GPUTarget("cuda", capability, 32)).metadata.shared)
"""
_SHARED_BYTES = 99 << 10
"""Of a program, that consumer cards have."""


@pytest.mark.parametrize(("capability", "dtype", "size"), [(80, "bf16", 256), (90, "bf16", 64), (90, "fp32", 256)])
def test_the_kernel_compiles_for_a_gpu(capability: int, dtype: str, size: int) -> None:
    """In a process of its own, since here it may be interpreted; it fits into any card's shared memory."""
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", _COMPILE, str(capability), dtype, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert max(map(int, done.stdout.split())) <= _SHARED_BYTES
