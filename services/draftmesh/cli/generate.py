"""``draftmesh generate``: stream one generation to the terminal."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from draftmesh.cli.options import DEFAULT_ADDRESS, AddressOption, ColorOption, Flat
from draftmesh.cli.painting import SpanPainter, console_with, legend
from draftmesh.client import Client, GenerateOptions, Generation
from draftmesh.client.options import Prompt


def generate(
    prompt: Annotated[str, Parameter(help="The prompt; - reads it from standard input.", allow_leading_hyphen=True)],
    *,
    address: AddressOption = DEFAULT_ADDRESS,
    options: Annotated[GenerateOptions, Flat] = GenerateOptions(),
    color: ColorOption = "auto",
) -> None:
    """Stream one generation: drafted-and-accepted text in one colour, the target's own in another.

    The text goes to standard output, the summary to standard error.
    """
    console, notes = console_with(color), Console(stderr=True)
    with Client(address) as client:
        generation = stream_to_console(client, sys.stdin.buffer.read() if prompt == "-" else prompt, options, console)
    console.print()
    if console.is_terminal:
        legend(notes)
    print_summary(generation, notes)


def stream_to_console(client: Client, prompt: Prompt, options: GenerateOptions, console: Console) -> Generation:
    """Generate and print the text as it comes, in two colours; returns the finished generation."""
    painter = SpanPainter()
    with client.stream(prompt, options) as stream:
        for chunk in stream:
            console.print(painter.paint(chunk), end="", soft_wrap=True, highlight=False)
            console.file.flush()
        return stream.result


def print_summary(generation: Generation, console: Console) -> None:
    """Print what the generation took."""
    ledger = generation.ledger
    parts = [
        f"{generation.completion_tokens} tokens ({generation.finish_reason.name.lower()})",
        f"{ledger.tokens_per_second:.1f} tokens/s",
        f"method {generation.method}",
    ]
    if ledger.drafted_tokens:
        parts += [
            f"acceptance rate {ledger.acceptance_rate:.2f}",
            f"acceptance length {ledger.acceptance_length:.2f}",
            f"{ledger.bytes_per_target_step:.1f} bytes per target step",
        ]
    console.print(" · ".join(parts), style="dim", highlight=False, soft_wrap=True)
