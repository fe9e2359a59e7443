"""Prompts from files the models never saw: beginnings of functions and classes.

They ship as data, because the held-out files differ a little between Python versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources

from draftmesh.demo.corpus import Corpus

PROMPT_COUNT = 200
DEMO_PROMPT_COUNT = 16

_DATA_FILE = "assets/prompts.json"
_LEAST_CHARACTERS = 120
_MOST_CHARACTERS = 400
_DEFINITION = re.compile(r"^ *(?:class|def) \w+", re.MULTILINE)


def all_prompts() -> tuple[str, ...]:
    """The 200 held-out prompts; each ends at the end of a line."""
    data = resources.files("draftmesh.demo").joinpath(_DATA_FILE).read_text(encoding="utf-8")
    return tuple(json.loads(data))


def demo_prompts() -> tuple[str, ...]:
    """Sixteen of `all_prompts`, spread over the held-out files."""
    return spread(all_prompts(), DEMO_PROMPT_COUNT)


def prompts_from(corpus: Corpus, count: int = PROMPT_COUNT) -> tuple[str, ...]:
    """`count` different prompts from the held-out files, in the files' order."""
    found = (prompt for file in corpus.held_out for prompt in _beginnings(file.text))
    return spread(tuple(dict.fromkeys(found)), count)


def _beginnings(text: str) -> Iterator[str]:
    for match in _DEFINITION.finditer(text):
        excerpt = text[match.start() : match.start() + _MOST_CHARACTERS]
        end = excerpt.find("\n", _LEAST_CHARACTERS)
        if end > 0 and excerpt.isascii():
            yield excerpt[: end + 1]


def spread(prompts: tuple[str, ...], count: int) -> tuple[str, ...]:
    """`count` of `prompts` (or all, if fewer), evenly spaced."""
    count = min(count, len(prompts))
    return tuple(prompts[index * len(prompts) // count] for index in range(count))
