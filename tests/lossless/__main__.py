"""The lossless suite at full size: ``python -m tests.lossless``.

Prints a table, method by setting, then the mutants, and as its last line one JSON object. Ends with status 1 if a law
is not the target's, or a mutant is not caught.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.lossless.cells import Finding
from tests.lossless.mutants import MUTANTS, find_mutant, is_caught
from tests.lossless.suite import all_cells, find_cell, num_cells, prepare_worker
from tests.lossless.wire import METHODS, WireFinding, find_on_wire

SAMPLES = 30_000
MUTANT_SAMPLES = 50_000
WIRE_SAMPLES = 1500
_COLUMNS = f"{'N':>7} {'TV':>8} {'floor':>8} {'TV/floor':>8} {'p-value':>9}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; the exit status."""
    options, cells, started = _parser().parse_args(arguments), all_cells(), time.monotonic()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # the workers': every connection that a daemon ends is logged else
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context, initializer=prepare_worker) as pool:
        findings = pool.map(find_cell, range(len(cells)), [options.samples] * len(cells))
        on_wire = pool.map(find_on_wire, METHODS, [options.wire_samples] * len(METHODS))
        planted = pool.map(find_mutant, range(len(MUTANTS)), [options.mutant_samples] * len(MUTANTS))
        print(f"{'method':<18} {'setting':<36} {_COLUMNS}", flush=True)
        passed = sum(
            _say_cell(cell.name, cell.setting_name, found) for cell, found in zip(cells, findings, strict=True)
        )
        passed += sum(_say_wire(method.label, found) for method, found in zip(METHODS, on_wire, strict=True))
        print(f"\n{'mutant':<55} {_COLUMNS}", flush=True)
        caught = sum(_say_mutant(mutant.name, found) for mutant, found in zip(MUTANTS, planted, strict=True))
    print(f"{time.monotonic() - started:.0f} s")
    failed = num_cells() - passed
    print(json.dumps({"cells": num_cells(), "failed": failed, "mutants": len(MUTANTS), "caught": caught}))
    return int(failed > 0 or caught < len(MUTANTS))


def _say_cell(name: str, setting: str, finding: Finding) -> bool:
    """One row: the joint law of all tokens. The laws of fewer tokens are tested too."""
    joint, faithful = finding.joint, finding.is_faithful(num_cells())
    print(
        f"{name:<18} {setting:<36} {joint.samples:>7} {joint.total_variation:>8.4f} {joint.noise_floor:>8.4f} "
        f"{joint.margin:>8.2f} {joint.p_value:>9.3g}{'' if faithful else '  NOT THE LAW'}",
        flush=True,
    )
    return faithful


def _say_wire(name: str, found: WireFinding) -> bool:
    """One row; without an accepted draft it would be about nothing."""
    return _say_cell(name, f"gRPC, bad network, {found.accepted} accepted", found.finding) and found.accepted > 0


def _say_mutant(name: str, finding: Finding) -> bool:
    """One row: the law in which the bug shows most clearly, and the smallest p-value of all."""
    clearest, caught = finding.clearest, is_caught(finding, num_cells())
    print(
        f"{name:<55} {clearest.samples:>7} {clearest.total_variation:>8.4f} {clearest.noise_floor:>8.4f} "
        f"{clearest.margin:>8.2f} {finding.least_p_value:>9.3g}{'' if caught else '  NOT CAUGHT'}",
        flush=True,
    )
    return caught


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lossless", description="The lossless suite at full size.")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="sessions of a cell")
    parser.add_argument("--mutant-samples", type=int, default=MUTANT_SAMPLES, help="sessions of a mutant")
    parser.add_argument("--wire-samples", type=int, default=WIRE_SAMPLES, help="generations over gRPC for a method")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
