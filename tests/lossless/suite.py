"""What the whole suite is made of."""

from __future__ import annotations

import torch

from draftmesh.telemetry.logs import configure_logging
from tests.lossless import wire
from tests.lossless.cells import Cell, Finding, find, plain_cells, seeds_of
from tests.lossless.mutants import MUTANTS


def all_cells() -> list[Cell]:
    """Every method under every setting, and the cells in which mutants are planted, here without them."""
    return list(dict.fromkeys([*plain_cells(), *(mutant.cell for mutant in MUTANTS)]))


def num_cells() -> int:
    """Cells of the suite, those over gRPC included."""
    return len(all_cells()) + len(wire.METHODS)


def find_cell(index: int, samples: int) -> Finding:
    """The finding of one cell of the suite."""
    return find(all_cells()[index], seeds_of(index, samples))


def prepare_worker() -> None:
    """Keep a worker process to one core, and its daemons silent."""
    torch.set_num_threads(1)
    configure_logging(level="error")
