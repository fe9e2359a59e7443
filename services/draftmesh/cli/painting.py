"""Text in two colours: what a drafter proposed and the target accepted, and what the target said itself."""

from __future__ import annotations

from collections import deque
from itertools import groupby

from rich.console import Console
from rich.text import Text

from draftmesh.client.results import Chunk

DRAFTED_STYLE = "green"
TARGET_STYLE = "bold yellow"
_REPORT_COLUMNS = 160


class SpanPainter:
    """Cuts a stream's text at the borders of drafted and own tokens, though tokens and characters do not align.

    A character belongs to the token that holds its first byte.
    """

    def __init__(self) -> None:
        self._tokens: deque[tuple[int, bool]] = deque()  # (byte where the token ends, drafted)
        self._tokens_end = 0
        self._position = 0

    def paint(self, chunk: Chunk) -> Text:
        """The chunk's text, styled."""
        for token in chunk.tokens:
            self._tokens_end += token.byte_length
            self._tokens.append((self._tokens_end, token.drafted))
        painted = Text()
        for drafted, characters in groupby(chunk.text, self._is_drafted):
            painted.append("".join(characters), DRAFTED_STYLE if drafted else TARGET_STYLE)
        return painted

    def _is_drafted(self, character: str) -> bool:
        """Whether the next character of the text, this one, was drafted."""
        while self._tokens and self._tokens[0][0] <= self._position:
            self._tokens.popleft()
        self._position += len(character.encode(errors="replace"))
        return bool(self._tokens) and self._tokens[0][1]


def legend(console: Console) -> None:
    """Say what the colours mean."""
    line = Text("drafted and accepted", DRAFTED_STYLE).append("  ").append("the target's own", TARGET_STYLE)
    console.print(line, highlight=False)


def console_with(color: str, *, json: bool = False) -> Console:
    """A console that colours ``auto`` (on a terminal), ``always`` or ``never``; ``json``: as for reports."""
    return Console(stderr=json, force_terminal={"auto": None, "always": True, "never": False}[color])


def report_console(*, json: bool = False) -> Console:
    """A console for tables: where nobody looks at a screen, as wide as they need to be.

    It is standard output; with ``json`` it is standard error, for then the JSON object is alone on standard output.
    """
    console = Console(stderr=json)
    return console if console.is_terminal else Console(stderr=json, width=_REPORT_COLUMNS)
